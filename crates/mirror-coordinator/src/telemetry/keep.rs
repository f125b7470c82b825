//! The choice of traces that are kept: all, or those with errors and the slowest hundredth.
//!
//! The choice is made when a trace is complete: its root has ended, and the spans of other nodes had time to arrive.
//! Until then its spans wait, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use mirror_runs::tables::SpanRow;

/// Time that the spans of other nodes have to arrive after the root of their trace, beyond the interval at which nodes
/// send them.
const GRACE: Duration = Duration::from_secs(1);

/// Time after which a trace without a root is chosen by what is known of it.
const ABANDONED: Duration = Duration::from_mins(1);

/// Maximum number of waiting spans. If there are more, the oldest traces are chosen early.
const MAX_WAITING: usize = 200_000;

/// Maximum number of remembered choices. Spans that arrive after the choice follow it.
const MAX_CHOICES: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("the number is above 0");

/// Maximum size of the texts of waiting spans in bytes. If there is more, the oldest traces are chosen early.
const MAX_WAITING_BYTES: usize = 256 << 20;

/// The share of traces that are kept for their durations.
const SLOWEST: f64 = 0.01;

/// The share of traces that are kept at most for their durations, if each is slower than those before it, beyond the
/// first [`FIRST`].
const MOST: f64 = 2.0 * SLOWEST;

/// Number of traces that are kept for their durations whatever their share is.
const FIRST: f64 = 10.0;

/// Number of traces after which older ones count half, so that the slowest are those of the recent past.
const WINDOW: u64 = 10_000;

/// Maximum number of names of roots whose durations are distinguished. The least recently used one is forgotten.
const MAX_NAMES: NonZeroUsize = NonZeroUsize::new(256).expect("the number is above 0");

/// Chooses traces.
pub(super) enum Keep {
    /// All are kept.
    All,
    /// Those with errors and the slowest are kept.
    Some(Box<Choosing>),
}

/// The traces for which the choice is due or was made.
pub(super) struct Choosing {
    /// Time that the spans of other nodes have to arrive after the root of their trace.
    grace: Duration,
    waiting: HashMap<String, Waiting>,
    /// The waiting traces in the order in which they began.
    order: VecDeque<String>,
    /// The traces whose root has ended, with the time at which it arrived, in this order.
    ended: VecDeque<(Instant, String)>,
    spans: usize,
    /// Size of the texts of the waiting spans in bytes.
    bytes: usize,
    choices: LruCache<String, bool>,
    /// The durations of the roots by name.
    durations: LruCache<String, Durations>,
    /// Number of spans that were not kept.
    dropped: u64,
}

struct Waiting {
    since: Instant,
    /// The name and the duration of the first root that arrived.
    root: Option<(String, u64)>,
    has_error: bool,
    bytes: usize,
    rows: Vec<SpanRow>,
}

/// Durations in classes that are one percent apart, from a microsecond on.
#[derive(Default)]
struct Durations {
    classes: Vec<u64>,
    count: u64,
    /// Number of traces that were kept for their durations.
    kept: u64,
}

impl Durations {
    fn class(nanoseconds: u64) -> usize {
        ((nanoseconds as f64 / 1_000.0).max(1.0).ln() / 1.01_f64.ln()) as usize
    }

    /// Adds a duration. Returns whether it is among the slowest so far. Equal durations count as slowest only while
    /// their number is within the share.
    fn add(&mut self, nanoseconds: u64) -> bool {
        if self.count >= WINDOW {
            self.classes.iter_mut().for_each(|count| *count /= 2);
            self.count = self.classes.iter().sum();
            self.kept /= 2;
        }
        let class = Self::class(nanoseconds);
        if self.classes.len() <= class {
            self.classes.resize(class + 1, 0);
        }
        self.classes[class] += 1;
        self.count += 1;
        let at_least: u64 = self.classes[class..].iter().sum();
        let is_slow = at_least as f64 <= (self.count as f64 * SLOWEST).ceil();
        let is_kept = is_slow && (self.kept as f64) < FIRST + self.count as f64 * MOST;
        self.kept += u64::from(is_kept);
        is_kept
    }
}

impl Keep {
    /// Keeps all traces.
    pub(super) fn all() -> Self {
        Self::All
    }

    /// Keeps the traces with errors and the slowest hundredth, by the name of their root. Nodes send their spans at
    /// intervals of `spans_interval`.
    pub(super) fn errors_and_slowest(spans_interval: Duration) -> Self {
        Self::Some(Box::new(Choosing {
            grace: spans_interval.saturating_add(GRACE),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            ended: VecDeque::new(),
            spans: 0,
            bytes: 0,
            choices: LruCache::new(MAX_CHOICES),
            durations: LruCache::new(MAX_NAMES),
            dropped: 0,
        }))
    }

    /// Takes spans. Adds those that are kept to `kept`.
    pub(super) fn take(&mut self, rows: Vec<SpanRow>, now: Instant, kept: &mut Vec<SpanRow>) {
        match self {
            Self::All => kept.extend(rows),
            Self::Some(choosing) => {
                for row in rows {
                    choosing.add(row, now, kept);
                }
                choosing.choose(now, kept);
            }
        }
    }

    /// Chooses all waiting traces.
    pub(super) fn finish(&mut self, kept: &mut Vec<SpanRow>) {
        if let Self::Some(choosing) = self {
            while let Some(trace) = choosing.order.pop_front() {
                choosing.choose_one(&trace, kept);
            }
        }
    }

    /// Returns the number of spans that were not kept.
    pub(super) fn dropped(&self) -> u64 {
        match self {
            Self::All => 0,
            Self::Some(choosing) => choosing.dropped,
        }
    }
}

impl Choosing {
    fn add(&mut self, row: SpanRow, now: Instant, kept: &mut Vec<SpanRow>) {
        if let Some(is_kept) = self.choices.get(&row.trace_id) {
            if *is_kept {
                kept.push(row);
            } else {
                self.dropped += 1;
            }
            return;
        }
        let order = &mut self.order;
        let waiting = self.waiting.entry(row.trace_id.clone()).or_insert_with(|| {
            order.push_back(row.trace_id.clone());
            Waiting {
                since: now,
                root: None,
                has_error: false,
                bytes: 0,
                rows: Vec::new(),
            }
        });
        waiting.has_error |= row.error.is_some();
        if row.parent_id.is_none() && waiting.root.is_none() {
            waiting.root = Some((row.name.clone(), row.duration_ns));
            self.ended.push_back((now, row.trace_id.clone()));
        }
        let size = size_of(&row);
        waiting.bytes += size;
        waiting.rows.push(row);
        self.bytes += size;
        self.spans += 1;
    }

    /// Chooses the traces that are complete, and the oldest while too many spans wait.
    fn choose(&mut self, now: Instant, kept: &mut Vec<SpanRow>) {
        while let Some((_, trace)) = self
            .ended
            .pop_front_if(|(ended, _)| now.duration_since(*ended) >= self.grace)
        {
            self.choose_one(&trace, kept);
        }
        while let Some(trace) = self.order.front() {
            let Some(waiting) = self.waiting.get(trace) else {
                self.order.pop_front();
                continue;
            };
            let is_abandoned = waiting.root.is_none() && now.duration_since(waiting.since) >= ABANDONED;
            let is_full = self.spans > MAX_WAITING || self.bytes > MAX_WAITING_BYTES;
            if !is_abandoned && !is_full {
                return;
            }
            let trace = trace.clone();
            self.order.pop_front();
            self.choose_one(&trace, kept);
        }
    }

    fn choose_one(&mut self, trace: &str, kept: &mut Vec<SpanRow>) {
        let Some(waiting) = self.waiting.remove(trace) else {
            return;
        };
        self.spans -= waiting.rows.len();
        self.bytes -= waiting.bytes;
        let is_slow = match waiting.root {
            Some((name, duration)) => self
                .durations
                .get_or_insert_mut(name, Durations::default)
                .add(duration),
            // The node of the root was killed.
            None => true,
        };
        let is_kept = waiting.has_error || is_slow;
        self.choices.put(trace.to_owned(), is_kept);
        if is_kept {
            kept.extend(waiting.rows);
        } else {
            self.dropped += waiting.rows.len() as u64;
        }
    }
}

/// Returns the size of the texts of a span in bytes.
fn size_of(row: &SpanRow) -> usize {
    let optional = [&row.code, &row.error, &row.rules, &row.links, &row.attributes];
    let optional: usize = optional.into_iter().flatten().map(String::len).sum();
    row.name.len() + optional
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    /// Returns a span of the trace `trace`, its root if it has no parent.
    fn row(trace: u64, span: u64, parent: Option<u64>, duration_ns: u64) -> SpanRow {
        SpanRow {
            trace_id: format!("{trace:032x}"),
            span_id: format!("{span:016x}"),
            parent_id: parent.map(|parent| format!("{parent:016x}")),
            name: "step".to_owned(),
            kind: "internal".to_owned(),
            node: "validator-0".to_owned(),
            incarnation: 0,
            started_ns: 1,
            duration_ns,
            ..SpanRow::default()
        }
    }

    fn traces(kept: &[SpanRow]) -> Vec<u64> {
        let mut traces: Vec<u64> = kept
            .iter()
            .map(|row| u64::from_str_radix(&row.trace_id, 16).expect("the number of the trace"))
            .collect();
        traces.sort_unstable();
        traces
    }

    #[test]
    fn traces_with_errors_and_the_slowest_hundredth_are_kept_whole() {
        let mut keep = Keep::errors_and_slowest(INTERVAL);
        let now = Instant::now();
        let mut kept = Vec::new();
        // Durations fall, so that only the first trace is among the slowest so far until a hundred have followed it.
        for trace in 1..=1_000 {
            let mut child = row(trace, 2, Some(1), 10);
            if trace % 250 == 0 {
                child.error = Some("timeout".to_owned());
            }
            let root = row(trace, 1, None, 10_000_000_000 / trace);
            keep.take(vec![child, root], now, &mut kept);
        }
        assert!(kept.is_empty(), "the spans of other nodes may still arrive");
        keep.take(Vec::new(), now + INTERVAL + GRACE, &mut kept);
        let traces = traces(&kept);
        // Both spans of each trace are kept.
        assert!(traces.chunks(2).all(|pair| pair[0] == pair[1]), "{traces:?}");
        for error in [250, 500, 750, 1_000] {
            assert!(traces.contains(&error), "{error}: {traces:?}");
        }
        assert!(traces.contains(&1), "the slowest of all");
        assert!(traces.len() / 2 <= 4 + 10, "{traces:?}");
        assert_eq!(keep.dropped(), 2_000 - kept.len() as u64);
    }

    #[test]
    fn a_trace_with_a_new_root_again_and_again_delays_no_other() {
        let mut keep = Keep::errors_and_slowest(INTERVAL);
        let mut now = Instant::now();
        let mut kept = Vec::new();
        let many_roots = 1;
        keep.take(vec![row(many_roots, 1, None, 5)], now, &mut kept);
        keep.take(vec![row(2, 1, None, 1_000_000)], now, &mut kept);
        for root in 2..=4 {
            now += (INTERVAL + GRACE) / 2;
            keep.take(vec![row(many_roots, root, None, 5)], now, &mut kept);
        }
        assert!(traces(&kept).contains(&2), "{:?}", traces(&kept));
    }

    #[test]
    fn traces_that_become_slower_and_slower_are_not_all_kept() {
        let mut keep = Keep::errors_and_slowest(INTERVAL);
        let now = Instant::now();
        let mut kept = Vec::new();
        for trace in 1..=30_000 {
            keep.take(vec![row(trace, 1, None, 1_000_000 * trace)], now, &mut kept);
        }
        keep.take(Vec::new(), now + INTERVAL + GRACE, &mut kept);
        // At most twice the share, and a few at the start.
        assert!((100..=700).contains(&kept.len()), "{}", kept.len());
    }

    #[test]
    fn late_spans_follow_the_choice_of_their_trace() {
        let mut keep = Keep::errors_and_slowest(INTERVAL);
        let now = Instant::now();
        let mut kept = Vec::new();
        keep.take(vec![row(1, 1, None, 1_000_000)], now, &mut kept);
        keep.take(
            (2..=50).map(|trace| row(trace, 1, None, 1_000)).collect(),
            now,
            &mut kept,
        );
        keep.take(Vec::new(), now + INTERVAL + GRACE, &mut kept);
        assert!(
            traces(&kept).contains(&1) && !traces(&kept).contains(&50),
            "{:?}",
            traces(&kept)
        );
        kept.clear();
        let late = vec![row(1, 9, Some(1), 5), row(50, 9, Some(1), 5)];
        keep.take(late, now + 2 * (INTERVAL + GRACE), &mut kept);
        assert_eq!(traces(&kept), [1]);
    }

    #[test]
    fn waiting_spans_have_a_bound_and_the_oldest_trace_is_chosen_early() {
        let mut keep = Keep::errors_and_slowest(INTERVAL);
        let now = Instant::now();
        let mut kept = Vec::new();
        let traces = 3_u64;
        let each = (MAX_WAITING / 2 - 10) as u64;
        for trace in 1..=traces {
            // No root arrives, as if its node had been killed.
            let rows = (2..2 + each).map(|span| row(trace, span, Some(1), 5)).collect();
            keep.take(rows, now, &mut kept);
        }
        // Of the three, the first two fit. A trace without a root is kept.
        assert_eq!(kept.len() as u64, each);
        assert!(kept.iter().all(|row| row.trace_id.ends_with('1')));
        keep.finish(&mut kept);
        assert_eq!(kept.len() as u64, traces * each);
    }
}
