//! Tests of critical paths: properties of any tree, and steps of known latencies.

mod made;

use made::{EPOCH_NS, MS, client, fan_out, span, trace};
use mirror_runs::tables::SpanRow;
use mirror_traces::Phase;
use mirror_traces::critical_path::{Breakdown, critical_path};
use proptest::prelude::*;

proptest! {
    #[test]
    fn segments_do_not_overlap_and_add_up(
        spans in prop::collection::vec((0..30_u64, 0..1_000_u64, 0..1_000_u64), 0..30),
    ) {
        let mut rows = vec![span(0, 0, "step", 100, 700)];
        for (place, (parent, start, duration)) in spans.into_iter().enumerate() {
            let number = place as u64 + 1;
            rows.push(span(number, parent % number, "part", start, start + duration));
        }
        let trace = trace(rows);
        let path = critical_path(&trace, 0);
        let mut time = EPOCH_NS as i64 + 100;
        for segment in &path {
            prop_assert_eq!(segment.start_ns, time);
            prop_assert!(segment.end_ns > segment.start_ns);
            let span = &trace.spans()[segment.span];
            prop_assert!(span.start_ns <= segment.start_ns && segment.end_ns <= span.end_ns());
            time = segment.end_ns;
        }
        prop_assert_eq!(time, EPOCH_NS as i64 + 700);
    }
}

#[test]
fn the_path_follows_the_child_that_ends_last() {
    // CRISP's rule: C ends last, B is the last that ends before C starts, and A is beside both.
    let trace = trace(vec![
        span(0, 0, "step", 0, 100),
        span(1, 0, "A", 5, 60),
        span(2, 0, "B", 10, 40),
        span(3, 0, "C", 50, 90),
    ]);
    let path: Vec<(&str, i64)> = (critical_path(&trace, 0).iter())
        .map(|segment| (&*trace.spans()[segment.span].row.name, segment.duration_ns()))
        .collect();
    assert_eq!(
        path,
        [("step", 10), ("B", 30), ("step", 10), ("C", 40), ("step", 10)]
    );
}

#[test]
fn a_step_of_known_latencies_is_broken_down() {
    let mut breakdown = Breakdown::default();
    for step in 0..3 {
        breakdown.add(&trace(fan_out(
            u128::from(step) + 1,
            step,
            &[10 * MS, 50 * MS, 20 * MS],
        )));
    }
    assert_eq!(breakdown.traces(), 3);
    // 1 ms to choose, 50 ms for the slowest call of which its axon works for 49, and 2 ms for the reward.
    assert_eq!(breakdown.total_ns(), 3 * 53_000_000);
    assert_eq!(
        breakdown.phases(),
        [
            (Phase::Other, 3 * 49_000_000),
            (Phase::Reward, 3 * 2_000_000),
            (Phase::Planning, 3_000_000),
            (Phase::Network, 3_000_000),
        ]
    );
    let uids = breakdown.uids();
    assert_eq!(uids.len(), 1);
    assert_eq!((uids[0].uid, uids[0].path_ns), (1, 3 * 50_000_000));
    // Without uid 1 the forward would wait for uid 2: 20 ms instead of 50.
    assert_eq!(uids[0].saved_ns, 3 * 30_000_000);
    assert!((breakdown.share(uids[0].saved_ns) - 30.0 / 53.0).abs() < 1e-12);
}

#[test]
fn a_delayed_link_is_named() {
    let rows = vec![
        span(0, 0, "step", 0, 100 * MS),
        span(1, 0, "forward", 0, 100 * MS),
        client(2, 1, 4, 0, 100 * MS),
        SpanRow {
            rules: Some("slow/latency".to_owned()),
            uid: Some(4),
            ..span(3, 2, "link", 0, 80 * MS)
        },
        client(4, 1, 5, 0, 10 * MS),
    ];
    let mut breakdown = Breakdown::default();
    breakdown.add(&trace(rows));
    assert_eq!(breakdown.rules(), [("slow/latency".to_owned(), 80_000_000)]);
    assert_eq!(
        breakdown.phases(),
        [(Phase::Link, 80_000_000), (Phase::Network, 20_000_000)]
    );
    let slowest = &breakdown.uids()[0];
    assert_eq!((slowest.uid, slowest.main_phase), (4, Phase::Link));
    assert_eq!(slowest.saved_ns, 90_000_000);
}

#[test]
fn calls_of_one_uid_save_nothing() {
    let rows = vec![
        span(0, 0, "step", 0, 100),
        span(1, 0, "forward", 0, 100),
        client(2, 1, 4, 0, 100),
        client(3, 1, 4, 0, 10),
    ];
    let mut breakdown = Breakdown::default();
    breakdown.add(&trace(rows));
    assert_eq!(breakdown.uids()[0].saved_ns, 0);
}
