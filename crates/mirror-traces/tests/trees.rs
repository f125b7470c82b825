//! Tests that no table of spans, however damaged, loses spans or stops the program.

mod made;

use std::collections::BTreeSet;

use made::{EPOCH_NS, client, fan_out, id, server, span, trace};
use mirror_runs::tables::SpanRow;
use mirror_traces::critical_path::{Breakdown, Segment, critical_path};
use mirror_traces::export::FORMATS;
use mirror_traces::waterfall::{self, Folding, text};
use mirror_traces::{Detached, Incidents, Neurons, Trace};
use proptest::prelude::*;
use unicode_width::UnicodeWidthChar;

#[test]
fn children_are_in_the_order_of_their_start() {
    let trace = trace(vec![
        span(3, 0, "reward", 60, 90),
        span(2, 1, "choose", 11, 12),
        span(1, 0, "forward", 10, 50),
        span(0, 0, "step", 0, 100),
    ]);
    let names: Vec<(&str, usize)> = (trace.spans().iter())
        .map(|span| (&*span.row.name, span.depth))
        .collect();
    assert_eq!(names, [("step", 0), ("forward", 1), ("choose", 2), ("reward", 1)]);
    assert_eq!(trace.spans()[0].children, [1, 3]);
    assert_eq!(trace.spans()[0].tree_size, 4);
}

#[test]
fn a_span_without_its_parent_is_a_root() {
    let rows = vec![span(0, 0, "step", 0, 100), span(2, 9, "reward", 20, 30)];
    let trace = trace(rows);
    assert_eq!(trace.roots().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(trace.spans()[1].detached, Some(Detached::MissingParent));
}

#[test]
fn a_parent_is_missing_because_its_node_was_killed() {
    let killed = |node: &str| {
        Some(Detached::KilledNode {
            node: node.to_owned(),
        })
    };
    let mut incidents = Incidents::default();
    incidents.add("validator-0", 0);
    incidents.add("miner-1", 0);
    // The span of an axon whose caller lost everything, and two starts of a miner that lost the span of its axon.
    let check = |incarnation| SpanRow {
        node: "miner-1".to_owned(),
        incarnation,
        ..span(5 + u64::from(incarnation), 98, "axon.check", 25, 26)
    };
    let trace = Trace::new(vec![server(4, 99, 3, 20, 30), check(0), check(1)], &incidents);
    let detached: Vec<_> = trace.spans().iter().map(|span| span.detached.clone()).collect();
    assert_eq!(
        detached,
        [
            killed("validator-0"),
            killed("miner-1"),
            Some(Detached::MissingParent)
        ]
    );

    // The root's node has an incident, another miner has none.
    let rows = vec![
        span(0, 0, "step", 0, 100),
        server(1, 99, 3, 20, 30),
        SpanRow {
            node: "miner-2".to_owned(),
            ..span(2, 98, "axon.check", 21, 22)
        },
    ];
    let trace = Trace::new(rows, &incidents);
    assert_eq!(trace.spans()[1].detached, killed("validator-0"));
    assert_eq!(trace.spans()[2].detached, Some(Detached::MissingParent));
}

#[test]
fn a_cycle_is_cut_once() {
    let parent = |row: SpanRow, parent| SpanRow {
        parent_id: Some(id(parent)),
        ..row
    };
    let trace = trace(vec![
        parent(span(1, 1, "a", 0, 10), 2),
        parent(span(2, 2, "b", 1, 10), 3),
        parent(span(3, 3, "c", 2, 10), 1),
        parent(span(4, 4, "self", 3, 10), 4),
        span(5, 2, "below", 4, 10),
    ]);
    assert_eq!(trace.spans().len(), 5);
    let cut = |span: &&mirror_traces::Span| span.detached == Some(Detached::Cycle);
    assert_eq!(trace.spans().iter().filter(cut).count(), 2);
    let below = trace.spans().iter().find(|span| span.row.name == "below");
    assert_eq!(below.map(|span| span.detached.clone()), Some(None));
}

#[test]
fn equal_rows_are_one_span_and_other_rows_of_the_id_are_kept() {
    let trace = trace(vec![
        span(0, 0, "step", 0, 100),
        span(1, 0, "forward", 0, 10),
        span(1, 0, "forward", 0, 10),
        span(1, 0, "another", 5, 10),
        span(2, 1, "choose", 1, 2),
    ]);
    assert_eq!(trace.repeated_rows(), 1);
    let spans: Vec<(&str, bool, usize)> = (trace.spans().iter())
        .map(|span| (&*span.row.name, span.repeats_id, span.depth))
        .collect();
    assert_eq!(
        spans,
        [
            ("step", false, 0),
            ("forward", false, 1),
            ("choose", false, 2),
            ("another", true, 1)
        ]
    );
}

#[test]
fn a_tree_of_a_hundred_thousand_levels_is_read() {
    let levels = 100_000;
    let rows = (0..levels).map(|number| {
        span(
            number,
            number.saturating_sub(1),
            "deep",
            number,
            2 * levels - number,
        )
    });
    let trace = trace(rows.collect());
    assert_eq!(trace.spans().last().map(|span| span.depth), Some(99_999));
    let path = critical_path(&trace, 0);
    assert_eq!(path.iter().map(Segment::duration_ns).sum::<i64>(), 200_000);
    let lines = waterfall::lines(&trace, Folding::Similar);
    let text: Vec<_> = text::text(&trace, &lines, 80).collect();
    assert_eq!(text.len(), 100_000);
}

#[test]
fn an_empty_trace_has_no_lines() {
    let trace = trace(Vec::new());
    assert_eq!(trace.extent_ns(), None);
    assert_eq!(waterfall::lines(&trace, Folding::Similar), []);
    assert_eq!(critical_path(&trace, 0), []);
}

/// Rows in which ids, parents, times and kinds are arbitrary.
fn damaged() -> impl Strategy<Value = Vec<SpanRow>> {
    let time = || prop_oneof![0..1_000_u64, Just(0), Just(u64::MAX), any::<u64>()];
    let text = prop_oneof![
        Just("dendrite.forward".to_owned()),
        Just("forward".to_owned()),
        "[\\x00-\\x7f€龍]{0,40}"
    ];
    let row = (
        0..12_u64,
        prop::option::of(0..12_u64),
        text,
        prop_oneof![Just("internal"), Just("client"), Just("server")],
        0..4_u32,
        (time(), time()),
        prop::option::of("[\\x00-\\x7f龍]{0,60}"),
    )
        .prop_map(
            |(number, parent, name, kind, node, (started_ns, duration_ns), error)| SpanRow {
                parent_id: parent.map(id),
                kind: kind.to_owned(),
                node: format!("node-{node}"),
                started_ns,
                duration_ns,
                uid: error.is_some().then_some(node),
                attributes: error.clone(),
                links: error.clone(),
                error,
                ..span(number, number, &name, 0, 0)
            },
        );
    prop::collection::vec(row, 0..40)
}

proptest! {
    #[test]
    fn damaged_rows_are_all_kept(rows in damaged(), width in 0..300_usize) {
        let trace = trace(rows.clone());
        prop_assert_eq!(trace.spans().len() + trace.repeated_rows(), rows.len());
        for (index, span) in trace.spans().iter().enumerate() {
            prop_assert!(span.parent.is_none_or(|parent| parent < index));
            prop_assert!(span.duration_ns >= 0);
        }
        let trees: usize = trace.roots().map(|root| trace.spans()[root].tree_size).sum();
        prop_assert_eq!(trees, trace.spans().len());
        for root in trace.roots() {
            let path = critical_path(&trace, root);
            let sum: i64 = path.iter().map(Segment::duration_ns).sum();
            prop_assert_eq!(sum, trace.spans()[root].duration_ns);
        }
        Breakdown::default().add(&trace);
        let limit = width.clamp(40, 200);
        for folding in [Folding::Similar, Folding::None] {
            let lines = waterfall::lines(&trace, folding);
            for line in text::text(&trace, &lines, width) {
                let columns: usize = line.text.chars().filter_map(UnicodeWidthChar::width).sum();
                prop_assert!(columns <= limit, "{:?}", line.text);
                prop_assert!(!line.text.chars().any(char::is_control));
            }
        }
        for format in FORMATS {
            let mut out = Vec::new();
            let mut exporter = format.exporter();
            exporter.trace(&trace, &Neurons::default(), &mut out).expect("memory can be written");
            exporter.finish(&mut out).expect("memory can be written");
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&out);
            prop_assert!(parsed.is_ok(), "{}", format.name);
        }
    }
}

/// Shifts the times of a node and returns the trace and the original one.
fn shifted(rows: &[SpanRow], node: &str, offset: i64) -> (Trace, Trace) {
    let moved = rows.iter().cloned().map(|mut row| {
        if row.node == node {
            row.started_ns = row
                .started_ns
                .checked_add_signed(offset)
                .expect("a time after 1970");
        }
        row
    });
    (trace(moved.collect()), trace(rows.to_vec()))
}

proptest! {
    #[test]
    fn a_shifted_clock_is_corrected_within_the_slack(
        latencies in prop::collection::vec(2_000_000..500_000_000_u64, 1..6),
        uid in 0..6_usize,
        offset in prop_oneof![-100_000_000_000..100_000_000_000_i64, -2_000_000..2_000_000_i64],
        lean in 0..1_000_000_u64,
    ) {
        let uid = uid % latencies.len();
        let mut rows = fan_out(1, 0, &latencies);
        // The request and the answer take different times, and together 1 ms.
        for row in rows.iter_mut().filter(|row| row.kind == "server") {
            row.started_ns = row.started_ns - 500_000 + lean;
        }
        // A span below that of the axon is on the same clock.
        let at = 500_000 + 1_000_000 + lean;
        rows.push(SpanRow {
            node: format!("miner-{uid}"),
            ..span(500, 11 + 2 * uid as u64, "axon.check", at, at + 10)
        });
        let node = format!("miner-{uid}");
        let (corrected, original) = shifted(&rows, &node, offset);
        let starts = |trace: &Trace| -> BTreeSet<(String, i64)> {
            (trace.spans().iter()).map(|span| (span.row.span_id.clone(), span.start_ns)).collect()
        };
        for ((span, start), (same, expected)) in starts(&corrected).into_iter().zip(starts(&original)) {
            prop_assert_eq!(&span, &same);
            // The client span is 1 ms longer than the server span, and the server span is inside it at any time.
            prop_assert!((start - expected).abs() <= 1_000_000, "{} {}", span, start - expected);
        }
        for offset in corrected.clock_offsets() {
            prop_assert_eq!(&offset.node, &node);
        }
        prop_assert_eq!(original.clock_offsets(), &[]);
    }
}

#[test]
fn the_clock_of_a_miner_is_five_seconds_ahead() {
    let (corrected, original) = shifted(
        &fan_out(1, 0, &[10_000_000, 20_000_000]),
        "miner-1",
        5_000_000_000,
    );
    let offsets: Vec<String> = corrected
        .clock_offsets()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        offsets,
        ["the clock of miner-1 is 5.00 s ahead; its spans are shown corrected"]
    );
    let starts = |trace: &Trace| -> Vec<i64> { trace.spans().iter().map(|span| span.start_ns).collect() };
    assert_eq!(starts(&corrected), starts(&original));
}

#[test]
fn corrections_reach_the_servers_of_servers() {
    let chain = |number, parent, kind: &str, node: &str, start, end| SpanRow {
        kind: kind.to_owned(),
        node: node.to_owned(),
        ..span(number, parent, "subtensor.Submit", start, end)
    };
    let mut rows = vec![
        client(0, 0, 1, 0, 100),
        server(1, 0, 1, 10, 90),
        chain(2, 1, "client", "miner-1", 20, 60),
        chain(3, 2, "server", "subtensor", 30, 50),
    ];
    rows[1].started_ns += 7_000;
    rows[2].started_ns += 7_000;
    rows[3].started_ns -= 9_000;
    let trace = trace(rows);
    let starts: Vec<i64> = trace
        .spans()
        .iter()
        .map(|span| span.start_ns - EPOCH_NS as i64)
        .collect();
    assert_eq!(starts, [0, 10, 20, 30]);
    let offsets: Vec<(&str, i64)> = (trace.clock_offsets().iter())
        .map(|offset| (&*offset.node, offset.ahead_ns))
        .collect();
    assert_eq!(offsets, [("miner-1", 7_000), ("subtensor", -9_000)]);
}

#[test]
fn a_server_may_outlive_a_client_that_gave_up() {
    let timed_out = SpanRow {
        code: Some("timeout".to_owned()),
        error: Some("deadline exceeded".to_owned()),
        ..client(1, 0, 1, 0, 100)
    };
    let rows = vec![span(0, 0, "step", 0, 200), timed_out, server(2, 1, 1, 50, 130)];
    assert_eq!(trace(rows).clock_offsets(), []);
}
