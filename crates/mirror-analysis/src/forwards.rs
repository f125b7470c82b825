//! Reads the forwards of a run: each event with its calls, in order, in bounded memory.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use arrow_array::{
    Array, BooleanArray, Float32Array, Float64Array, ListArray, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use arrow_select::concat::concat_batches;
use mirror_runs::tables::{EventRow, ResponseRow, SUCCESS};
use mirror_runs::{Batches, Run, RunError};
use mirror_spec::key::MAX_UID;

use crate::collect::steps::TraceOfRun;
use crate::columns::{batches, column, known_uids};
use crate::error::AnalysisError;

/// Purpose of the forwards of the experiment.
pub(crate) const QUERY: &str = "query";

/// Number of batches that are read ahead.
const AHEAD: usize = 4;

const EVENT_COLUMNS: [&str; 12] = [
    "validator",
    "purpose",
    "step",
    "forward_index",
    "block",
    "is_question",
    "message",
    "scores",
    "best_uid",
    "started_at",
    "call_time",
    "trace_id",
];

const CALL_COLUMNS: [&str; 12] = [
    "validator",
    "purpose",
    "step",
    "forward_index",
    "uid",
    "outcome",
    "latency",
    "size",
    "completion",
    "reward",
    "timing_dependent",
    "faults",
];

/// Returns whether a text is the id of a trace: 32 hexadecimal digits in lower case.
pub(crate) fn is_trace_id(text: &str) -> bool {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 32 && text.bytes().all(is_digit)
}

/// Statistics that are computed from forwards in order.
pub(crate) trait Collect {
    /// Adds the next forward.
    fn add(&mut self, forward: &Forward<'_>);
}

/// The numbers of the runs that are needed before their forwards are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extent {
    /// Number of forwards of the experiment.
    pub(crate) forwards: u64,
    /// Number of manual forwards.
    pub(crate) manual: u64,
    /// Number of the last step plus one. The steps of each run follow those of the run before.
    pub(crate) steps: u64,
    /// Number of iterations in a step. It is 2 for `train`: the question and its answer.
    pub(crate) forwards_per_step: u64,
    /// Earliest start of a forward of the experiment, in seconds since 1970. `None` if no start is known.
    pub(crate) first_start: Option<f64>,
}

impl Extent {
    /// Counts the forwards of several runs, which are read one after the other. Also returns the number of the first
    /// step of each run.
    pub(crate) fn of(runs: &[Run]) -> Result<(Self, Vec<u64>), AnalysisError> {
        let mut extent = Self {
            forwards: 0,
            manual: 0,
            steps: 0,
            forwards_per_step: 1,
            first_start: None,
        };
        let mut first_steps = Vec::with_capacity(runs.len());
        for run in runs {
            first_steps.push(extent.steps);
            extent.count(run)?;
        }
        // Several runs have no common time.
        extent.first_start = extent.first_start.filter(|_| runs.len() == 1);
        Ok((extent, first_steps))
    }

    /// Adds the forwards of a run.
    fn count(&mut self, run: &Run) -> Result<(), AnalysisError> {
        let mut steps = 0;
        for batch in batches::<EventRow>(run, &["purpose", "step", "forward_index", "started_at"])? {
            let batch = batch?;
            let purpose: &StringArray = column::<EventRow, _>(&batch, "purpose")?;
            let step: &UInt64Array = column::<EventRow, _>(&batch, "step")?;
            let forward_index: &UInt32Array = column::<EventRow, _>(&batch, "forward_index")?;
            let started_at: &Float64Array = column::<EventRow, _>(&batch, "started_at")?;
            for row in 0..batch.num_rows() {
                if purpose.value(row) != QUERY {
                    self.manual += 1;
                    continue;
                }
                self.forwards += 1;
                steps = steps.max(step.value(row).saturating_add(1));
                let iterations = u64::from(forward_index.value(row)) + 1;
                self.forwards_per_step = self.forwards_per_step.max(iterations);
                if let Some(start) = time_of_row(started_at, row) {
                    self.first_start = Some(self.first_start.map_or(start, |first| first.min(start)));
                }
            }
        }
        self.steps = self.steps.saturating_add(steps);
        Ok(())
    }

    /// Returns the time from the earliest start of a forward to `at` in seconds; `at` is in seconds since 1970. `None`
    /// if `at` is earlier or if no start is known.
    pub(crate) fn seconds_until(&self, at: f64) -> Option<f64> {
        let seconds = at - self.first_start?;
        (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
    }

    /// Returns the number of a forward over all steps, from 0. Forwards of several validators in one iteration of a
    /// step have the same number.
    pub(crate) fn forward_number(&self, step: u64, forward_index: u32) -> u64 {
        step.saturating_mul(self.forwards_per_step)
            .saturating_add(forward_index.into())
    }
}

/// Returns a time in seconds since 1970. `None` if it is unknown: absent, not finite, or 0 as in a record without it.
fn time_of_row(times: &Float64Array, row: usize) -> Option<f64> {
    let time = (!times.is_null(row)).then(|| times.value(row));
    time.filter(|time| time.is_finite() && *time > 0.0)
}

/// A run, and where it begins if several are read one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) run: &'a Run,
    /// Number of its first step.
    pub(crate) first_step: u64,
    /// Number of forwards of the runs before it.
    pub(crate) position: u64,
}

/// Passes every forward of the experiment to `take`, in the order of the table `events`. Returns their number.
///
/// # Errors
/// Returns an error if a table cannot be read, or if a call belongs to no event.
pub(crate) fn read(
    part: Part<'_>,
    extent: Extent,
    mut take: impl FnMut(&Forward<'_>),
) -> Result<u64, AnalysisError> {
    let events = batches::<EventRow>(part.run, &EVENT_COLUMNS)?;
    let calls = batches::<ResponseRow>(part.run, &CALL_COLUMNS)?;
    thread::scope(|scope| {
        let (send, receive) = sync_channel(AHEAD);
        scope.spawn(move || {
            for batch in calls {
                // The reader has returned an error.
                if send.send(batch).is_err() {
                    return;
                }
            }
        });
        join(part, events, receive, extent, &mut take)
    })
}

/// Joins sorted events with sorted calls.
fn join(
    part: Part<'_>,
    events: Batches,
    calls: Receiver<Result<RecordBatch, RunError>>,
    extent: Extent,
    take: &mut impl FnMut(&Forward<'_>),
) -> Result<u64, AnalysisError> {
    let mut calls = CallReader {
        batches: calls,
        calls: None,
        next: 0,
    };
    let mut count = 0;
    // The validators, each with the number of its forwards so far.
    let mut validators: Vec<(String, u64)> = Vec::new();
    for batch in events {
        let events = Events::of(&batch?)?;
        for event in 0..events.step.len() {
            let range = calls.of_event(&events, event)?;
            if events.purpose.value(event) != QUERY {
                continue;
            }
            let step = part.first_step.saturating_add(events.step.value(event));
            let number = extent.forward_number(step, events.forward_index.value(event));
            let name = events.validator.value(event);
            let known = validators.iter().position(|(known, _)| known == name);
            let validator_index = known.unwrap_or_else(|| {
                validators.push((name.to_owned(), 0));
                validators.len() - 1
            });
            let validator_position = validators[validator_index].1;
            validators[validator_index].1 += 1;
            take(&Forward {
                run: &part.run.manifest().id,
                events: &events,
                event,
                calls: calls.calls.as_ref(),
                range,
                step,
                number,
                position: part.position + count,
                validator_index,
                validator_position,
            });
            count += 1;
        }
    }
    calls.expect_end()?;
    Ok(count)
}

/// The calls that have been read and not yet passed on.
struct CallReader {
    batches: Receiver<Result<RecordBatch, RunError>>,
    calls: Option<Calls>,
    /// Index of the first call in `calls` that has not been passed on.
    next: usize,
}

impl CallReader {
    /// Returns the calls of an event as a range in `self.calls`.
    fn of_event(&mut self, events: &Events, event: usize) -> Result<Range<usize>, AnalysisError> {
        let mut end = self.next;
        loop {
            let Some(calls) = &self.calls else {
                if !self.read_more()? {
                    return Ok(0..0);
                }
                end = self.next;
                continue;
            };
            if end == calls.uid.len() {
                let matched = end - self.next;
                if !self.read_more()? {
                    break;
                }
                end = self.next + matched;
                continue;
            }
            match calls.compare(end, events, event) {
                Ordering::Equal if end - self.next > MAX_UID as usize => {
                    return Err(AnalysisError::Uid {
                        uid: calls.uid.value(end),
                    });
                }
                Ordering::Equal => end += 1,
                Ordering::Greater => break,
                Ordering::Less => return Err(calls.orphan(end)),
            }
        }
        let range = self.next..end;
        self.next = end;
        Ok(range)
    }

    /// Appends the next batch to the calls that have not been passed on. Returns whether there was one.
    fn read_more(&mut self) -> Result<bool, AnalysisError> {
        let Ok(batch) = self.batches.recv() else {
            return Ok(false);
        };
        let batch = batch?;
        let joined = match &self.calls {
            Some(calls) if self.next < calls.uid.len() => {
                let rest = calls.batch.slice(self.next, calls.uid.len() - self.next);
                let schema = batch.schema();
                concat_batches(&schema, [&rest, &batch]).map_err(AnalysisError::Batches)?
            }
            _ => batch,
        };
        self.calls = Some(Calls::of(joined)?);
        self.next = 0;
        Ok(true)
    }

    fn expect_end(&mut self) -> Result<(), AnalysisError> {
        loop {
            if let Some(calls) = &self.calls
                && self.next < calls.uid.len()
            {
                return Err(calls.orphan(self.next));
            }
            if !self.read_more()? {
                return Ok(());
            }
        }
    }
}

/// Columns of a batch of events.
struct Events {
    validator: StringArray,
    purpose: StringArray,
    step: UInt64Array,
    forward_index: UInt32Array,
    block: UInt64Array,
    is_question: BooleanArray,
    message: StringArray,
    scores: ListArray,
    /// Values of `scores`.
    score: Float32Array,
    best_uid: UInt32Array,
    started_at: Float64Array,
    call_time: Float64Array,
    trace_id: StringArray,
}

fn owned<R: mirror_runs::tables::Row, A: Array + Clone + 'static>(
    batch: &RecordBatch,
    name: &'static str,
) -> Result<A, AnalysisError> {
    column::<R, A>(batch, name).cloned()
}

impl Events {
    fn of(batch: &RecordBatch) -> Result<Self, AnalysisError> {
        let scores: ListArray = owned::<EventRow, _>(batch, "scores")?;
        let score = scores.values().as_any().downcast_ref::<Float32Array>();
        let score = score.cloned().ok_or(AnalysisError::Column {
            table: "events",
            column: "scores",
        })?;
        Ok(Self {
            validator: owned::<EventRow, _>(batch, "validator")?,
            purpose: owned::<EventRow, _>(batch, "purpose")?,
            step: owned::<EventRow, _>(batch, "step")?,
            forward_index: owned::<EventRow, _>(batch, "forward_index")?,
            block: owned::<EventRow, _>(batch, "block")?,
            is_question: owned::<EventRow, _>(batch, "is_question")?,
            message: owned::<EventRow, _>(batch, "message")?,
            scores,
            score,
            best_uid: owned::<EventRow, _>(batch, "best_uid")?,
            started_at: owned::<EventRow, _>(batch, "started_at")?,
            call_time: owned::<EventRow, _>(batch, "call_time")?,
            trace_id: owned::<EventRow, _>(batch, "trace_id")?,
        })
    }
}

/// Columns of a batch of calls.
struct Calls {
    batch: RecordBatch,
    validator: StringArray,
    purpose: StringArray,
    step: UInt64Array,
    forward_index: UInt32Array,
    uid: UInt32Array,
    outcome: StringArray,
    latency: Float32Array,
    size: UInt64Array,
    completion: StringArray,
    reward: Float32Array,
    timing_dependent: BooleanArray,
    faults: StringArray,
}

impl Calls {
    fn of(batch: RecordBatch) -> Result<Self, AnalysisError> {
        let uid: UInt32Array = owned::<ResponseRow, _>(&batch, "uid")?;
        known_uids(&uid)?;
        Ok(Self {
            validator: owned::<ResponseRow, _>(&batch, "validator")?,
            purpose: owned::<ResponseRow, _>(&batch, "purpose")?,
            step: owned::<ResponseRow, _>(&batch, "step")?,
            forward_index: owned::<ResponseRow, _>(&batch, "forward_index")?,
            uid,
            outcome: owned::<ResponseRow, _>(&batch, "outcome")?,
            latency: owned::<ResponseRow, _>(&batch, "latency")?,
            size: owned::<ResponseRow, _>(&batch, "size")?,
            completion: owned::<ResponseRow, _>(&batch, "completion")?,
            reward: owned::<ResponseRow, _>(&batch, "reward")?,
            timing_dependent: owned::<ResponseRow, _>(&batch, "timing_dependent")?,
            faults: owned::<ResponseRow, _>(&batch, "faults")?,
            batch,
        })
    }

    /// Compares the forward of a call with an event in the order of the events.
    fn compare(&self, call: usize, events: &Events, event: usize) -> Ordering {
        (self.step.value(call).cmp(&events.step.value(event)))
            .then_with(|| self.validator.value(call).cmp(events.validator.value(event)))
            .then_with(|| self.purpose.value(call).cmp(events.purpose.value(event)))
            .then_with(|| {
                self.forward_index
                    .value(call)
                    .cmp(&events.forward_index.value(event))
            })
    }

    fn orphan(&self, call: usize) -> AnalysisError {
        AnalysisError::Orphan {
            validator: self.validator.value(call).to_owned(),
            step: self.step.value(call),
            forward_index: self.forward_index.value(call),
            uid: self.uid.value(call),
        }
    }
}

/// One forward of the experiment.
pub(crate) struct Forward<'a> {
    run: &'a str,
    events: &'a Events,
    event: usize,
    calls: Option<&'a Calls>,
    range: Range<usize>,
    step: u64,
    number: u64,
    position: u64,
    validator_index: usize,
    validator_position: u64,
}

impl<'a> Forward<'a> {
    /// Number of the forward over all steps, from 0. Forwards of several validators may share it.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Number of earlier forwards of all runs.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Id of the run.
    pub(crate) fn run(&self) -> &'a str {
        self.run
    }

    /// Index of the validator, in the order of their first forwards in the run.
    pub(crate) fn validator_index(&self) -> usize {
        self.validator_index
    }

    /// Number of earlier forwards of the validator in the run.
    pub(crate) fn validator_position(&self) -> u64 {
        self.validator_position
    }

    pub(crate) fn validator(&self) -> &'a str {
        self.events.validator.value(self.event)
    }

    /// Number of the step over all runs, from 0.
    pub(crate) fn step(&self) -> u64 {
        self.step
    }

    pub(crate) fn forward_index(&self) -> u32 {
        self.events.forward_index.value(self.event)
    }

    pub(crate) fn block(&self) -> u64 {
        self.events.block.value(self.event)
    }

    pub(crate) fn is_question(&self) -> bool {
        self.events.is_question.value(self.event)
    }

    pub(crate) fn message(&self) -> &'a str {
        self.events.message.value(self.event)
    }

    /// Scores of the gating model by uid, from 0.
    pub(crate) fn scores(&self) -> &'a [f32] {
        let offsets = self.events.scores.value_offsets();
        let range = offsets[self.event] as usize..offsets[self.event + 1] as usize;
        &self.events.score.values()[range]
    }

    pub(crate) fn best_uid(&self) -> Option<u32> {
        let best = &self.events.best_uid;
        (!best.is_null(self.event)).then(|| best.value(self.event))
    }

    /// Start in seconds since 1970. `None` if it is unknown.
    pub(crate) fn started_at(&self) -> Option<f64> {
        time_of_row(&self.events.started_at, self.event)
    }

    /// Duration in seconds. `None` if it is unknown.
    pub(crate) fn call_time(&self) -> Option<f64> {
        let call_time = &self.events.call_time;
        let seconds = (!call_time.is_null(self.event)).then(|| call_time.value(self.event));
        seconds.filter(|seconds| seconds.is_finite())
    }

    /// The trace of the forward's step. `None` if the table has no valid id, as for an imported event log.
    pub(crate) fn trace(&self) -> Option<TraceOfRun> {
        let ids = &self.events.trace_id;
        let id = (!ids.is_null(self.event)).then(|| ids.value(self.event));
        Some(TraceOfRun {
            run: self.run.to_owned(),
            id: id.filter(|id| is_trace_id(id))?.to_owned(),
        })
    }

    pub(crate) fn calls(&self) -> impl ExactSizeIterator<Item = Call<'a>> + use<'a> {
        let calls = self.calls;
        self.range.clone().map(move |row| Call {
            calls: calls.expect("a range of calls is in a batch"),
            row,
        })
    }
}

/// One call of a forward.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    calls: &'a Calls,
    row: usize,
}

impl<'a> Call<'a> {
    pub(crate) fn uid(&self) -> u32 {
        self.calls.uid.value(self.row)
    }

    pub(crate) fn outcome(&self) -> &'a str {
        self.calls.outcome.value(self.row)
    }

    pub(crate) fn is_success(&self) -> bool {
        self.outcome() == SUCCESS
    }

    /// Latency in seconds. `None` if it is unknown.
    pub(crate) fn latency(&self) -> Option<f64> {
        let latency = &self.calls.latency;
        let seconds = (!latency.is_null(self.row)).then(|| f64::from(latency.value(self.row)));
        seconds.filter(|seconds| seconds.is_finite())
    }

    /// Size of the completion in bytes. `None` if it is unknown.
    pub(crate) fn size(&self) -> Option<u64> {
        let size = &self.calls.size;
        (!size.is_null(self.row)).then(|| size.value(self.row))
    }

    pub(crate) fn completion(&self) -> &'a str {
        self.calls.completion.value(self.row)
    }

    /// Reward, which may be NaN or infinite. `None` if the call received none.
    pub(crate) fn reward(&self) -> Option<f64> {
        let reward = &self.calls.reward;
        (!reward.is_null(self.row)).then(|| f64::from(reward.value(self.row)))
    }

    /// The effects of faults on the call. `None` if there are none, and for a version that did not record them.
    pub(crate) fn faults(&self) -> Option<&'a str> {
        let faults = &self.calls.faults;
        (!faults.is_null(self.row)).then(|| faults.value(self.row))
    }

    /// Whether the call was lost to real slowness.
    pub(crate) fn timing_dependent(&self) -> bool {
        self.calls.timing_dependent.value(self.row)
    }
}
