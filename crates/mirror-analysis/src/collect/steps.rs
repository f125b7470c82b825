//! The traces of steps: what the steps waited for, and the slowest steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow_array::StringArray;
use mirror_runs::tables::{Row, SUCCESS, SpanRow, Table};
use mirror_runs::telemetry::Summary as Counts;
use mirror_runs::{NeuronKind, Run, neurons};
use mirror_traces::critical_path::{Breakdown, critical_path};
use mirror_traces::waterfall::{self, Folding, Line};
use mirror_traces::{CLIENT, ClockOffset, NoSpans, Phase, Trace, Traces};
use serde::Serialize;

use crate::columns::{batches, column};
use crate::error::AnalysisError;
use crate::forwards::is_trace_id;
use crate::numbers::{counted, duration, shortened};

/// Number of the slowest steps that are kept.
const SLOWEST: usize = 20;

/// Maximum number of lines of a waterfall.
const LINES: usize = 60;

/// Maximum number of different codes, rules and clocks of a step that are kept, far above those of a real step.
const DIFFERENT: usize = 100;

/// Maximum number of characters of a text.
const LONGEST: usize = 200;

/// The traces of all steps. Its size is bounded by the number of uids.
#[derive(Clone, Debug, Default)]
pub struct StepTraces {
    /// Number of spans in the tables.
    pub spans: u64,
    /// The reason why the first run without spans has none. `None` if every run has spans.
    pub no_spans: Option<NoSpans>,
    /// The counts of spans that are in no table. `None` if a run has none, because it did not end or is older.
    pub counts: Option<Counts>,
    /// The critical paths of all steps.
    pub breakdown: Breakdown,
    /// The slowest steps, the slowest first.
    pub slowest: Vec<SlowStep>,
    /// Number of traces whose root is in no table, so that they may be steps of unknown duration.
    pub without_root: u64,
    /// Number of traces in which the clocks of nodes disagreed.
    pub corrected: u64,
    /// The greatest disagreement of a clock.
    pub worst_clock: Option<ClockOffset>,
    /// The traces among those that the report names that have spans.
    found: BTreeSet<TraceOfRun>,
}

/// A trace, by the run and its id. Runs with equal random seeds have equal ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TraceOfRun {
    /// Id of the run.
    pub run: String,
    /// Id of the trace.
    pub id: String,
}

/// A slow step, with its waterfall.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlowStep {
    /// The trace.
    #[serde(flatten)]
    pub trace: TraceOfRun,
    /// Number of the step in its run. `None` if the span has none.
    pub step: Option<u64>,
    /// Name of the validator's node.
    pub validator: String,
    /// The uid of the validator. `None` if the run does not describe it.
    pub uid: Option<u32>,
    /// Duration in seconds.
    pub seconds: f64,
    /// Number of calls by outcome, without those that succeeded.
    pub failures: BTreeMap<String, u64>,
    /// The rules that affected spans of the trace.
    pub rules: BTreeSet<String>,
    /// The phases and uids that the step waited for, the longest first.
    pub critical_path: Breakdown,
    /// The clocks that were corrected, in sentences.
    pub clocks: Vec<String>,
    /// Number of spans of the trace.
    pub spans: usize,
    /// The lines of the waterfall.
    pub bars: Vec<Bar>,
}

/// A line of a waterfall.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// Number of spans above.
    pub depth: usize,
    /// Name of the span, or of several similar spans.
    pub name: String,
    /// The uid of the called or answering axon.
    pub uid: Option<u32>,
    /// Name of the node. `None` for several spans.
    pub node: Option<String>,
    /// Number of spans that the line stands for, without those below them.
    pub spans: usize,
    /// Start in seconds since the start of the trace.
    pub start: f64,
    /// Duration in seconds, of several spans from the first start to the last end.
    pub seconds: f64,
    /// Time in seconds in which the step waited for this span itself, not for a span below it. Several spans are
    /// counted with those below them, which have no line.
    pub waited: f64,
    /// The rules, the error, and the problems of the span.
    pub remark: Option<String>,
}

impl StepTraces {
    /// Counts the spans of runs without reading them.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub(crate) fn counted(runs: &[Run]) -> Result<Self, AnalysisError> {
        let table = Table::named(SpanRow::TABLE).expect("spans are a table");
        let mut traces = Self {
            counts: Some(Counts::default()),
            ..Self::default()
        };
        for run in runs {
            let of_run = run.row_count(&table)?;
            traces.spans += of_run;
            if of_run == 0 && traces.no_spans.is_none() {
                traces.no_spans = Some(NoSpans::of_run(run));
            }
            let of_run = Counts::read(run.layout())?;
            traces.counts = traces
                .counts
                .zip(of_run)
                .map(|(counts, of_run)| sum(counts, of_run));
        }
        Ok(traces)
    }

    /// Reads the traces of runs one after the other.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub(crate) fn read(runs: &[Run]) -> Result<Self, AnalysisError> {
        let mut steps = Self::counted(runs)?;
        for run in runs {
            let validators: BTreeMap<String, u32> = neurons::load(run.layout())?
                .into_iter()
                .filter(|neuron| neuron.kind == NeuronKind::Validator)
                .filter_map(|neuron| Some((neuron.node?, neuron.uid)))
                .collect();
            for trace in Traces::of_run(run)? {
                steps.add(run.manifest().id.as_str(), &trace?, &validators);
            }
        }
        Ok(steps)
    }

    /// Notes which of the traces that the report names have spans.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub(crate) fn find(&mut self, runs: &[Run], named: &BTreeSet<TraceOfRun>) -> Result<(), AnalysisError> {
        for run in runs {
            let of_run = named.iter().filter(|trace| trace.run == run.manifest().id);
            let of_run: HashMap<&str, &TraceOfRun> = of_run.map(|trace| (trace.id.as_str(), trace)).collect();
            if of_run.is_empty() {
                continue;
            }
            for batch in batches::<SpanRow>(run, &["trace_id"])? {
                let batch = batch?;
                let ids: &StringArray = column::<SpanRow, _>(&batch, "trace_id")?;
                let mut last = None;
                // All spans of a trace are one after the other.
                for id in ids.iter().flatten().filter(|id| last.replace(*id) != Some(*id)) {
                    self.found.extend(of_run.get(id).copied().cloned());
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, run: &str, trace: &Trace, validators: &BTreeMap<String, u32>) {
        let Some(root) = trace.main_root() else { return };
        let worst = trace
            .clock_offsets()
            .iter()
            .max_by_key(|clock| clock.ahead_ns.saturating_abs());
        if let Some(worst) = worst {
            self.corrected += 1;
            let size = |clock: &ClockOffset| clock.ahead_ns.saturating_abs();
            if self
                .worst_clock
                .as_ref()
                .is_none_or(|known| size(known) < size(worst))
            {
                self.worst_clock = Some(worst.clone());
            }
        }
        if root.detached.is_some() {
            self.without_root += 1;
            return;
        }
        if root.row.name != "step" {
            return;
        }
        self.breakdown.add(trace);
        let seconds = in_seconds(root.duration_ns);
        let place = self.slowest.partition_point(|kept| kept.seconds >= seconds);
        if place < SLOWEST {
            self.slowest.truncate(SLOWEST - 1);
            let uid = validators.get(&root.row.node).copied();
            let name = TraceOfRun {
                run: run.to_owned(),
                id: shortened(trace.id(), LONGEST),
            };
            self.slowest.insert(place, SlowStep::of(name, trace, uid));
        }
    }

    /// Returns whether the trace of a step is among the slowest, by its place.
    pub(crate) fn place_of(&self, trace: &TraceOfRun) -> Option<usize> {
        self.slowest.iter().position(|step| step.trace == *trace)
    }

    /// Returns whether a trace that the report names has spans.
    pub(crate) fn has(&self, trace: &TraceOfRun) -> bool {
        self.found.contains(trace)
    }
}

fn sum(one: Counts, other: Counts) -> Counts {
    Counts {
        spans: one.spans.saturating_add(other.spans),
        metrics: one.metrics.saturating_add(other.metrics),
        dropped_by_nodes: one.dropped_by_nodes.saturating_add(other.dropped_by_nodes),
        dropped_by_queue: one.dropped_by_queue.saturating_add(other.dropped_by_queue),
        refused: one.refused.saturating_add(other.refused),
        not_kept: one.not_kept.saturating_add(other.not_kept),
        dropped_metrics: one.dropped_metrics.saturating_add(other.dropped_metrics),
        refused_metrics: one.refused_metrics.saturating_add(other.refused_metrics),
        lost: one.lost.saturating_add(other.lost),
        lost_metrics: one.lost_metrics.saturating_add(other.lost_metrics),
        not_sent_on: one.not_sent_on.saturating_add(other.not_sent_on),
    }
}

impl SlowStep {
    /// Describes a step by its trace, whose main root is the step.
    fn of(name: TraceOfRun, trace: &Trace, uid: Option<u32>) -> Self {
        let root = &trace.spans()[0];
        let mut breakdown = Breakdown::default();
        breakdown.add(trace);
        let mut failures: BTreeMap<String, u64> = BTreeMap::new();
        let mut rules = BTreeSet::new();
        for span in trace.spans() {
            let row = &span.row;
            let code = row.code.as_deref().filter(|code| *code != SUCCESS);
            if let Some(code) = code.filter(|_| row.kind == CLIENT) {
                let code = shortened(code, LONGEST);
                if failures.len() < DIFFERENT || failures.contains_key(&code) {
                    *failures.entry(code).or_default() += 1;
                }
            }
            let of_span = row.rules.as_deref().into_iter();
            for rule in of_span.flat_map(|rules| rules.split(',').map(str::trim)) {
                if rules.len() < DIFFERENT {
                    rules.insert(shortened(rule, LONGEST));
                }
            }
        }
        let clocks = trace.clock_offsets().iter().take(DIFFERENT);
        Self {
            trace: name,
            step: root.row.step,
            validator: shortened(&root.row.node, LONGEST),
            uid,
            seconds: in_seconds(root.duration_ns),
            failures,
            rules,
            critical_path: breakdown,
            clocks: clocks
                .map(|clock| shortened(&clock.to_string(), LONGEST))
                .collect(),
            spans: trace.spans().len(),
            bars: bars(trace),
        }
    }

    /// Returns the phase that the step waited for longest, with its share of the duration. `None` if the step took no
    /// time.
    pub fn main_phase(&self) -> Option<(Phase, f64)> {
        let (phase, ns) = self.critical_path.phases().into_iter().next()?;
        Some((phase, self.critical_path.share(ns)))
    }

    /// Returns the uid that the step waited for longest, with its share of the duration. `None` if it waited for none.
    pub fn main_uid(&self) -> Option<(u32, f64)> {
        let first = self.critical_path.uids().into_iter().next()?;
        Some((first.uid, self.critical_path.share(first.path_ns)))
    }

    /// Returns the number of spans that have no line.
    pub fn spans_left_out(&self) -> usize {
        self.spans - self.bars.iter().filter(|bar| bar.node.is_some()).count()
    }

    /// Returns the command that prints every span. `None` if the table has no valid id of the trace.
    pub fn command(&self) -> Option<String> {
        is_trace_id(&self.trace.id).then(|| format!("{} --all", self.trace.command()))
    }
}

impl TraceOfRun {
    /// Returns the command that shows the trace.
    pub(crate) fn command(&self) -> String {
        format!("mirror trace show {} {}", self.run, self.id)
    }
}

/// Returns the lines of the waterfall of a trace, at most [`LINES`].
fn bars(trace: &Trace) -> Vec<Bar> {
    let path = critical_path(trace, 0);
    let mut waited: BTreeMap<usize, i64> = BTreeMap::new();
    for segment in &path {
        *waited.entry(segment.span).or_default() += segment.duration_ns();
    }
    let (begin, _) = trace.extent_ns().unwrap_or_default();
    let lines = waterfall::lines(trace, Folding::Similar);
    let lines = waterfall::limited(trace, &lines, &path, LINES);
    let bar = |line: &Line| match line {
        Line::Span(index) => {
            let span = &trace.spans()[*index];
            Bar {
                depth: span.depth,
                name: shortened(&waterfall::title(span), LONGEST),
                uid: span.row.uid,
                node: Some(shortened(&span.row.node, LONGEST)),
                spans: 1,
                start: in_seconds(span.start_ns.saturating_sub(begin)),
                seconds: in_seconds(span.duration_ns),
                waited: in_seconds(waited.get(index).copied().unwrap_or_default()),
                remark: waterfall::remark(span).map(|remark| shortened(&remark, LONGEST)),
            }
        }
        Line::Folded(folded) => Bar {
            depth: folded.depth,
            name: format!(
                "{} × {}, {} to {}",
                folded.count,
                shortened(&folded.name, LONGEST),
                duration(in_seconds(folded.shortest_ns)),
                duration(in_seconds(folded.longest_ns))
            ),
            uid: None,
            node: None,
            spans: folded.count,
            start: in_seconds(folded.start_ns.saturating_sub(begin)),
            seconds: in_seconds(folded.end_ns.saturating_sub(folded.start_ns)),
            waited: in_seconds(folded.waited_ns),
            remark: (folded.marked > 0).then(|| {
                let marked = counted(folded.marked as u64, "of them has", "of them have");
                format!("{marked} an error or a rule")
            }),
        },
    };
    lines.iter().map(bar).collect()
}

fn in_seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}
