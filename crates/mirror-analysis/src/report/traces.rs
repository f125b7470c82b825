//! The section of the traces: the counts of spans, and the slowest steps with their waterfalls.

use mirror_runs::telemetry::Summary as Counts;
use mirror_traces::critical_path::Breakdown;
use serde::Serialize;

use crate::collect::steps::{Bar, SlowStep, StepTraces};
use crate::group::GroupData;
use crate::numbers::{count, counted, duration, percent};
use crate::run_data::RunData;
use crate::sentences::{Sentence, plain, warning};
use crate::tables::anchor;

/// Number of uids and rules that a sentence names.
const NAMED: usize = 3;

/// Greatest number of levels that are indented. Deeper spans have the indentation of the last level.
const MAX_INDENT: usize = 12;

/// The section of the traces.
#[derive(Debug, Serialize)]
pub(super) struct TracesSection {
    /// The results and the counts, in sentences.
    pub(super) sentences: Vec<Sentence>,
    /// Number of spans in the tables.
    spans: u64,
    /// Number of spans that are in no table although they were recorded to be kept. `None` if it is unknown.
    missing: Option<u64>,
    /// The counts of spans by reason. `None` if they are unknown.
    counts: Option<Counts>,
    /// The critical paths of all steps.
    critical_path: Breakdown,
    /// The slowest steps, the slowest first.
    pub(super) slowest: Vec<ShownStep>,
}

/// A slow step on the page.
#[derive(Debug, Serialize)]
pub(super) struct ShownStep {
    /// Id of the waterfall on the page.
    pub(super) anchor: String,
    /// Id of its run, if several runs were read as one.
    #[serde(skip)]
    pub(super) run: Option<String>,
    #[serde(flatten)]
    pub(super) step: SlowStep,
}

/// Creates the section of a run, or of several runs that were read as one.
pub(super) fn of_run(data: &RunData) -> TracesSection {
    let traces = &data.traces;
    let mut sentences = Vec::new();
    if let Some(why) = traces.no_spans.filter(|_| traces.spans == 0) {
        sentences.push(plain(format!("The run has no spans: {why}.")));
    } else {
        sentences.extend(slowest(traces));
        sentences.extend(delayed_links(&traces.breakdown));
        sentences.push(counts(traces));
        sentences.extend(traces.counts.as_ref().and_then(missing_metrics));
        sentences.extend(not_kept(traces));
        sentences.extend(without_root(traces));
        sentences.extend(clocks(traces));
    }
    let shown = traces.slowest.iter().enumerate().map(|(place, step)| ShownStep {
        anchor: anchor(data, place),
        run: (data.runs > 1).then(|| step.trace.run.clone()),
        step: step.clone(),
    });
    TracesSection {
        sentences,
        spans: traces.spans,
        missing: traces.counts.map(|counts| counts.missing_spans()),
        counts: traces.counts,
        critical_path: traces.breakdown.clone(),
        slowest: shown.collect(),
    }
}

/// Creates the section of a group, which refers to the reports of its runs.
pub(super) fn of_group(group: &GroupData) -> TracesSection {
    let traces = || group.runs.iter().map(|(data, _)| &data.traces);
    let spans = traces().map(|traces| traces.spans).fold(0, u64::saturating_add);
    let missing: Option<Vec<u64>> = traces()
        .map(|traces| traces.counts.map(|counts| counts.missing_spans()))
        .collect();
    let missing = missing.map(|missing| missing.into_iter().fold(0, u64::saturating_add));
    let mut sentences = Vec::new();
    if spans == 0 {
        sentences.push(plain("The runs of the group have no spans.".to_owned()));
    } else {
        sentences.push(plain(format!(
            "The runs of the group have {}. The report of each run, to which the table of runs links, shows its slowest \
             steps and what they waited for.",
            counted(spans, "span", "spans")
        )));
    }
    if let Some(missing) = missing.filter(|missing| *missing > 0) {
        sentences.push(warning(format!(
            "Over all runs {} missing.",
            counted(missing, "span is", "spans are")
        )));
    }
    TracesSection {
        sentences,
        spans,
        missing,
        counts: None,
        critical_path: Breakdown::default(),
        slowest: Vec::new(),
    }
}

fn slowest(traces: &StepTraces) -> Option<Sentence> {
    let slowest = traces.slowest.first()?;
    let number = slowest
        .step
        .map_or_else(String::new, |step| format!(" {}", count(step)));
    let spent = slowest.main_phase().map_or_else(String::new, |(phase, share)| {
        let phase = phase.name();
        let uid = slowest.main_uid().map_or_else(String::new, |(uid, share)| {
            format!(", and {} for calls to uid {uid}", percent(share))
        });
        format!(
            ": it waited {} of this time in the phase `{phase}`{uid}",
            percent(share)
        )
    });
    Some(plain(format!(
        "The slowest of {} took {}, step{number} of `{}`{spent}.",
        counted(traces.breakdown.traces(), "traced step", "traced steps"),
        duration(slowest.seconds),
        slowest.validator
    )))
}

/// Returns a sentence about the rules that delayed links on critical paths.
fn delayed_links(breakdown: &Breakdown) -> Option<Sentence> {
    let rules = breakdown.rules();
    if rules.is_empty() {
        return None;
    }
    let words: Vec<String> = rules
        .iter()
        .take(NAMED)
        .map(|(rules, ns)| format!("`{rules}` for {}", percent(breakdown.share(*ns))))
        .collect();
    let further = match rules.len().saturating_sub(NAMED) {
        0 => String::new(),
        further => format!(", and {}", counted(further as u64, "other rule", "other rules")),
    };
    Some(plain(format!(
        "Rules delayed links that the steps waited for: {} of the time of all steps{further}.",
        words.join(", ")
    )))
}

/// Returns a sentence about the spans that are recorded and missing.
fn counts(traces: &StepTraces) -> Sentence {
    let recorded = counted(traces.spans, "span was recorded", "spans were recorded");
    let Some(counts) = &traces.counts else {
        return plain(format!(
            "{recorded}; the number of missing spans is unknown, because the run did not end or an earlier version made \
             it."
        ));
    };
    let reasons = [
        (
            counts.dropped_by_nodes,
            "dropped by nodes that could not send them in time",
        ),
        (
            counts.dropped_by_queue,
            "dropped by the coordinator because its queue was full",
        ),
        (counts.refused, "refused as too large or invalid"),
        (counts.lost, "lost because a file could not be written"),
    ];
    if counts.missing_spans() == 0 {
        return plain(format!("{recorded}; none was dropped, refused or lost."));
    }
    let reasons: Vec<String> = reasons
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, reason)| format!("{} {reason}", count(*number)))
        .collect();
    warning(format!(
        "{recorded}, and {} missing: {}. Times of the steps that they belong to may be assigned to other spans.",
        counted(counts.missing_spans(), "span is", "spans are"),
        reasons.join(", ")
    ))
}

/// Returns a sentence about the measurements that are missing.
fn missing_metrics(counts: &Counts) -> Option<Sentence> {
    let measurements = (counts.missing_measurements() > 0).then(|| {
        counted(
            counts.missing_measurements(),
            "measurement that was refused as invalid, or lost because a file could not be written",
            "measurements that were refused as invalid, or lost because a file could not be written",
        )
    });
    let messages = (counts.dropped_metrics > 0).then(|| {
        counted(
            counts.dropped_metrics,
            "message of metrics that the coordinator dropped because its queue was full",
            "messages of metrics that the coordinator dropped because its queue was full",
        )
    });
    let missing: Vec<String> = measurements.into_iter().chain(messages).collect();
    (!missing.is_empty()).then(|| warning(format!("The table of metrics lacks {}.", missing.join(", and "))))
}

fn not_kept(traces: &StepTraces) -> Option<Sentence> {
    let not_kept = traces.counts.map_or(0, |counts| counts.not_kept);
    (not_kept > 0).then(|| {
        plain(format!(
            "{} not kept, because their traces had no errors and were not among the slowest \
             (`telemetry: {{traces: errors_and_slowest}}`): the shares of phases and uids are those of the other steps.",
            counted(not_kept, "span was", "spans were")
        ))
    })
}

fn without_root(traces: &StepTraces) -> Option<Sentence> {
    (traces.without_root > 0).then(|| {
        warning(format!(
            "{} no root, because it was lost or belongs to a node that ended before its time: the duration of such a \
             step is unknown, and it is in no chart.",
            counted(traces.without_root, "trace has", "traces have")
        ))
    })
}

fn clocks(traces: &StepTraces) -> Option<Sentence> {
    let worst = traces.worst_clock.as_ref()?;
    Some(warning(format!(
        "In {} the clocks of nodes disagreed. The greatest difference: {worst}.",
        counted(traces.corrected, "trace", "traces")
    )))
}

impl ShownStep {
    /// Returns the name of the step.
    pub(super) fn title(&self) -> String {
        match self.step.step {
            Some(step) => format!("step {}", count(step)),
            None => "a step".to_owned(),
        }
    }

    /// Returns the name and the uid of the validator, and the run if there are several.
    pub(super) fn validator(&self) -> String {
        let uid = self
            .step
            .uid
            .map_or_else(String::new, |uid| format!(" (uid {uid})"));
        let run = self
            .run
            .as_ref()
            .map_or_else(String::new, |run| format!(" of {run}"));
        format!("{}{uid}{run}", self.step.validator)
    }

    pub(super) fn duration(&self) -> String {
        duration(self.step.seconds)
    }

    /// Returns the phase and the uid that the step waited for longest, with their shares.
    pub(super) fn longest(&self) -> String {
        let phase = self.step.main_phase();
        let phase = phase.map(|(phase, share)| format!("{} {}", phase.name(), percent(share)));
        let uid = self.step.main_uid();
        let uid = uid.map(|(uid, share)| format!("uid {uid} {}", percent(share)));
        let parts: Vec<String> = [phase, uid].into_iter().flatten().collect();
        format!("longest: {}", parts.join(", "))
    }

    /// Returns the codes that were not success, each with its number of calls.
    pub(super) fn failures(&self) -> String {
        let failures = self.step.failures.iter();
        let failures: Vec<String> = failures
            .map(|(code, calls)| format!("{} {code}", count(*calls)))
            .collect();
        if failures.is_empty() {
            "all calls successful".to_owned()
        } else {
            format!("not successful: {}", failures.join(", "))
        }
    }

    /// Returns the rules that affected the step.
    pub(super) fn rules(&self) -> String {
        let rules: Vec<&str> = self.step.rules.iter().map(String::as_str).collect();
        match rules.as_slice() {
            [] => "no rules".to_owned(),
            [rule] => format!("rule {rule}"),
            rules => format!("rules {}", rules.join(", ")),
        }
    }

    /// Returns a sentence about the spans that are shown.
    pub(super) fn explain(&self) -> String {
        let all = counted(self.step.spans as u64, "span", "spans");
        match self.step.spans_left_out() {
            0 => format!("The trace has {all}, each with a line."),
            left_out => format!(
                "The trace has {all}, of which {} left out: spans that the step waited for, those with errors or rules, \
                 and long ones have a line first.",
                counted(left_out as u64, "is", "are")
            ),
        }
    }

    /// Returns a bar's start and width as shares of the time of the trace in percent, as CSS.
    pub(super) fn style(&self, bar: &Bar) -> String {
        let ends = self.step.bars.iter().map(|bar| bar.start + bar.seconds);
        let whole = ends.fold(self.step.seconds, f64::max);
        if whole <= 0.0 {
            return "margin-left:0%;width:100%".to_owned();
        }
        let start = (100.0 * bar.start / whole).clamp(0.0, 100.0);
        let width = (100.0 * bar.seconds / whole).clamp(0.0, 100.0 - start);
        format!("margin-left:{start:.2}%;width:{width:.2}%")
    }
}

impl Bar {
    /// Returns the indentation of a bar in rem.
    pub(super) fn indent(&self) -> String {
        format!("{:.1}", 0.5 + 0.8 * self.depth.min(MAX_INDENT) as f64)
    }

    /// Returns the CSS class of the bar. The text of the row states the same.
    pub(super) fn class(&self) -> &'static str {
        if self.remark.is_some() {
            "marked"
        } else if self.waited > 0.0 {
            "waited"
        } else {
            "plain"
        }
    }
}
