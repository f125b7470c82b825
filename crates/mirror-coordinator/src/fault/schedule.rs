//! The schedule of faults: which faults begin and end at which step, block or time. No I/O.
//!
//! Each fault has at most one planned beginning at a time, so the memory of the schedule does not grow with the number
//! of occurrences.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use mirror_seed::Seed;
use mirror_spec::{Fault, Moment, Span};

/// A fault with its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Name of the fault, different from those of all others.
    pub(crate) id: String,
    pub(crate) fault: Fault,
    /// Whether a person added the fault while the network was running.
    pub(crate) manual: bool,
}

/// One occurrence of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Occurrence {
    /// Position of the fault in the schedule. Faults that were added later have later positions.
    pub(crate) entry: usize,
    /// Number of the occurrence, from 0.
    pub(crate) number: u64,
}

/// The point at which a change is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// Before this step begins.
    Step(u64),
    /// After this block has closed. Used if blocks close by the clock.
    Block(u64),
    /// At this time since the queries began.
    Time(Duration),
}

/// The changes that are due together: all faults begin before others end.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) apply: Vec<Occurrence>,
    pub(crate) lift: Vec<Occurrence>,
}

/// The faults of a run and their planned changes.
#[derive(Debug)]
pub(crate) struct Schedule {
    seed: Seed,
    /// Number of the block that has closed when step 0 begins. `None` if blocks close by the clock.
    first_block: Option<u64>,
    entries: Vec<Entry>,
    ids: HashSet<String>,
    /// Number of faults that were to have each name.
    wanted_ids: HashMap<String, u32>,
    begins: BTreeMap<Due, BTreeSet<Occurrence>>,
    ends: BTreeMap<Due, BTreeSet<Occurrence>>,
    /// The faults that have occurred at least once.
    occurred: BTreeSet<usize>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.apply.is_empty() && self.lift.is_empty()
    }
}

impl Schedule {
    /// Creates the schedule of the faults of a file.
    pub(crate) fn new(seed: u64, first_block: Option<u64>, faults: &[Fault]) -> Self {
        let mut schedule = Self {
            seed: Seed::root(seed),
            first_block,
            entries: Vec::new(),
            ids: HashSet::new(),
            wanted_ids: HashMap::new(),
            begins: BTreeMap::new(),
            ends: BTreeMap::new(),
            occurred: BTreeSet::new(),
        };
        for fault in faults {
            let start = schedule.due(fault.start());
            schedule.add(fault.clone(), false, start);
        }
        schedule
    }

    /// Adds a fault whose first occurrence begins at `start`. Returns its position.
    pub(crate) fn add(&mut self, mut fault: Fault, manual: bool, start: Due) -> usize {
        if matches!(fault, Fault::Join(_) | Fault::Leave(_)) {
            // Miners join and leave once, for good.
            let when = fault.when_mut();
            (when.r#for, when.until, when.every) = (None, None, None);
        }
        let entry = self.entries.len();
        let id = self.free_id(&fault);
        self.entries.push(Entry { id, fault, manual });
        self.plan(Occurrence { entry, number: 0 }, start);
        entry
    }

    /// Returns the name of a fault: the given one, or its kind with a hash of the nodes that it names. The hash does
    /// not depend on parameters such as rates, so that a fault with another rate has the same draws.
    fn free_id(&mut self, fault: &Fault) -> String {
        let given = fault.when().id.clone();
        let wanted = given.unwrap_or_else(|| {
            let hash = Seed::root(0).child(fault.kind()).child(&fault.who()).bytes();
            format!("{}-{}", fault.kind().replace('_', "-"), hex::encode(&hash[..4]))
        });
        let count = self.wanted_ids.entry(wanted.clone()).or_default();
        loop {
            *count += 1;
            let id = match *count {
                1 => wanted.clone(),
                number => format!("{wanted}-{number}"),
            };
            if self.ids.insert(id.clone()) {
                return id;
            }
        }
    }

    /// Returns whether a fault has this name.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Returns the entry at a position.
    pub(crate) fn entry(&self, position: usize) -> Option<&Entry> {
        self.entries.get(position)
    }

    /// Returns all entries with their positions.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().enumerate()
    }

    /// Returns the point in time at which a change is due.
    pub(crate) fn due(&self, moment: Moment) -> Due {
        match (moment, self.first_block) {
            (Moment::Step(step), _) => Due::Step(step),
            (Moment::Block(block), Some(first)) => Due::Step(block.saturating_sub(first)),
            (Moment::Block(block), None) => Due::Block(block),
            (Moment::Time(seconds), _) => Due::Time(duration(seconds)),
        }
    }

    /// Plans an occurrence, unless it is after the end of the repetitions.
    fn plan(&mut self, occurrence: Occurrence, due: Due) {
        let Some(entry) = self.entries.get(occurrence.entry) else {
            return;
        };
        let when = entry.fault.when();
        let until = when.every.and(when.until).map(|until| self.due(until));
        if until.is_none_or(|until| due < until) {
            self.begins.entry(due).or_default().insert(occurrence);
        }
    }

    /// Returns the next step before which a change is due.
    pub(crate) fn next_step(&self) -> Option<u64> {
        self.dues()
            .filter_map(|due| match due {
                Due::Step(step) => Some(step),
                Due::Block(_) | Due::Time(_) => None,
            })
            .min()
    }

    /// Returns the next block after which a change is due.
    pub(crate) fn next_block(&self) -> Option<u64> {
        self.dues()
            .filter_map(|due| match due {
                Due::Block(block) => Some(block),
                Due::Step(_) | Due::Time(_) => None,
            })
            .min()
    }

    /// Returns the next time at which a change is due.
    pub(crate) fn next_time(&self) -> Option<Duration> {
        self.dues()
            .filter_map(|due| match due {
                Due::Time(time) => Some(time),
                Due::Step(_) | Due::Block(_) => None,
            })
            .min()
    }

    fn dues(&self) -> impl Iterator<Item = Due> {
        self.begins.keys().chain(self.ends.keys()).copied()
    }

    /// Takes all changes that are due at `now`, and those of the same unit that were due earlier. `elapsed` is the time
    /// since the queries began.
    pub(crate) fn take(&mut self, now: Due, elapsed: Duration) -> Changes {
        let mut changes = Changes {
            lift: take_due(&mut self.ends, now),
            ..Changes::default()
        };
        for occurrence in take_due(&mut self.begins, now) {
            let Some(entry) = self.entries.get(occurrence.entry) else {
                continue;
            };
            let (when, lasts) = (entry.fault.when().clone(), entry.fault.lasts());
            let occurs = self.occurs(&entry.id, occurrence.number, when.probability);
            if let Some(every) = when.every {
                let number = occurrence.number + 1;
                let next = match (now, every) {
                    (Due::Step(step), Span::Steps(count) | Span::Blocks(count)) => {
                        Some(Due::Step(step.saturating_add(count)))
                    }
                    (Due::Block(block), Span::Blocks(count)) => Some(Due::Block(block.saturating_add(count))),
                    (Due::Time(_), Span::Time(seconds)) => entry
                        .fault
                        .start()
                        .after(number, every)
                        .map(|moment| self.due(moment))
                        .filter(|_| !entry.manual)
                        .or(Some(Due::Time(elapsed + duration(seconds)))),
                    _ => None,
                };
                if let Some(next) = next {
                    self.plan(Occurrence { number, ..occurrence }, next);
                }
            }
            if !occurs {
                continue;
            }
            let end = match (lasts, now) {
                (Some(Span::Steps(count) | Span::Blocks(count)), Due::Step(step)) => {
                    Some(Due::Step(step.saturating_add(count)))
                }
                (Some(Span::Blocks(count)), Due::Block(block)) => {
                    Some(Due::Block(block.saturating_add(count)))
                }
                (Some(Span::Time(seconds)), _) => Some(Due::Time(elapsed + duration(seconds))),
                (None, _) if when.every.is_none() => when.until.map(|until| self.due(until)),
                _ => None,
            };
            if end.is_some_and(|end| is_due(end, now)) {
                continue;
            }
            self.occurred.insert(occurrence.entry);
            if let Some(end) = end {
                self.ends.entry(end).or_default().insert(occurrence);
            }
            changes.apply.push(occurrence);
        }
        changes
    }

    /// Returns whether an occurrence takes place, by a draw that depends only on the fault's name and the number.
    fn occurs(&self, id: &str, number: u64, probability: f64) -> bool {
        probability >= 1.0
            || self
                .seed
                .draw(&format!("fault/{id}"), number)
                .happens(probability)
    }

    /// Returns the planned end of an occurrence. `None` if it has none.
    pub(crate) fn planned_end(&self, occurrence: Occurrence) -> Option<Due> {
        let mut ends = self.ends.iter();
        ends.find(|(_, occurrences)| occurrences.contains(&occurrence))
            .map(|(due, _)| *due)
    }

    /// Returns the next planned beginning of a fault.
    pub(crate) fn planned_start(&self, entry: usize) -> Option<Due> {
        let mut begins = self.begins.iter();
        begins
            .find(|(_, occurrences)| occurrences.iter().any(|occurrence| occurrence.entry == entry))
            .map(|(due, _)| *due)
    }

    /// Returns the next planned beginnings of all faults, by position.
    pub(crate) fn planned_starts(&self) -> HashMap<usize, Due> {
        let begins = self.begins.iter();
        let by_entry = begins.flat_map(|(due, occurrences)| {
            let entries = occurrences.iter().map(|occurrence| occurrence.entry);
            entries.map(|entry| (entry, *due))
        });
        by_entry.collect()
    }

    /// Removes all planned changes of a fault.
    pub(crate) fn forget(&mut self, entry: usize) {
        for planned in [&mut self.begins, &mut self.ends] {
            planned.retain(|_, occurrences| {
                occurrences.retain(|occurrence| occurrence.entry != entry);
                !occurrences.is_empty()
            });
        }
    }

    /// Returns whether a fault has occurred at least once.
    pub(crate) fn has_occurred(&self, entry: usize) -> bool {
        self.occurred.contains(&entry)
    }

    /// Returns the faults that never occurred although an occurrence is still planned.
    pub(crate) fn unreached(&self) -> Vec<String> {
        let planned: BTreeSet<usize> = self
            .begins
            .values()
            .flatten()
            .map(|planned| planned.entry)
            .collect();
        let never = planned.into_iter().filter(|entry| !self.occurred.contains(entry));
        never
            .filter_map(|entry| Some(self.entries.get(entry)?.id.clone()))
            .collect()
    }
}

impl std::fmt::Display for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Step(step) => write!(f, "step {step}"),
            Self::Block(block) => write!(f, "block {block}"),
            Self::Time(time) => write!(f, "{:.3}s", time.as_secs_f64()),
        }
    }
}

/// Returns whether `due` has come. `false` if it is in another unit than `now`.
fn is_due(due: Due, now: Due) -> bool {
    match (due, now) {
        (Due::Step(due), Due::Step(now)) | (Due::Block(due), Due::Block(now)) => due <= now,
        (Due::Time(due), Due::Time(now)) => due <= now,
        _ => false,
    }
}

/// Takes what is due at `now`, and what was due earlier in the same unit.
fn take_due(planned: &mut BTreeMap<Due, BTreeSet<Occurrence>>, now: Due) -> Vec<Occurrence> {
    let due: Vec<Due> = planned.keys().copied().filter(|due| is_due(*due, now)).collect();
    due.iter()
        .filter_map(|due| planned.remove(due))
        .flatten()
        .collect()
}

/// Returns a duration of seconds that a checked file contains, at most 30 days.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: serde_json::Value) -> Vec<Fault> {
        serde_json::from_value(json).expect("they are faults")
    }

    #[allow(clippy::needless_pass_by_value, reason = "`json!` makes values")]
    fn pause(when: serde_json::Value) -> Fault {
        let mut fault = serde_json::json!({"pause": ["uid 3"], "probability": 1.0});
        let keys = fault.as_object_mut().expect("a map");
        keys.extend(when.as_object().expect("a map").clone());
        serde_json::from_value(fault).expect("it is a fault")
    }

    /// Returns the steps 0..100 before which the fault begins and ends.
    fn steps(when: serde_json::Value) -> (Vec<u64>, Vec<u64>) {
        let mut schedule = Schedule::new(7, Some(10), &[pause(when)]);
        let (mut begins, mut ends) = (Vec::new(), Vec::new());
        while let Some(step) = schedule.next_step().filter(|step| *step < 100) {
            let changes = schedule.take(Due::Step(step), Duration::ZERO);
            begins.extend(changes.apply.iter().map(|_| step));
            ends.extend(changes.lift.iter().map(|_| step));
        }
        (begins, ends)
    }

    #[test]
    fn a_fault_begins_and_ends_at_its_steps() {
        use serde_json::json;
        assert_eq!(
            steps(json!({"at": "step 50", "for": "20 steps"})),
            (vec![50], vec![70])
        );
        assert_eq!(
            steps(json!({"at": "step 50", "until": "step 60"})),
            (vec![50], vec![60])
        );
        assert_eq!(steps(json!({"at": "step 50"})), (vec![50], vec![]));
        assert_eq!(steps(json!({})), (vec![0], vec![]));
        // Block 10 has closed when step 0 begins.
        assert_eq!(
            steps(json!({"at": "block 30", "for": "5 blocks"})),
            (vec![20], vec![25])
        );
        assert_eq!(
            steps(json!({"at": "step 10", "for": "5 steps", "every": "30 steps"})),
            (vec![10, 40, 70], vec![15, 45, 75])
        );
        assert_eq!(
            steps(json!({"at": "step 10", "for": "30 steps", "every": "30 steps", "until": "step 70"})),
            (vec![10, 40], vec![40, 70])
        );
        assert_eq!(
            steps(json!({"at": "step 10", "probability": 0.0})),
            (vec![], vec![])
        );
    }

    #[test]
    fn a_fault_that_begins_at_a_step_can_end_by_the_clock() {
        let lasting = pause(serde_json::json!({"at": "step 5", "for": "2s"}));
        let mut schedule = Schedule::new(7, Some(0), &[lasting]);
        let now = Duration::from_secs(30);
        assert_eq!(schedule.take(Due::Step(5), now).apply.len(), 1);
        assert_eq!(schedule.next_time(), Some(Duration::from_secs(32)));
        assert_eq!(
            schedule.take(Due::Time(Duration::from_secs(32)), now).lift.len(),
            1
        );
        assert_eq!((schedule.next_step(), schedule.next_time()), (None, None));
    }

    /// The draw of each occurrence depends only on the name of the fault and its number.
    #[test]
    fn another_fault_does_not_change_which_occurrences_take_place() {
        let chancy =
            serde_json::json!({"at": "step 0", "for": "1 step", "every": "1 step", "probability": 0.5});
        let begins = |faults: &[Fault], position: usize| {
            let mut schedule = Schedule::new(7, Some(0), faults);
            let mut begins = Vec::new();
            for step in 0..200 {
                let changes = schedule.take(Due::Step(step), Duration::ZERO);
                begins.extend(
                    changes
                        .apply
                        .iter()
                        .filter(|one| one.entry == position)
                        .map(|_| step),
                );
            }
            begins
        };
        let alone = begins(&[pause(chancy.clone())], 0);
        // 200 draws with a probability of 0.5 have 100 ± 23 successes with a probability above 0.998.
        assert!((77..=123).contains(&alone.len()), "{}", alone.len());
        let other = faults(serde_json::json!([{"kill": ["uid 1"], "probability": 1.0}]));
        let both = [other, vec![pause(chancy)]].concat();
        assert_eq!(begins(&both, 1), alone);
    }

    #[test]
    fn faults_have_different_names_that_do_not_depend_on_their_rates() {
        let link = |rate: f64| {
            faults(serde_json::json!([{
                "link": {"to": ["uid 3"]}, "drop": rate, "probability": 1.0, "refuse": 0.0, "goaway": 0.0,
                "stall": 0.0, "drop_reply": 0.0, "corrupt": 0.0, "duplicate": 0.0
            }]))
        };
        let ids = |faults: &[Fault]| -> Vec<String> {
            let schedule = Schedule::new(7, Some(0), faults);
            schedule.entries().map(|(_, entry)| entry.id.clone()).collect()
        };
        let two = ids(&[link(0.1), link(0.2)].concat());
        assert_eq!(two[1], format!("{}-2", two[0]));
        assert_eq!(ids(&link(0.5)), two[..1]);
    }
}
