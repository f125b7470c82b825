//! Tests of runs with spans: one trace after the other, a trace by its name, and the comparison of two runs.

mod made;

use made::{MS, fan_out, run_of, span};
use mirror_runs::tables::SpanRow;
use mirror_traces::compare::{Change, Grouping, Pairing, compare};
use mirror_traces::{FindError, Traces, Wanted, find, has_spans};

#[test]
fn traces_are_returned_one_after_the_other() {
    let runs = tempfile::tempdir().unwrap();
    let rows: Vec<SpanRow> = [3, 1, 2]
        .into_iter()
        .flat_map(|id| fan_out(id, 0, &[MS; 4]))
        .collect();
    let run = run_of(runs.path(), 7, rows);
    let traces: Vec<_> = Traces::of_run(&run)
        .unwrap()
        .map(|trace| trace.unwrap())
        .collect();
    let sizes: Vec<(String, usize)> = (traces.iter())
        .map(|trace| (trace.id().trim_start_matches('0').to_owned(), trace.spans().len()))
        .collect();
    assert_eq!(
        sizes,
        [("1".to_owned(), 12), ("2".to_owned(), 12), ("3".to_owned(), 12)]
    );
}

#[test]
fn a_run_may_have_no_spans() {
    let runs = tempfile::tempdir().unwrap();
    let run = run_of(runs.path(), 7, Vec::new());
    assert!(!has_spans(&run).unwrap());
    assert_eq!(Traces::of_run(&run).unwrap().count(), 0);
}

fn wanted(text: &str) -> Wanted {
    text.parse().expect("the name of a trace")
}

#[test]
fn a_trace_is_found_by_the_start_of_its_id_or_its_step() {
    let runs = tempfile::tempdir().unwrap();
    let id = |first: u128| first << 112;
    let mut rows: Vec<SpanRow> = (0..8)
        .flat_map(|step| fan_out(id(0xab00) + step, step as u64, &[MS]))
        .collect();
    rows.extend(fan_out(id(0xab12), 8, &[MS]));
    let of_another = |mut row: SpanRow| {
        row.node = row.node.replace("validator-0", "validator-1");
        row
    };
    rows.extend(fan_out(id(0xcd34), 8, &[MS]).into_iter().map(of_another));
    let run = run_of(runs.path(), 7, rows);
    let found = |text: &str| find(&run, &wanted(text)).map(|trace| trace.id()[..4].to_owned());

    assert_eq!(found("ab12").unwrap(), "ab12");
    assert_eq!(found("AB12000").unwrap(), "ab12");
    assert_eq!(found("step:3").unwrap(), "ab00");
    assert_eq!(found("validator-1/step:8").unwrap(), "cd34");
    assert!(matches!(found("ab13"), Err(FindError::Unknown(_))));
    assert!(matches!(found("validator-1/step:3"), Err(FindError::Unknown(_))));
    let message = found("ab00").unwrap_err().to_string();
    assert!(
        message.starts_with("`ab00` fits more than 5 traces: ab00"),
        "{message}"
    );
    assert_eq!(
        found("step:8").unwrap_err().to_string(),
        "`step:8` fits 2 traces: validator-0/step:8, validator-1/step:8"
    );
    for invalid in ["", "abc", "wxyz", "step:", "step:-1", "/step:1", &"a".repeat(33)] {
        assert!(invalid.parse::<Wanted>().is_err(), "{invalid}");
    }
}

/// Returns steps whose forwards take `base` milliseconds plus a number that differs from step to step.
fn steps(ids: impl Iterator<Item = u128>, base: u64) -> Vec<SpanRow> {
    ids.flat_map(|id| {
        let step = id as u64;
        fan_out(id, step, &[(base + step * 7 % 50) * MS])
    })
    .collect()
}

fn changes(comparison: &mirror_traces::compare::Comparison) -> Vec<(&str, Change)> {
    comparison
        .differences
        .iter()
        .map(|difference| (&*difference.name, Change::of(difference.interval())))
        .collect()
}

#[test]
fn runs_with_the_same_seed_are_compared_in_pairs() {
    let runs = tempfile::tempdir().unwrap();
    let first = run_of(runs.path(), 7, steps(1..101, 100));
    let second = run_of(runs.path(), 7, steps(1..91, 103));
    let comparison = compare(&first, &second, Grouping::Name).unwrap();
    assert_eq!(comparison.pairing, Pairing::SameTraces);
    assert_eq!(
        (comparison.traces, comparison.unpaired_traces),
        ([90, 90], [10, 0])
    );
    // Each step takes 3 ms longer. The variation between steps, of up to 50 ms, is the same in both runs.
    for (name, change) in changes(&comparison) {
        let expected = match name {
            "choose" | "reward" => Change::NotShown,
            _ => Change::Slower,
        };
        assert_eq!(change, expected, "{name}");
    }
    let last = comparison.differences.last().expect("a difference");
    assert_eq!(last.added_ns, 0.0);
    for difference in &comparison.differences[..4] {
        assert!((difference.added_ns - 3e6).abs() < 1.0, "{}", difference.name);
        let [first, second] = difference.medians_ns.map(|median| median.expect("a median"));
        assert!((second - first - 3e6).abs() < 1.0);
        let [low, high] = difference.interval().expect("an interval");
        let ratio = difference.ratio().expect("a ratio");
        assert!(1.0 < low && low <= ratio && ratio <= high);
    }

    let reversed = compare(&second, &first, Grouping::NameAndUid).unwrap();
    let call = |difference: &&mirror_traces::compare::Difference| difference.name == "dendrite.forward";
    let call = reversed.differences.iter().find(call).expect("a call");
    assert_eq!(call.uid, Some(0));
    assert_eq!(Change::of(call.interval()), Change::Faster);
}

#[test]
fn runs_with_other_seeds_are_compared_without_pairs() {
    let runs = tempfile::tempdir().unwrap();
    let first = run_of(runs.path(), 7, steps(1..101, 100));
    let same = run_of(runs.path(), 8, steps(1_001..1_101, 100));
    let slow = run_of(runs.path(), 9, steps(2_001..2_101, 300));

    let comparison = compare(&first, &same, Grouping::Name).unwrap();
    assert_eq!(comparison.pairing, Pairing::None);
    assert_eq!(comparison.traces, [100, 100]);
    assert!(
        changes(&comparison)
            .iter()
            .all(|(_, change)| *change == Change::NotShown)
    );

    let comparison = compare(&first, &slow, Grouping::Name).unwrap();
    let slower = changes(&comparison);
    assert!(slower.contains(&("dendrite.forward", Change::Slower)));
    assert!(slower.contains(&("reward", Change::NotShown)));
}

#[test]
fn few_traces_show_no_difference() {
    let runs = tempfile::tempdir().unwrap();
    let first = run_of(runs.path(), 7, steps(1..6, 10));
    let second = run_of(runs.path(), 7, steps(1..6, 900));
    let comparison = compare(&first, &second, Grouping::Name).unwrap();
    let difference = &comparison.differences[0];
    assert!(difference.ratio().is_some_and(|ratio| ratio > 10.0));
    assert_eq!(difference.interval(), None);
}

#[test]
fn spans_that_only_one_run_has_are_listed() {
    let runs = tempfile::tempdir().unwrap();
    let mut rows = steps(1..11, 10);
    let first = run_of(runs.path(), 7, rows.clone());
    rows.push(span(700, 0, "resync", 0, 500 * MS));
    let second = run_of(runs.path(), 7, rows);
    let comparison = compare(&first, &second, Grouping::Name).unwrap();
    let difference = &comparison.differences[0];
    assert_eq!((&*difference.name, difference.ratio()), ("resync", None));
    // 500 ms in 10 traces.
    assert!((difference.added_ns - 50e6).abs() < 1.0);
}
