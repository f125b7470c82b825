//! Trees of whole, incomplete and hostile traces.

mod sample;

use mirror_runs::tables::SpanRow;
use mirror_traces::{CriticalPath, EndedNodes, Folding, Line, PathTotals, Place, Trace, Waterfall};
use proptest::prelude::*;

use sample::{answer, call, span, trace};

fn lines(trace: &Trace) -> usize {
    Waterfall::of(trace, Folding::None).lines().len()
}

#[test]
fn children_are_in_the_order_of_their_starts() {
    let trace = trace(vec![
        span(1, None, "step", (0, 100)),
        span(2, Some(1), "weights", (60, 90)),
        span(3, Some(1), "forward", (0, 50)),
    ]);
    assert_eq!(trace.roots(), [0]);
    assert_eq!(trace.spans()[0].children, [2, 1]);
}

#[test]
fn an_orphan_is_a_root_and_states_the_node_that_ended() {
    let rows = || {
        vec![
            span(1, None, "step", (0, 100)),
            SpanRow {
                node: "miner-3".to_owned(),
                ..span(3, Some(2), "axon.check", (10, 20))
            },
            answer(5, 4, 7, (10, 20)),
        ]
    };
    let plain = trace(rows());
    assert_eq!(plain.spans()[1].place, Place::MissingParent);
    assert_eq!(plain.spans()[2].place, Place::MissingParent);
    assert_eq!(plain.root(), Some(0));
    assert_eq!(plain.roots().len(), 3);

    let killed = Trace::of(rows(), &EndedNodes::from_iter(["miner-3", "miner-7"]));
    let node = "miner-3".to_owned();
    assert_eq!(killed.spans()[1].place, Place::KilledParent { node });
    // The missing client span belongs to the validator, which did not end.
    assert_eq!(killed.spans()[2].place, Place::MissingParent);
    let killed = Trace::of(rows(), &EndedNodes::from_iter(["validator-0"]));
    let node = "validator-0".to_owned();
    assert_eq!(killed.spans()[2].place, Place::KilledParent { node });
}

#[test]
fn a_deep_tree_does_not_exhaust_the_stack() {
    let depth = 200_000;
    let rows = (0..depth).map(|id| span(id, id.checked_sub(1), "forward", (0, 100)));
    let trace = trace(rows.collect());
    assert_eq!(lines(&trace) as u64, depth);
    let path = CriticalPath::of(&trace, trace.roots()[0]);
    assert_eq!(path.segments.len(), 1);
    assert_eq!(path.segments[0].span as u64, depth - 1);
}

#[test]
fn the_greatest_times_do_not_overflow() {
    let greatest = |row: SpanRow| SpanRow {
        started_ns: u64::MAX,
        duration_ns: u64::MAX,
        ..row
    };
    let trace = trace(vec![
        span(1, None, "step", (0, 100)),
        greatest(call(2, 1, 0, (0, 1))),
        SpanRow {
            started_ns: 0,
            duration_ns: u64::MAX,
            ..answer(3, 2, 0, (0, 1))
        },
        greatest(answer(4, 2, 0, (0, 1))),
    ]);
    PathTotals::default().add(&trace, 0);
    assert_eq!(Waterfall::of(&trace, Folding::None).text(80).count(), 4);
}

proptest! {
    /// Spans with any parents, among them themselves, each other and none, and with equal ids.
    #[test]
    fn no_span_is_lost(parents in prop::collection::vec((0u64..30, prop::option::of(0u64..40)), 1..40)) {
        let rows = parents.iter().map(|(id, parent)| span(*id, *parent, "forward", (0, 10)));
        let trace = trace(rows.collect());
        prop_assert_eq!(lines(&trace), parents.len());
        let mut shown: Vec<usize> = Waterfall::of(&trace, Folding::None)
            .lines()
            .iter()
            .filter_map(|line| match line {
                Line::Span { span, .. } => Some(*span),
                Line::Folded { .. } => None,
            })
            .collect();
        shown.sort_unstable();
        prop_assert_eq!(shown, (0..parents.len()).collect::<Vec<_>>());
    }
}

#[test]
fn similar_calls_are_folded_and_the_text_fits() {
    let mut rows = vec![span(1, None, "forward", (0, 1000))];
    for uid in 0..256 {
        rows.push(call(u64::from(uid) + 10, 1, uid, (0, 100 + u64::from(uid))));
    }
    rows[1].error = Some("deadline\nexceeded\u{1b}[2J".to_owned());
    rows[2].rules = Some("slow/latency".to_owned());
    let trace = trace(rows);
    let waterfall = Waterfall::of(&trace, Folding::Similar);
    // The forward, the slowest 5, the failed call, the faulty call, and the rest.
    assert_eq!(waterfall.lines().len(), 9);
    assert!(waterfall.lines().iter().any(|line| matches!(
        line,
        Line::Folded {
            count: 249,
            durations: (102_000_000, 350_000_000),
            ..
        }
    )));
    for width in [40, 80, 200] {
        let texts: Vec<_> = waterfall.text(width).map(|line| line.text).collect();
        assert!(texts.iter().all(|text| text.chars().count() <= width));
        assert!(texts.iter().all(|text| !text.chars().any(char::is_control)));
        assert!(texts.iter().any(|text| text.contains("faults: slow/latency")));
        assert!(
            texts
                .iter()
                .any(|text| text.contains("249 more dendrite.forward"))
        );
    }
}
