//! Compares the durations of spans of two runs.
//!
//! The unit is a trace: the duration of a name in a trace is the median over the spans of that name. Trace ids are
//! functions of the random seed, so runs with one seed have the same ids and are compared trace by trace.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use mirror_runs::tables::SpanRow;
use mirror_runs::{Run, RunError};
use serde::Serialize;

use crate::bootstrap::{Reservoir, median, paired_interval, unpaired_interval};
use crate::lookup::Groups;

/// Maximum number of traces whose durations are kept for one name. If there are more, a uniform sample is kept.
pub const SAMPLE: usize = 4000;

/// Maximum number of names, or of names with uids, that are compared.
const LARGEST_GROUPS: usize = 20_000;

/// Kind of groups in which durations are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// By the name of spans.
    Name,
    /// By the name and the uid.
    NameAndUid,
}

/// The difference between two runs.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The traces that were compared.
    pub pairing: Pairing,
    /// The changes, sorted by the time that was added, the greatest first.
    pub changes: Vec<Change>,
    /// Number of spans that were left out because there are too many names.
    pub left_out: u64,
}

/// The traces that were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Pairing {
    /// The traces that are in both runs, which have the same seed.
    Paired {
        /// Number of traces in both runs.
        traces: u64,
        /// Number of traces only in the first run, which are not compared.
        only_first: u64,
        /// Number of traces only in the second run, which are not compared.
        only_second: u64,
    },
    /// All traces of both runs, whose seeds differ.
    Unpaired {
        /// Number of traces of the first run.
        first: u64,
        /// Number of traces of the second run.
        second: u64,
    },
}

/// The difference for one name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Name of the spans.
    pub name: String,
    /// The uid of the spans. `None` if spans are not grouped by uid, or have none.
    pub uid: Option<u32>,
    /// Median duration in each run, in nanoseconds, over the traces that have the name. `None` without such traces.
    pub median_ns: [Option<f64>; 2],
    /// Ratio of the medians, the second run to the first. `None` if it cannot be computed.
    pub ratio: Option<f64>,
    /// The 95% bootstrap interval of the ratio. `None` with fewer than 10 traces.
    pub interval: Option<Interval>,
    /// Total time of the spans per trace in the second run minus that in the first, in nanoseconds.
    pub added_per_trace_ns: f64,
    /// Conclusion from the interval.
    pub verdict: Verdict,
    /// Whether the medians and the interval are those of a sample of the traces.
    pub is_sampled: bool,
}

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Conclusion from an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval is above 1.
    Slower,
    /// The interval is below 1.
    Faster,
    /// The interval contains 1, or there is none.
    NoDifferenceShown,
}

type Key = (String, Option<u32>);

/// Durations of one name in both runs, one value per trace.
struct Durations {
    paired: Reservoir<(f64, f64)>,
    single: [Reservoir<f64>; 2],
    total: [f64; 2],
}

/// Durations of all names.
struct Collected {
    grouping: Grouping,
    groups: BTreeMap<Key, Durations>,
    left_out: u64,
}

/// Compares two runs, trace by trace if they have the same seed.
pub fn compare(first: &Run, second: &Run, grouping: Grouping) -> Result<Comparison, RunError> {
    let mut collected = Collected {
        grouping,
        groups: BTreeMap::new(),
        left_out: 0,
    };
    let pairing = if first.manifest().seed == second.manifest().seed {
        collected.read_paired(first, second)?
    } else {
        Pairing::Unpaired {
            first: collected.read_single(first, 0)?,
            second: collected.read_single(second, 1)?,
        }
    };
    let traces = match pairing {
        Pairing::Paired { traces, .. } => [traces, traces],
        Pairing::Unpaired { first, second } => [first, second],
    };
    let groups = collected.groups.into_iter();
    let mut changes: Vec<Change> = groups
        .map(|(key, durations)| durations.change(key, traces))
        .collect();
    changes.sort_by(|one, other| other.added_per_trace_ns.total_cmp(&one.added_per_trace_ns));
    Ok(Comparison {
        pairing,
        changes,
        left_out: collected.left_out,
    })
}

impl Collected {
    /// Reads the traces that are in both runs.
    fn read_paired(&mut self, first: &Run, second: &Run) -> Result<Pairing, RunError> {
        let (mut traces, mut only_first, mut only_second) = (0, 0, 0);
        let (mut first, mut second) = (Groups::of(first)?, Groups::of(second)?);
        let mut one = first.next().transpose()?;
        let mut other = second.next().transpose()?;
        loop {
            let order = match (&one, &other) {
                (Some(one), Some(other)) => one[0].trace_id.cmp(&other[0].trace_id),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            match (order, &one, &other) {
                (Ordering::Less, ..) => only_first += 1,
                (Ordering::Greater, ..) => only_second += 1,
                (Ordering::Equal, one, other) => {
                    traces += 1;
                    self.add_pair(
                        one.as_deref().unwrap_or_default(),
                        other.as_deref().unwrap_or_default(),
                    );
                }
            }
            if order.is_le() {
                one = first.next().transpose()?;
            }
            if order.is_ge() {
                other = second.next().transpose()?;
            }
        }
        Ok(Pairing::Paired {
            traces,
            only_first,
            only_second,
        })
    }

    /// Reads all traces of one run, the first (0) or the second (1), and returns their number.
    fn read_single(&mut self, run: &Run, which: usize) -> Result<u64, RunError> {
        let mut traces = 0;
        for rows in Groups::of(run)? {
            traces += 1;
            for (key, durations) in self.by_key(&rows?) {
                if let Some(group) = self.group(key, durations.len()) {
                    group.add_single(which, &durations);
                }
            }
        }
        Ok(traces)
    }

    fn add_pair(&mut self, first: &[SpanRow], second: &[SpanRow]) {
        let mut in_second = self.by_key(second);
        let mut both: Vec<(Key, [Vec<f64>; 2])> = Vec::new();
        for (key, durations) in self.by_key(first) {
            let other = in_second.remove(&key).unwrap_or_default();
            both.push((key, [durations, other]));
        }
        both.extend(
            in_second
                .into_iter()
                .map(|(key, other)| (key, [Vec::new(), other])),
        );
        for (key, [one, other]) in both {
            let Some(group) = self.group(key, one.len() + other.len()) else {
                continue;
            };
            if let (Some(one), Some(other)) = (median(&one), median(&other)) {
                group.paired.push((one, other));
            }
            group.add_single(0, &one);
            group.add_single(1, &other);
        }
    }

    /// Returns the durations of the spans of one trace, in nanoseconds.
    fn by_key(&self, rows: &[SpanRow]) -> BTreeMap<Key, Vec<f64>> {
        let mut durations: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
        for row in rows {
            let uid = row.uid.filter(|_| self.grouping == Grouping::NameAndUid);
            let group = durations.entry((row.name.clone(), uid)).or_default();
            group.push(row.duration_ns as f64);
        }
        durations
    }

    /// Returns the group of a key. `None` if there are too many groups. Then `spans` are counted as left out.
    fn group(&mut self, key: Key, spans: usize) -> Option<&mut Durations> {
        if self.groups.len() >= LARGEST_GROUPS && !self.groups.contains_key(&key) {
            self.left_out += spans as u64;
            return None;
        }
        Some(self.groups.entry(key).or_insert_with(|| Durations {
            paired: Reservoir::new(SAMPLE),
            single: [Reservoir::new(SAMPLE), Reservoir::new(SAMPLE)],
            total: [0.0; 2],
        }))
    }
}

impl Durations {
    fn add_single(&mut self, which: usize, durations: &[f64]) {
        self.total[which] += durations.iter().sum::<f64>();
        if let Some(median) = median(durations) {
            self.single[which].push(median);
        }
    }

    fn change(&self, (name, uid): Key, traces: [u64; 2]) -> Change {
        let pairs = self.paired.values();
        let (median_ns, interval, is_sampled) = if pairs.is_empty() {
            let [first, second] = &self.single;
            (
                [median(first.values()), median(second.values())],
                unpaired_interval(first.values(), second.values()),
                first.is_sample() || second.is_sample(),
            )
        } else {
            let (first, second): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            (
                [median(&first), median(&second)],
                paired_interval(pairs),
                self.paired.is_sample(),
            )
        };
        let ratio = median_ns[0]
            .zip(median_ns[1])
            .map(|(first, second)| second / first);
        let per_trace = |which: usize| self.total[which] / traces[which].max(1) as f64;
        Change {
            name,
            uid,
            median_ns,
            ratio: ratio.filter(|ratio| ratio.is_finite()),
            interval: interval.map(|(low, high)| Interval { low, high }),
            added_per_trace_ns: per_trace(1) - per_trace(0),
            verdict: match interval {
                Some((low, _)) if low > 1.0 => Verdict::Slower,
                Some((_, high)) if high < 1.0 => Verdict::Faster,
                _ => Verdict::NoDifferenceShown,
            },
            is_sampled,
        }
    }
}
