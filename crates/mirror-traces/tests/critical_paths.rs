//! Critical paths of hand-made and of random traces.

mod sample;

use mirror_runs::tables::SpanRow;
use mirror_traces::{CriticalPath, PathTotals, Phase};
use proptest::prelude::*;

use sample::{MILLISECOND, answer, call, span, trace};

/// A fan-out to three axons, of which uid 2 is slow because of its link: 100 ms of planning, then calls of 100, 150 and
/// 400 ms, then 50 ms of reward.
fn fan_out() -> Vec<SpanRow> {
    vec![
        span(1, None, "step", (0, 560)),
        span(2, Some(1), "forward", (0, 550)),
        span(3, Some(2), "gating.forward", (0, 100)),
        call(4, 2, 0, (100, 200)),
        call(5, 2, 1, (100, 250)),
        call(6, 2, 2, (100, 500)),
        SpanRow {
            rules: Some("slow/latency".to_owned()),
            uid: Some(2),
            ..span(7, Some(6), "link", (100, 400))
        },
        answer(8, 6, 2, (410, 490)),
        SpanRow {
            node: "miner-2".to_owned(),
            ..span(9, Some(8), "axon.behaviour", (410, 490))
        },
        span(10, Some(2), "reward", (500, 550)),
    ]
}

#[test]
fn a_fan_out_waits_for_its_slowest_call() {
    let trace = trace(fan_out());
    let mut totals = PathTotals::default();
    totals.add(&trace, 0);
    let phases: Vec<(Phase, u64)> = totals
        .by_phase
        .iter()
        .map(|(phase, time)| (*phase, time / MILLISECOND))
        .collect();
    assert_eq!(
        phases,
        [
            (Phase::Planning, 100),
            (Phase::Link, 300),
            (Phase::Behaviour, 80),
            (Phase::Reward, 50),
            (Phase::Network, 20),
            (Phase::Other, 10),
        ]
    );
    assert_eq!(totals.total_ns, 560 * MILLISECOND);
    let slow = totals.by_uid[&2];
    assert_eq!(slow.on_path_ns, 400 * MILLISECOND);
    assert_eq!(slow.could_save_ns, 250 * MILLISECOND);
    assert_eq!(slow.times_last, 1);
    assert_eq!(totals.by_uid.len(), 1);
    assert_eq!(totals.by_rule["slow/latency"], 300 * MILLISECOND);
}

#[test]
fn a_call_that_outlives_its_forward_counts_to_the_end_of_the_forward() {
    let trace = trace(vec![
        span(1, None, "forward", (0, 100)),
        call(2, 1, 0, (10, 40)),
        call(3, 1, 1, (10, 500)),
    ]);
    let mut totals = PathTotals::default();
    totals.add(&trace, 0);
    assert_eq!(totals.by_phase[&Phase::Network], 90 * MILLISECOND);
    assert_eq!(totals.by_uid[&1].could_save_ns, 60 * MILLISECOND);
}

proptest! {
    #[test]
    fn segments_are_disjoint_and_sum_to_the_root(
        spans in prop::collection::vec((any::<prop::sample::Index>(), 0u64..1000, 0u64..1000), 1..60),
    ) {
        let mut rows = vec![span(0, None, "step", (100, 900))];
        for (parent, from, length) in spans {
            let id = rows.len() as u64;
            let parent = parent.index(rows.len()) as u64;
            rows.push(span(id, Some(parent), "forward", (from, from + length)));
        }
        let trace = trace(rows);
        let root = &trace.spans()[0];
        let path = CriticalPath::of(&trace, 0);
        let mut at = root.start;
        for segment in &path.segments {
            prop_assert_eq!(segment.start, at);
            prop_assert!(segment.end > segment.start);
            let span = &trace.spans()[segment.span];
            prop_assert!(span.start <= segment.start && segment.end <= span.end());
            at = segment.end;
        }
        prop_assert_eq!(at, root.end());
    }
}
