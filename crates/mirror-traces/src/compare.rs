//! Compares the durations of the spans of two runs.
//!
//! The unit of comparison is a trace, because the spans of one trace are not independent: for each name, the mean
//! duration of the spans of this name in the trace. Trace ids are functions of the random seed and of the step, so two
//! runs with the same seed have the same ids, and their traces are compared in pairs. Other runs are compared without
//! pairs.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use mirror_runs::{Run, RunError};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::trace::Trace;
use crate::traces::Traces;

/// Seed of the draws, so that a comparison gives the same result again.
const SEED: u64 = 22;

/// Number of draws of the bootstrap.
const RESAMPLES: usize = 1_000;

/// Least number of traces for an interval. With fewer, an interval of 95% does not exist for a median.
const MIN_TRACES: usize = 6;

/// Largest number of groups that are compared, so that a damaged file cannot fill the memory.
const MAX_GROUPS: usize = 20_000;

/// The spans that are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Spans with the same name.
    Name,
    /// Spans with the same name and the same uid.
    NameAndUid,
}

impl Grouping {
    /// Returns the largest number of traces of a group that are kept: 10,000, or 1,000 for each uid. Of more traces, a
    /// random sample with a fixed seed is kept.
    pub fn sample_size(self) -> usize {
        match self {
            Self::Name => 10_000,
            Self::NameAndUid => 1_000,
        }
    }

    fn of(self, uid: Option<u32>) -> Option<u32> {
        match self {
            Self::Name => None,
            Self::NameAndUid => uid,
        }
    }
}

type Key = (String, Option<u32>);

/// Durations of spans, by group.
#[derive(Default)]
struct Sums {
    groups: HashMap<Key, (i128, u64)>,
}

impl Sums {
    fn of(trace: &Trace, grouping: Grouping) -> Self {
        let mut groups: HashMap<Key, (i128, u64)> = HashMap::new();
        for span in trace.spans() {
            let key = (span.row.name.clone(), grouping.of(span.row.uid));
            let (sum, count) = groups.entry(key).or_default();
            *sum += i128::from(span.duration_ns);
            *count += 1;
        }
        Self { groups }
    }
}

fn mean((sum, count): (i128, u64)) -> f64 {
    sum as f64 / count as f64
}

/// A random sample of bounded size: algorithm R of Vitter, "Random sampling with a reservoir" (1985).
#[derive(Debug)]
struct Reservoir<T> {
    kept: Vec<T>,
    seen: u64,
}

impl<T> Reservoir<T> {
    fn new() -> Self {
        Self {
            kept: Vec::new(),
            seen: 0,
        }
    }

    fn add(&mut self, value: T, size: usize, random: &mut impl Rng) {
        self.seen += 1;
        if self.kept.len() < size {
            self.kept.push(value);
            return;
        }
        let place = random.random_range(0..self.seen);
        if let Some(kept) = usize::try_from(place)
            .ok()
            .and_then(|place| self.kept.get_mut(place))
        {
            *kept = value;
        }
    }
}

/// The durations of one group.
#[derive(Debug)]
struct Group {
    total: [f64; 2],
    durations: Durations,
}

/// Mean durations of a group in traces, in nanoseconds.
#[derive(Debug)]
enum Durations {
    /// Of traces that both runs have.
    Paired(Reservoir<[f64; 2]>),
    /// Of the traces of each run.
    Unpaired([Reservoir<f64>; 2]),
}

/// The comparison of two runs.
#[derive(Debug)]
pub struct Comparison {
    /// Number of traces of each run that were compared. If the comparison is paired, the two numbers are equal.
    pub traces: [u64; 2],
    /// Number of traces that only one of the two runs has and that were left out of a paired comparison.
    pub unpaired_traces: [u64; 2],
    /// Whether traces were compared in pairs.
    pub pairing: Pairing,
    /// The groups of spans, the one that added the most time first.
    pub differences: Vec<Difference>,
    /// Number of spans that were left out because there were more than 20,000 groups.
    pub left_out_spans: u64,
}

/// The way in which traces of two runs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Traces with the same id.
    SameTraces,
    /// All traces of one run with all traces of the other.
    None,
}

/// One group of spans in two runs.
#[derive(Debug)]
pub struct Difference {
    /// Name of the spans.
    pub name: String,
    /// The uid, if uids are distinguished and the spans have one.
    pub uid: Option<u32>,
    /// Median over the traces in nanoseconds, of each run. `None` if a run has no such span.
    pub medians_ns: [Option<f64>; 2],
    /// The time in nanoseconds that the spans of a trace took in the second run beyond the first one, on average.
    pub added_ns: f64,
    /// Number of traces with such spans, of each run.
    pub traces: [u64; 2],
    durations: Durations,
}

/// The result for one group of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The interval is above 1.
    Slower,
    /// The interval is below 1.
    Faster,
    /// The interval contains 1, or there is none.
    NotShown,
}

impl Difference {
    /// Returns the median of the second run divided by that of the first one. `None` without a median or if the first
    /// one is 0.
    pub fn ratio(&self) -> Option<f64> {
        let [Some(first), Some(second)] = self.medians_ns else {
            return None;
        };
        (first > 0.0).then(|| second / first)
    }

    /// Computes an interval of 95% for the ratio by the percentile bootstrap with 1,000 draws and a fixed seed. `None`
    /// if a run has fewer than 6 traces with such spans or a median of 0.
    pub fn interval(&self) -> Option<[f64; 2]> {
        self.ratio()?;
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let mut ratios = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            let [mut first, mut second] = match &self.durations {
                Durations::Paired(pairs) => {
                    let pairs = resampled(&pairs.kept, &mut random)?;
                    let (first, second) = pairs.into_iter().map(|[first, second]| (first, second)).unzip();
                    [first, second]
                }
                Durations::Unpaired([first, second]) => [
                    resampled(&first.kept, &mut random)?,
                    resampled(&second.kept, &mut random)?,
                ],
            };
            let (first, second) = (median(&mut first)?, median(&mut second)?);
            if first <= 0.0 {
                return None;
            }
            ratios.push(second / first);
        }
        let ratios = mirror_statistics::Quantiles::of(&ratios)?;
        Some([ratios.at(0.025)?, ratios.at(0.975)?])
    }
}

impl Change {
    /// Returns the result that an interval of the ratio shows.
    pub fn of(interval: Option<[f64; 2]>) -> Self {
        match interval {
            Some([low, _]) if low > 1.0 => Self::Slower,
            Some([_, high]) if high < 1.0 => Self::Faster,
            _ => Self::NotShown,
        }
    }

    /// Returns the result in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::NotShown => "no difference shown",
        }
    }
}

fn resampled<T: Copy>(values: &[T], random: &mut impl Rng) -> Option<Vec<T>> {
    if values.len() < MIN_TRACES {
        return None;
    }
    Some(
        (0..values.len())
            .map(|_| values[random.random_range(0..values.len())])
            .collect(),
    )
}

/// Returns the median. `None` without a value.
fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    if values.is_empty() {
        return None;
    }
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if !is_even {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, upper))
}

/// Compares two runs. Traces are paired by their ids if any trace of the first run is in the second one.
///
/// # Errors
/// Returns an error if a table cannot be read.
pub fn compare(first: &Run, second: &Run, grouping: Grouping) -> Result<Comparison, RunError> {
    let pairing = if first.manifest().seed == second.manifest().seed && share_a_trace(first, second)? {
        Pairing::SameTraces
    } else {
        Pairing::None
    };
    let mut collector = Collector {
        grouping,
        pairing,
        random: ChaCha8Rng::seed_from_u64(SEED),
        groups: BTreeMap::new(),
        left_out_spans: 0,
    };
    let mut traces = [0, 0];
    let mut unpaired_traces = [0, 0];
    merge(first, second, |sides| {
        match (pairing, sides) {
            (Pairing::SameTraces, Sides::Both(first, second)) => {
                traces[0] += 1;
                traces[1] += 1;
                collector.add_pair(&Sums::of(first, grouping), &Sums::of(second, grouping));
            }
            (Pairing::SameTraces, Sides::First(_)) => unpaired_traces[0] += 1,
            (Pairing::SameTraces, Sides::Second(_)) => unpaired_traces[1] += 1,
            (Pairing::None, sides) => {
                let (first, second) = match sides {
                    Sides::Both(first, second) => (Some(first), Some(second)),
                    Sides::First(first) => (Some(first), None),
                    Sides::Second(second) => (None, Some(second)),
                };
                for (run, trace) in [first, second].into_iter().enumerate() {
                    if let Some(trace) = trace {
                        traces[run] += 1;
                        collector.add_single(run, &Sums::of(trace, grouping));
                    }
                }
            }
        }
        Step::Continue
    })?;
    Ok(Comparison {
        traces,
        unpaired_traces,
        pairing,
        left_out_spans: collector.left_out_spans,
        differences: collector.differences(traces),
    })
}

enum Sides<'a> {
    Both(&'a Trace, &'a Trace),
    First(&'a Trace),
    Second(&'a Trace),
}

#[derive(PartialEq)]
enum Step {
    Continue,
    Stop,
}

/// Calls `visit` with the traces of two runs in the order of their ids.
fn merge(first: &Run, second: &Run, mut visit: impl FnMut(Sides<'_>) -> Step) -> Result<(), RunError> {
    let mut firsts = Traces::of_run(first)?;
    let mut seconds = Traces::of_run(second)?;
    let mut head = firsts.next().transpose()?;
    let mut other = seconds.next().transpose()?;
    loop {
        let order = match (&head, &other) {
            (Some(first), Some(second)) => first.id().cmp(second.id()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        let step = match (order, &head, &other) {
            (Ordering::Equal, Some(first), Some(second)) => visit(Sides::Both(first, second)),
            (Ordering::Less, Some(first), _) => visit(Sides::First(first)),
            (_, _, Some(second)) => visit(Sides::Second(second)),
            _ => Step::Stop,
        };
        if step == Step::Stop {
            return Ok(());
        }
        if order.is_le() {
            head = firsts.next().transpose()?;
        }
        if order.is_ge() {
            other = seconds.next().transpose()?;
        }
    }
}

fn share_a_trace(first: &Run, second: &Run) -> Result<bool, RunError> {
    let mut shared = false;
    merge(first, second, |sides| {
        if let Sides::Both(..) = sides {
            shared = true;
            return Step::Stop;
        }
        Step::Continue
    })?;
    Ok(shared)
}

struct Collector {
    grouping: Grouping,
    pairing: Pairing,
    random: ChaCha8Rng,
    groups: BTreeMap<Key, Group>,
    left_out_spans: u64,
}

impl Collector {
    fn add_pair(&mut self, first: &Sums, second: &Sums) {
        let only_second = (second.groups.keys()).filter(|key| !first.groups.contains_key(*key));
        // A hash map has no fixed order, but the draws must come in one.
        let mut keys: Vec<&Key> = first.groups.keys().chain(only_second).collect();
        keys.sort_unstable();
        for key in keys {
            let sums = [first.groups.get(key).copied(), second.groups.get(key).copied()];
            let spans = sums.iter().flatten().map(|(_, count)| count).sum();
            let size = self.grouping.sample_size();
            let Some((group, random)) = self.group(key, spans) else {
                continue;
            };
            for (total, sum) in group.total.iter_mut().zip(sums) {
                *total += sum.map_or(0.0, |(sum, _)| sum as f64);
            }
            if let (Durations::Paired(pairs), [Some(first), Some(second)]) = (&mut group.durations, sums) {
                pairs.add([mean(first), mean(second)], size, random);
            }
        }
    }

    /// Adds a trace of the first (0) or the second (1) run.
    fn add_single(&mut self, run: usize, sums: &Sums) {
        let mut keys: Vec<(&Key, (i128, u64))> = sums.groups.iter().map(|(key, sums)| (key, *sums)).collect();
        keys.sort_unstable();
        let size = self.grouping.sample_size();
        for (key, sums) in keys {
            let Some((group, random)) = self.group(key, sums.1) else {
                continue;
            };
            group.total[run] += sums.0 as f64;
            if let Durations::Unpaired(durations) = &mut group.durations {
                durations[run].add(mean(sums), size, random);
            }
        }
    }

    /// Returns a group and the generator of the draws. `None` if there are too many groups already.
    fn group(&mut self, key: &Key, spans: u64) -> Option<(&mut Group, &mut ChaCha8Rng)> {
        if !self.groups.contains_key(key) {
            if self.groups.len() == MAX_GROUPS {
                self.left_out_spans += spans;
                return None;
            }
            let durations = match self.pairing {
                Pairing::SameTraces => Durations::Paired(Reservoir::new()),
                Pairing::None => Durations::Unpaired([Reservoir::new(), Reservoir::new()]),
            };
            self.groups.insert(
                key.clone(),
                Group {
                    total: [0.0; 2],
                    durations,
                },
            );
        }
        Some((self.groups.get_mut(key)?, &mut self.random))
    }

    fn differences(self, traces: [u64; 2]) -> Vec<Difference> {
        let mut differences: Vec<Difference> = self
            .groups
            .into_iter()
            .map(|((name, uid), group)| {
                let (medians_ns, counts) = match &group.durations {
                    Durations::Paired(pairs) => {
                        let of = |run: usize| {
                            let mut values: Vec<f64> = pairs.kept.iter().map(|pair| pair[run]).collect();
                            median(&mut values)
                        };
                        ([of(0), of(1)], [pairs.seen; 2])
                    }
                    Durations::Unpaired(runs) => (
                        [0, 1].map(|run: usize| median(&mut runs[run].kept.clone())),
                        [runs[0].seen, runs[1].seen],
                    ),
                };
                let mean = |run: usize| group.total[run] / traces[run].max(1) as f64;
                Difference {
                    name,
                    uid,
                    medians_ns,
                    added_ns: mean(1) - mean(0),
                    traces: counts,
                    durations: group.durations,
                }
            })
            .collect();
        differences.sort_by(|one, other| other.added_ns.total_cmp(&one.added_ns));
        differences
    }
}
