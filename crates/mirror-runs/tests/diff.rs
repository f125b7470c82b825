//! Tests of the comparison of two runs of the same experiment.

mod sample;

use mirror_proto::mirror::v1::{ForwardEvent, Outcome, Purpose, Record};
use mirror_runs::{Difference, Disagreement, Verdict, diff};
use sample::{closed, epoch, event, forward, run_of, weights};

/// Returns the forwards of both runs of a test: two validators and three steps of two forwards. The records add weights
/// at the end.
fn forwards() -> Vec<ForwardEvent> {
    let both = |step| {
        ["validator-0", "validator-1"]
            .map(|validator| [forward(validator, step, 0), forward(validator, step, 1)])
    };
    (0..3).flat_map(both).flatten().collect()
}

fn records(forwards: &[ForwardEvent], weight: f32) -> Vec<Record> {
    let events = forwards.iter().cloned().map(event);
    events
        .chain([weights("validator-0", 2, &[weight, 1.0 - weight])])
        .collect()
}

fn compare(first: &[Record], second: &[Record]) -> Difference {
    let runs = tempfile::tempdir().unwrap();
    diff(&run_of(runs.path(), first), &run_of(runs.path(), second), 10).unwrap()
}

/// Returns the second run's records, after `change` was applied to the forward at index `place`.
fn changed(place: usize, change: impl FnOnce(&mut ForwardEvent)) -> Vec<Record> {
    let mut forwards = forwards();
    change(&mut forwards[place]);
    records(&forwards, 0.5)
}

#[test]
fn order_of_arrival_and_timing_make_no_difference() {
    let mut second = forwards();
    second.reverse();
    for forward in &mut second {
        forward.started_at += 100.0;
        forward.call_time *= 2.0;
        forward.trace_id = vec![1; 16];
        forward.calls[0].latency = 0.5;
    }
    let difference = compare(&records(&forwards(), 0.5), &records(&second, 0.5));
    assert_eq!(difference.verdict(), Verdict::Same, "{difference:?}");
    let compared: Vec<_> = difference.compared.into_iter().collect();
    assert_eq!(
        compared,
        [
            ("bonds", 0),
            ("epochs", 0),
            ("events", 12),
            ("losses", 6),
            ("parameters", 6),
            ("responses", 36),
            ("transactions", 0),
            ("weights", 2)
        ]
    );
}

#[test]
fn a_changed_value_is_reported_with_its_row_and_column() {
    let second = changed(0, |forward| forward.calls[2].reward = Some(0.900_000_1));
    let difference = compare(&records(&forwards(), 0.5), &second);
    assert_eq!(difference.verdict(), Verdict::Different);
    assert_eq!(difference.divergences.total, 1);
    assert_eq!(
        difference.divergences.first[0].to_string(),
        "responses: validator-0 (query), step 0, forward 0, call 2: reward is 0.9 in the first run and 0.9000001 in the second"
    );
}

#[test]
fn weights_and_losses_are_compared_to_the_last_bit() {
    let difference = compare(
        &records(&forwards(), 0.5),
        &records(&forwards(), 0.5 + f32::EPSILON),
    );
    let columns: Vec<_> = difference
        .divergences
        .first
        .iter()
        .map(|found| (found.table, found.row.as_str()))
        .collect();
    assert_eq!(
        columns,
        [
            ("weights", "validator-0, step 2, uid 0"),
            ("weights", "validator-0, step 2, uid 1")
        ]
    );

    let loss = changed(1, |forward| forward.gating_loss = Some(0.25));
    let difference = compare(&records(&forwards(), 0.5), &loss);
    assert_eq!(difference.divergences.first[0].table, "losses");
}

#[test]
fn all_nans_are_equal_and_zeros_differ_by_their_sign() {
    let scores = |values: [f32; 2]| changed(0, |forward| forward.scores = values.to_vec());
    let other_nan = f32::from_bits(f32::NAN.to_bits() | 1);
    assert_eq!(
        compare(&scores([f32::NAN, 0.0]), &scores([other_nan, 0.0])).verdict(),
        Verdict::Same
    );
    assert_eq!(
        compare(&scores([0.0, 0.0]), &scores([0.0, -0.0])).verdict(),
        Verdict::Different
    );
}

#[test]
fn an_event_of_only_one_run_is_reported() {
    let mut fewer = forwards();
    fewer.pop();
    let difference = compare(&records(&forwards(), 0.5), &records(&fewer, 0.5));
    assert!(
        difference
            .divergences
            .first
            .iter()
            .all(|found| found.what == Disagreement::OnlyFirst)
    );
    assert_eq!(
        difference.divergences.total,
        1 + 3 + 1 + 1,
        "the event, its calls, its loss, its parameter"
    );
}

#[test]
fn a_call_lost_to_slowness_excuses_itself_and_dependent_events() {
    // validator-0 loses a call in the second forward of step 1 …
    let mut second = forwards();
    second[5].calls[2].outcome = Outcome::Timeout.into();
    second[5].calls[2].timing_dependent = true;
    second[5].calls[2].reward = None;
    second[5].best = Some(0);
    // … so it sends a different message in step 2.
    second[8].message = "something else".to_owned();
    let difference = compare(&records(&forwards(), 0.5), &records(&second, 0.25));
    assert_eq!(difference.verdict(), Verdict::SameButForTiming, "{difference:?}");
    assert_eq!(
        difference.timing_dependent.first,
        ["validator-0 (query), step 1, forward 1, call 2"]
    );
    let excused: Vec<_> = difference.excused.first.iter().map(|found| found.table).collect();
    assert_eq!(
        excused,
        [
            "responses",
            "responses",
            "responses",
            "events",
            "events",
            "weights",
            "weights"
        ]
    );

    // Earlier events and the other validator are not excused.
    for place in [0, 10] {
        let mut third = second.clone();
        third[place].message = "something else".to_owned();
        let difference = compare(&records(&forwards(), 0.5), &records(&third, 0.25));
        assert_eq!(difference.verdict(), Verdict::Different, "forward {place}");
    }
}

#[test]
fn chain_records_are_compared_except_for_reported_ports() {
    let chain = |port: &str, weight: &str, epoch_of: u64| {
        let asked = [("serve_axon", port), ("set_weights", weight)];
        [
            records(&forwards(), 0.5),
            vec![closed(1, &asked), epoch(epoch_of, 1, 0)],
        ]
        .concat()
    };
    let first = chain("127.0.0.1:4000", "0:1", 1);
    assert_eq!(
        compare(&first, &chain("127.0.0.1:5000", "0:1", 1)).verdict(),
        Verdict::Same
    );
    let weight = compare(&first, &chain("127.0.0.1:4000", "0:2", 1));
    assert_eq!(weight.divergences.total, 1);
    let line = weight.divergences.first[0].to_string();
    assert!(
        line.starts_with("transactions: block 1, set_weights of 5GrwvaEF"),
        "{line}"
    );
    let epochs = compare(&first, &chain("127.0.0.1:4000", "0:1", 2));
    let tables: Vec<_> = epochs.divergences.first.iter().map(|found| found.table).collect();
    assert_eq!(tables, ["epochs", "epochs", "epochs", "epochs", "bonds", "bonds"]);
}

#[test]
fn slowness_excuses_the_chain_from_the_next_block_on() {
    // Step 1 is made at block 1, so blocks closed up to then cannot depend on it.
    let mut second = forwards();
    second[4].calls[2].outcome = Outcome::Timeout.into();
    second[4].calls[2].timing_dependent = true;
    for (block, verdict) in [(1, Verdict::Different), (2, Verdict::SameButForTiming)] {
        let with = |forwards: &[ForwardEvent], weight| {
            [
                records(forwards, 0.5),
                vec![closed(block, &[("set_weights", weight)])],
            ]
            .concat()
        };
        let difference = compare(&with(&forwards(), "0:1"), &with(&second, "0:2"));
        assert_eq!(difference.verdict(), verdict, "{difference:?}");
    }
}

#[test]
fn messages_of_axons_are_compared_and_those_of_a_failed_transport_are_not() {
    let said = |grpc_code: i32, words: &str| {
        changed(0, |forward| {
            forward.calls[1].grpc_code = grpc_code;
            forward.calls[1].return_message = words.to_owned();
        })
    };
    assert_eq!(
        compare(&said(14, "port 4000 refused"), &said(14, "port 5000 refused")).verdict(),
        Verdict::Same
    );
    assert_eq!(
        compare(&said(0, "one thing"), &said(0, "another")).verdict(),
        Verdict::Different
    );
}

#[test]
fn manual_forwards_are_counted_and_not_compared() {
    let mut manual = forward("validator-0", 1, 0);
    manual.purpose = Purpose::Manual.into();
    let mut second = records(&forwards(), 0.5);
    second.push(event(manual));
    let difference = compare(&records(&forwards(), 0.5), &second);
    assert_eq!((difference.verdict(), difference.manual), (Verdict::Same, (0, 1)));
}

#[test]
fn the_first_differences_are_kept_and_all_are_counted() {
    let mut second = forwards();
    for forward in &mut second {
        forward.block += 1;
        forward.message = "é".repeat(10_000);
    }
    let runs = tempfile::tempdir().unwrap();
    let first = run_of(runs.path(), &records(&forwards(), 0.5));
    let second = run_of(runs.path(), &records(&second, 0.5));
    let difference = diff(&first, &second, 3).unwrap();
    assert_eq!(
        (difference.divergences.first.len(), difference.divergences.total),
        (3, 24)
    );
    assert!(
        difference
            .divergences
            .first
            .iter()
            .all(|found| found.to_string().len() < 1_000)
    );
}
