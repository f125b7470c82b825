//! Tests of waterfalls: which spans have lines, and that the text fits the terminal.

mod made;

use made::{MS, client, fan_out, span, trace};
use mirror_runs::tables::SpanRow;
use mirror_traces::critical_path::critical_path;
use mirror_traces::waterfall::text::{Emphasis, text};
use mirror_traces::waterfall::{Folding, Line, limited, lines};

#[test]
fn a_wide_fan_out_shows_the_slowest_calls_and_those_with_errors() {
    let latencies: Vec<u64> = (0..256).map(|uid| (10 + uid) * MS).collect();
    let mut rows = fan_out(1, 0, &latencies);
    for row in &mut rows {
        if row.name == "dendrite.forward" && row.uid == Some(3) {
            row.error = Some("unreachable".to_owned());
        }
        if row.name == "dendrite.forward" && row.uid == Some(4) {
            row.rules = Some("slow/latency".to_owned());
        }
    }
    let trace = trace(rows);
    let shown = lines(&trace, Folding::Similar);
    let mut calls = Vec::new();
    let mut folded = Vec::new();
    for line in &shown {
        match line {
            Line::Span(index) if trace.spans()[*index].row.name == "dendrite.forward" => {
                calls.extend(trace.spans()[*index].row.uid);
            }
            Line::Span(_) => {}
            Line::Folded(lines) => folded.push(lines),
        }
    }
    calls.sort_unstable();
    assert_eq!(calls, [3, 4, 251, 252, 253, 254, 255]);
    assert_eq!(folded.len(), 1);
    assert_eq!((folded[0].count, folded[0].marked), (249, 0));
    assert_eq!(
        (folded[0].shortest_ns, folded[0].longest_ns),
        (10_000_000, 260_000_000)
    );

    let all = lines(&trace, Folding::None);
    assert_eq!(all.len(), trace.spans().len());
    for width in [80, 200] {
        for line in text(&trace, &shown, width) {
            assert!(line.text.chars().count() <= width, "{}", line.text);
        }
    }
    let drawn: Vec<_> = text(&trace, &shown, 80).collect();
    assert!(
        drawn
            .iter()
            .any(|line| line.text.contains("249 more, 10.0 ms to 260 ms"))
    );
    let error = drawn.iter().find(|line| line.text.contains("error: unreachable"));
    assert_eq!(error.map(|line| line.emphasis), Some(Emphasis::Error));
    let rule = drawn
        .iter()
        .find(|line| line.text.contains("rules: slow/latency"));
    assert_eq!(rule.map(|line| line.emphasis), Some(Emphasis::Rule));
}

#[test]
fn a_fan_out_in_which_every_call_fails_stays_short() {
    let failing = |number: u64| SpanRow {
        error: Some("timeout".to_owned()),
        ..client(number, 0, number as u32, 0, 100)
    };
    let mut rows: Vec<SpanRow> = (1..=256).map(failing).collect();
    rows.push(span(0, 0, "forward", 0, 100));
    let trace = trace(rows);
    let shown = lines(&trace, Folding::Similar);
    // The forward, 5 slowest, the one that it waited for, 10 with an error, and the line of the others.
    assert_eq!(shown.len(), 18);
    assert!(matches!(&shown[17], Line::Folded(folded) if (folded.count, folded.marked) == (240, 240)));
}

/// The calls of a timeout end together, so only one of them is on the path, and it need not be the longest.
#[test]
fn of_many_similar_calls_the_one_on_the_critical_path_has_a_line() {
    let mut rows = vec![span(0, 0, "step", 0, 1_000), span(1, 0, "forward", 0, 1_000)];
    for uid in 0..64 {
        // Later calls begin later, so they are shorter. Uid 40 ends last.
        let end = if uid == 40 { 901 } else { 900 };
        rows.push(SpanRow {
            error: Some("timeout".to_owned()),
            ..client(10 + u64::from(uid), 1, uid, 2 * u64::from(uid), end)
        });
    }
    let trace = trace(rows);
    let lines = lines(&trace, Folding::Similar);
    let calls = shown(&trace, &lines);
    assert!(calls.contains(&("dendrite.forward", Some(40))), "{calls:?}");
    let limited = limited(&trace, &lines, &critical_path(&trace, 0), 4);
    assert!(shown(&trace, &limited).contains(&("dendrite.forward", Some(40))));
}

/// Calls that follow each other are all on the path. The lines stay few, and none of the time is lost.
#[test]
fn folded_spans_on_the_critical_path_state_how_long_the_step_waited() {
    let mut rows = vec![span(0, 0, "step", 0, 64 * MS)];
    for number in 0..64 {
        // A wait of 1 ms each, half of which is that of a span below.
        let call = 10 + 2 * number;
        rows.push(span(call, 0, "request", number * MS, (number + 1) * MS));
        rows.push(span(call + 1, call, "work", number * MS, number * MS + MS / 2));
    }
    let trace = trace(rows);
    let lines = lines(&trace, Folding::Similar);
    let requests = shown(&trace, &lines)
        .into_iter()
        .filter(|(name, _)| *name == "request")
        .count();
    assert!(requests < 20, "{requests} lines");
    let folded = lines.iter().find_map(|line| match line {
        Line::Folded(folded) => Some(folded),
        Line::Span(_) => None,
    });
    let folded = folded.expect("the other requests have one line");
    assert_eq!(folded.count + requests, 64);
    assert_eq!(folded.waited_ns, folded.count as i64 * MS as i64);
}

#[test]
fn bars_are_at_their_place_in_time() {
    let trace = trace(vec![
        span(0, 0, "step", 0, 100),
        span(1, 0, "first", 0, 50),
        span(2, 0, "second", 50, 100),
    ]);
    let shown = lines(&trace, Folding::Similar);
    let bars: Vec<(usize, usize)> = text(&trace, &shown, 80)
        .map(|line| {
            let bar: Vec<char> = line.text.chars().collect();
            let start = bar.iter().position(|letter| *letter == '█').expect("a bar");
            (start, bar.len())
        })
        .collect();
    let [(start, end), first, second] = bars[..] else {
        panic!("three lines");
    };
    assert_eq!(end, 80);
    let middle = start + (end - start) / 2;
    assert_eq!(first, (start, middle));
    assert_eq!(second, (middle, end));
}

/// Returns the names and uids of the lines that are single spans.
fn shown<'a>(trace: &'a mirror_traces::Trace, lines: &[Line]) -> Vec<(&'a str, Option<u32>)> {
    let spans = lines.iter().filter_map(|line| match line {
        Line::Span(index) => Some(&trace.spans()[*index].row),
        Line::Folded(_) => None,
    });
    spans.map(|row| (&*row.name, row.uid)).collect()
}

#[test]
fn a_limit_keeps_the_critical_path_and_failed_calls_with_the_spans_above_them() {
    let latencies: Vec<u64> = (0..256).map(|uid| (10 + uid) * MS).collect();
    let mut rows = fan_out(1, 0, &latencies);
    for row in &mut rows {
        if row.name == "axon.forward" && row.uid == Some(3) {
            row.error = Some("malformed".to_owned());
        }
    }
    let trace = trace(rows);
    let all = lines(&trace, Folding::None);
    let path = critical_path(&trace, 0);
    // The step, its forward, choice and reward, the slowest call and its axon, and the call and the axon of uid 3.
    let expected = [
        ("step", None),
        ("forward", None),
        ("choose", None),
        ("dendrite.forward", Some(3)),
        ("axon.forward", Some(3)),
        ("dendrite.forward", Some(255)),
        ("axon.forward", Some(255)),
        ("reward", None),
    ];
    assert_eq!(shown(&trace, &limited(&trace, &all, &path, 8)), expected);
    for limit in 0..40 {
        let limited = limited(&trace, &all, &path, limit);
        assert_eq!(limited.len(), limit);
        for line in &limited {
            let Line::Span(index) = line else {
                panic!("no line is folded")
            };
            let parent = trace.spans()[*index].parent;
            assert!(parent.is_none_or(|parent| limited.contains(&Line::Span(parent))));
        }
    }
    assert_eq!(limited(&trace, &all, &path, usize::MAX - 1), all);
}

#[test]
fn a_deep_trace_is_limited_without_its_deepest_spans() {
    let rows = (0..50_000).map(|number: u64| span(number, number.saturating_sub(1), "part", 0, 100));
    let trace = trace(rows.collect());
    let all = lines(&trace, Folding::Similar);
    let limited = limited(&trace, &all, &critical_path(&trace, 0), 60);
    let expected: Vec<Line> = (0..60).map(Line::Span).collect();
    assert_eq!(limited, expected);
}
