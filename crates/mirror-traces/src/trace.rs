//! The tree of one trace.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use mirror_runs::tables::{IncidentRow, SpanRow};
use mirror_runs::{Run, RunError};

use crate::clock::{self, ClockOffset};

/// Limit of a start in nanoseconds since 1970, which is in the year 2116. A later start is taken for this one. Together
/// with the limits of durations and of clock offsets, no sum or difference of times exceeds the range of `i64`.
const START_LIMIT: i64 = (1 << 62) - 1;

/// Limit of a duration in nanoseconds, 73 years.
const DURATION_LIMIT: i64 = (1 << 61) - 1;

/// One trace: spans with their places in a tree.
///
/// The tree holds every row exactly once. Rows that have no place below another span are further roots.
#[derive(Debug, Clone)]
pub struct Trace {
    id: String,
    spans: Vec<Span>,
    roots: Vec<usize>,
    clocks: Vec<ClockOffset>,
}

/// One span with its place in the tree.
#[derive(Debug, Clone)]
pub struct Span {
    /// The row of the table, with uncorrected times.
    pub row: SpanRow,
    /// Corrected start in nanoseconds since 1970.
    pub start: i64,
    /// Duration in nanoseconds, never negative.
    pub duration: i64,
    /// Index of the parent.
    pub parent: Option<usize>,
    /// Indices of the children in the order of their corrected starts.
    pub children: Vec<usize>,
    /// Reason for the position of the span in the tree.
    pub place: Place,
    /// Whether an earlier row of the trace has the same span id. Children are attached to the first of them.
    pub is_duplicate: bool,
}

/// Place of a span in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The span states no parent.
    Root,
    /// The span is below its parent.
    Child,
    /// The parent is missing, and the node that would have recorded it is not known to have ended.
    MissingParent,
    /// The parent is missing, and the node that would have recorded it ended abnormally.
    KilledParent {
        /// Name of the node.
        node: String,
    },
    /// The span is its own ancestor according to the table. It is shown as a root.
    Cycle,
}

/// The nodes that ended abnormally during a run, so that spans of them may be missing.
#[derive(Debug, Clone, Default)]
pub struct EndedNodes(BTreeSet<String>);

impl EndedNodes {
    /// Reads the table `incidents` of a run.
    pub fn of(run: &Run) -> Result<Self, RunError> {
        let mut nodes = BTreeSet::new();
        for row in run.rows::<IncidentRow>()? {
            let row = row?;
            if matches!(
                row.what.as_str(),
                "exited" | "hung" | "killed" | "failed" | "restarted" | "left"
            ) {
                nodes.insert(row.node);
            }
        }
        Ok(Self(nodes))
    }
}

impl<S: Into<String>> FromIterator<S> for EndedNodes {
    fn from_iter<I: IntoIterator<Item = S>>(nodes: I) -> Self {
        Self(nodes.into_iter().map(Into::into).collect())
    }
}

impl Span {
    fn of(row: SpanRow) -> Self {
        let limited = |time: u64, limit: i64| i64::try_from(time).map_or(limit, |time| time.min(limit));
        Self {
            start: limited(row.started_ns, START_LIMIT),
            duration: limited(row.duration_ns, DURATION_LIMIT),
            row,
            parent: None,
            children: Vec::new(),
            place: Place::Root,
            is_duplicate: false,
        }
    }

    /// Returns the corrected end in nanoseconds since 1970.
    pub fn end(&self) -> i64 {
        self.start + self.duration
    }

    /// Returns whether the span is a client span.
    pub fn is_client(&self) -> bool {
        self.row.kind == "client"
    }

    /// Returns whether the span is a server span.
    pub fn is_server(&self) -> bool {
        self.row.kind == "server"
    }

    /// Returns whether the span is a call of an axon by a validator.
    pub fn is_call(&self) -> bool {
        self.row.name.starts_with("dendrite.")
    }

    /// Returns the effects of faults on the span, such as `slow/latency`.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        let rules = self.row.rules.iter().flat_map(|rules| rules.split(','));
        rules.map(str::trim).filter(|rule| !rule.is_empty())
    }
}

impl Trace {
    /// Builds the tree of the rows of one trace and corrects their times.
    pub fn of(rows: Vec<SpanRow>, ended: &EndedNodes) -> Self {
        let id = rows.first().map(|row| row.trace_id.clone()).unwrap_or_default();
        let mut trace = Self {
            id,
            spans: rows.into_iter().map(Span::of).collect(),
            roots: Vec::new(),
            clocks: Vec::new(),
        };
        trace.find_parents();
        trace.cut_cycles();
        trace.explain_orphans(ended);
        // The clock of the first root's node is the reference, so true roots come first.
        let is_root = |index: &usize| trace.spans[*index].parent.is_none();
        let mut roots: Vec<usize> = (0..trace.spans.len()).filter(is_root).collect();
        roots.sort_by_key(|root| trace.spans[*root].place != Place::Root);
        trace.clocks = clock::correct(&mut trace.spans, &roots);
        trace.attach_children();
        trace
    }

    /// Returns the id, 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns all spans. Indices in this crate refer to this slice.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Returns the indices of the roots in the order of their starts, true roots before others.
    pub fn roots(&self) -> &[usize] {
        &self.roots
    }

    /// Returns the index of the span that states no parent, the earliest if there are several. `None` if it is missing.
    pub fn root(&self) -> Option<usize> {
        let first = *self.roots.first()?;
        (self.spans[first].place == Place::Root).then_some(first)
    }

    /// Returns the offsets of clocks that were corrected.
    pub fn clocks(&self) -> &[ClockOffset] {
        &self.clocks
    }

    /// Returns the earliest start and the latest end of all spans. `None` without spans.
    pub fn extent(&self) -> Option<(i64, i64)> {
        let start = self.spans.iter().map(|span| span.start).min()?;
        let end = self.spans.iter().map(Span::end).max()?;
        Some((start, end))
    }

    fn find_parents(&mut self) {
        let mut by_id: HashMap<String, usize> = HashMap::with_capacity(self.spans.len());
        for (index, span) in self.spans.iter_mut().enumerate() {
            let first = *by_id.entry(span.row.span_id.clone()).or_insert(index);
            span.is_duplicate = first != index;
        }
        for span in &mut self.spans {
            let Some(parent) = &span.row.parent_id else {
                continue;
            };
            span.parent = by_id.get(parent).copied();
            span.place = match span.parent {
                Some(_) => Place::Child,
                None => Place::MissingParent,
            };
        }
    }

    /// Makes one span of every cycle a root.
    fn cut_cycles(&mut self) {
        const UNVISITED: usize = usize::MAX;
        // The span at which the walk began that visited a span.
        let mut visited = vec![UNVISITED; self.spans.len()];
        for first in 0..self.spans.len() {
            let mut at = first;
            while visited[at] == UNVISITED {
                visited[at] = first;
                let Some(parent) = self.spans[at].parent else {
                    break;
                };
                if visited[parent] == first {
                    self.spans[at].parent = None;
                    self.spans[at].place = Place::Cycle;
                    break;
                }
                at = parent;
            }
        }
    }

    /// Marks spans whose parent is missing because a node ended. The parent of a server span belongs to another node,
    /// which is the node of the trace's root or, if the root is missing too, a validator that ended.
    fn explain_orphans(&mut self, ended: &EndedNodes) {
        let root = self.spans.iter().find(|span| span.place == Place::Root);
        let caller = match root {
            Some(root) => ended.0.get(&root.row.node).cloned(),
            None => ended
                .0
                .iter()
                .find(|node| node.starts_with("validator-"))
                .cloned(),
        };
        for span in &mut self.spans {
            if span.place != Place::MissingParent {
                continue;
            }
            let node = if span.is_server() {
                caller.clone()
            } else {
                ended.0.get(&span.row.node).cloned()
            };
            if let Some(node) = node {
                span.place = Place::KilledParent { node };
            }
        }
    }

    fn attach_children(&mut self) {
        let mut order: Vec<usize> = (0..self.spans.len()).collect();
        let key = |index: &usize| {
            let span = &self.spans[*index];
            (span.start, Reverse(span.duration), &span.row.span_id)
        };
        order.sort_by(|first, second| key(first).cmp(&key(second)));
        for index in order {
            match self.spans[index].parent {
                Some(parent) => self.spans[parent].children.push(index),
                None => self.roots.push(index),
            }
        }
        self.roots
            .sort_by_key(|root| self.spans[*root].place != Place::Root);
    }
}
