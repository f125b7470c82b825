//! Made-up spans of steps.

use std::path::Path;

use mirror_proto::mirror::v1::Record;
use mirror_runs::tables::SpanRow;
use mirror_runs::telemetry::{Parts, Summary};
use mirror_runs::{Ended, Recorder, Run, neurons};

use super::{Recorded, in_progress};

/// Nanoseconds of a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// Number of the span of the first call. Each call has ten numbers.
const FIRST_CALL: u64 = 100;

/// Returns the id of the trace of a step.
pub(crate) fn trace_id(step: u64) -> [u8; 16] {
    (0xab00_0000_u128 + u128::from(step)).to_be_bytes()
}

/// Returns the id of the trace of a step as in the tables.
pub(crate) fn trace_id_text(step: u64) -> String {
    format!("{:032x}", u128::from_be_bytes(trace_id(step)))
}

/// Returns an internal span of `validator-0` from `start` to `end` in nanoseconds. The root has the number 0.
fn span(step: u64, number: u64, parent: u64, name: &str, (start, end): (u64, u64)) -> SpanRow {
    let id = |number: u64| format!("{number:016x}");
    SpanRow {
        trace_id: trace_id_text(step),
        span_id: id(number),
        parent_id: (number > 0).then(|| id(parent)),
        name: name.to_owned(),
        kind: "internal".to_owned(),
        node: "validator-0".to_owned(),
        incarnation: 0,
        started_ns: 1_800_000_000_000_000_000 + step * 1_000 * MS + start,
        duration_ns: end - start,
        step: (number == 0).then_some(step),
        ..SpanRow::default()
    }
}

/// Returns the spans of a step with one forward, which takes 1 ms to plan, calls the uids from 0 on concurrently, with
/// these times in milliseconds, and takes 2 ms for the reward. An axon works for all but 1 ms of its call.
pub(crate) fn step(step: u64, milliseconds: &[u64]) -> Vec<SpanRow> {
    let longest = milliseconds.iter().max().copied().unwrap_or_default();
    let end = (1 + longest + 2) * MS;
    let mut rows = vec![
        span(step, 0, 0, "step", (0, end)),
        span(step, 1, 0, "forward", (0, end)),
        span(step, 2, 1, "choose", (0, MS)),
        span(step, 3, 1, "reward", (end - 2 * MS, end)),
    ];
    for (uid, time) in (0..).zip(milliseconds) {
        let number = FIRST_CALL + 10 * u64::from(uid);
        let ends = (1 + time) * MS;
        rows.push(SpanRow {
            kind: "client".to_owned(),
            uid: Some(uid),
            code: Some("success".to_owned()),
            ..span(step, number, 1, "dendrite.forward", (MS, ends))
        });
        rows.push(SpanRow {
            kind: "server".to_owned(),
            node: format!("miner-{uid}"),
            uid: Some(uid),
            ..span(
                step,
                number + 1,
                number,
                "axon.forward",
                (MS + MS / 2, ends - MS / 2),
            )
        });
    }
    rows
}

/// Returns the call of a uid among the spans of a step.
#[track_caller]
pub(crate) fn call(rows: &mut [SpanRow], uid: u32) -> &mut SpanRow {
    let call = rows
        .iter_mut()
        .find(|row| row.name == "dendrite.forward" && row.uid == Some(uid));
    call.expect("a call of the uid")
}

/// Returns a step like [`step`] in which the link to `uid` delays its call by 300 ms of the call's time, because of the
/// rule `slow/latency`.
pub(crate) fn slowed_step(number: u64, milliseconds: &[u64], uid: u32) -> Vec<SpanRow> {
    let mut rows = step(number, milliseconds);
    let rules = Some("slow/latency".to_owned());
    call(&mut rows, uid).rules.clone_from(&rules);
    let of_call = FIRST_CALL + 10 * u64::from(uid);
    rows.push(SpanRow {
        uid: Some(uid),
        rules,
        ..span(number, of_call + 2, of_call, "link", (MS, 301 * MS))
    });
    let server = rows
        .iter_mut()
        .find(|row| row.name == "axon.forward" && row.uid == Some(uid));
    let server = server.expect("an answer of the uid");
    server.started_ns += 300 * MS;
    server.duration_ns -= 300 * MS;
    rows
}

/// Records a run with spans, whose validator has the uid 16.
pub(crate) fn recorded_with_spans(records: &[Record], spans: &[SpanRow], counts: &Summary) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    let run = recorded_with_spans_in(folder.path(), records, spans, counts);
    Recorded { run, _folder: folder }
}

pub(crate) fn recorded_with_spans_in(
    folder: &Path,
    records: &[Record],
    spans: &[SpanRow],
    counts: &Summary,
) -> Run {
    let recorder = in_progress(folder, records, Recorder::SEGMENT_BYTES);
    let layout = recorder.layout().clone();
    let id = layout.root().file_name().unwrap().to_str().unwrap();
    let mut parts = Parts::create(&layout, id).unwrap();
    if !spans.is_empty() {
        parts.write(spans).unwrap();
    }
    counts.write(&layout).unwrap();
    let validator = mirror_runs::Neuron {
        uid: 16,
        kind: mirror_runs::NeuronKind::Validator,
        role: "validator".to_owned(),
        label: "validator".to_owned(),
        control: None,
        node: Some("validator-0".to_owned()),
    };
    neurons::save(&[validator], &layout).unwrap();
    recorder.finish(Ended::Done).unwrap();
    Run::open(layout.root()).unwrap()
}
