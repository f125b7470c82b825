//! Clocks that disagree.

mod sample;

use mirror_runs::tables::SpanRow;
use proptest::prelude::*;

use sample::{MILLISECOND, START, answer, call, span, trace};

fn moved(row: SpanRow, milliseconds: i64) -> SpanRow {
    SpanRow {
        started_ns: row
            .started_ns
            .saturating_add_signed(milliseconds * MILLISECOND as i64),
        ..row
    }
}

#[test]
fn a_clock_that_is_ahead_is_corrected_and_stated() {
    let trace = trace(vec![
        span(1, None, "step", (0, 1000)),
        call(2, 1, 3, (100, 300)),
        moved(answer(3, 2, 3, (150, 250)), 5000),
        SpanRow {
            node: "miner-3".to_owned(),
            ..moved(span(4, Some(3), "axon.behaviour", (160, 240)), 5000)
        },
    ]);
    let starts: Vec<i64> = trace.spans().iter().map(|span| span.start).collect();
    let expected = [0, 100, 150, 160].map(|start| (START + start * MILLISECOND) as i64);
    assert_eq!(starts, expected);
    let texts: Vec<String> = trace.clocks().iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["the clock of miner-3 is 5.00 s ahead; its spans are shown corrected"]
    );
}

#[test]
fn an_answer_after_the_deadline_is_no_disagreement() {
    let failed = SpanRow {
        error: Some("deadline exceeded".to_owned()),
        ..call(2, 1, 3, (100, 200))
    };
    let trace = trace(vec![
        span(1, None, "step", (0, 1000)),
        failed,
        answer(3, 2, 3, (180, 250)),
    ]);
    assert!(trace.clocks().is_empty());
}

proptest! {
    /// Every node may be off by any time: the corrected starts differ from the true ones at most by the slack of the
    /// client spans, summed along the chain of nodes.
    #[test]
    fn a_shifted_node_is_shown_where_it_was_within_the_slack(
        offset in -100_000i64..100_000,
        further in -100_000i64..100_000,
        calls in prop::collection::vec((0u64..500, 1u64..200, 0u64..100, 0u64..100), 1..8),
    ) {
        let mut rows = vec![span(1, None, "step", (0, 1000))];
        let mut slack = 0;
        for (index, (start, work, before, after)) in calls.iter().enumerate() {
            let id = 10 * (index as u64 + 1);
            let (from, to) = (start + before, start + before + work);
            rows.push(call(id, 1, 3, (*start, to + after)));
            rows.push(moved(answer(id + 1, id, 3, (from, to)), offset));
            // The miner calls the chain for all of the time of the answer.
            rows.push(SpanRow {
                kind: "client".to_owned(),
                node: "miner-3".to_owned(),
                ..moved(span(id + 2, Some(id + 1), "subtensor.submit", (from, to)), offset)
            });
            rows.push(SpanRow {
                kind: "server".to_owned(),
                node: "subtensor".to_owned(),
                ..moved(span(id + 3, Some(id + 2), "subtensor.submit", (from, to)), further)
            });
            slack = slack.max((before + after) * MILLISECOND);
        }
        let truth: Vec<i64> = rows
            .iter()
            .map(|row| {
                let shift = match row.node.as_str() {
                    "miner-3" => offset,
                    "subtensor" => further,
                    _ => 0,
                };
                row.started_ns as i64 - shift * MILLISECOND as i64
            })
            .collect();
        let trace = trace(rows);
        for (span, truth) in trace.spans().iter().zip(truth) {
            prop_assert!(span.start.abs_diff(truth) <= slack, "{} is off", span.row.name);
        }
    }
}
