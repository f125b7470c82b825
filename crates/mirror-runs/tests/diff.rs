//! Tests of the comparison of two runs of the same experiment.

mod sample;

use mirror_proto::mirror::v1::{FaultChange, ForwardEvent, Outcome, Purpose, Record};
use mirror_runs::{Difference, Disagreement, Verdict, diff};
use sample::{closed, epoch, event, fault, forward, run_of, weights};

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
            ("faults", 0),
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

/// Returns the sentence about the first decision in which the runs part.
#[track_caller]
fn parting(first: &[Record], second: &[Record]) -> String {
    let difference = compare(first, second);
    let parting = difference
        .parting
        .unwrap_or_else(|| panic!("the runs are the same"));
    parting.to_string()
}

/// Returns the records of a run with these changes of faults.
fn with_faults(forwards: &[ForwardEvent], faults: &[FaultChange]) -> Vec<Record> {
    let faults = faults.iter().cloned().map(sample::changed);
    faults.chain(records(forwards, 0.5)).collect()
}

/// The forward at index 4 is the first of validator-0 in step 1, and that at index 5 its second.
#[test]
fn a_forward_precedes_the_calls_of_later_forwards() {
    let mut second = forwards();
    second[4].message = "other words".to_owned();
    second[5].calls[0].reward = Some(0.7);
    second[6].calls[0].reward = Some(0.7);
    assert_eq!(
        parting(&records(&forwards(), 0.5), &records(&second, 0.25)),
        "the runs part at step 1: forward 0 of validator-0: message is \"validator-0 asks in step 1, forward 0\" in the \
         first run and \"other words\" in the second"
    );
    // The forwards of validators with the same index are concurrent, and the scores precede the reward.
    second[4].message = forwards()[4].message.clone();
    second[6].scores = vec![0.0, 0.0, 0.0];
    let words = parting(&records(&forwards(), 0.5), &records(&second, 0.25));
    assert!(
        words.starts_with("the runs part at step 1: forward 0 of validator-1: scores"),
        "{words}"
    );
}

#[test]
fn each_kind_of_first_decision_of_a_call_is_named() {
    let mut first = forwards();
    first[4].calls[1].faults = vec!["slow/latency".to_owned()];
    let with = |change: &dyn Fn(&mut ForwardEvent)| {
        let mut second = first.clone();
        change(&mut second[4]);
        // These depend on the decision.
        second[5].message = "another prompt".to_owned();
        second[8].scores = vec![0.0, 0.0, 0.0];
        parting(&records(&first, 0.5), &records(&second, 0.25))
    };
    let drop = || "link-b907/drop".to_owned();
    assert_eq!(
        with(&|forward| {
            forward.calls[1].faults.push(drop());
            forward.calls[1].outcome = Outcome::Timeout.into();
            forward.calls[2].reward = None;
            forward.best = Some(0);
        }),
        "the runs part at step 1: the call of validator-0 to uid 1 (forward 0): fault link-b907/drop hit it only in the \
         second run"
    );
    assert_eq!(
        with(&|forward| forward.calls[1].faults.clear()),
        "the runs part at step 1: the call of validator-0 to uid 1 (forward 0): fault slow/latency hit it only in the \
         first run"
    );
    assert_eq!(
        with(&|forward| {
            forward.calls[2].uid = 7;
            forward.calls[0].reward = Some(0.4);
        }),
        "the runs part at step 1: validator-0 chose other uids (forward 0): its call 2 went to uid 2 in the first run \
         and to uid 7 in the second"
    );
    assert_eq!(
        with(&|forward| {
            forward.calls.pop();
            forward.best = Some(0);
        }),
        "the runs part at step 1: validator-0 chose other uids (forward 0): it called uid 2 only in the first run"
    );
    assert_eq!(
        with(&|forward| {
            forward.calls[1].drawn_delay = Some(0.25);
            forward.calls[0].outcome = Outcome::Malformed.into();
        }),
        "the runs part at step 1: the call of validator-0 to uid 1 (forward 0): drawn_delay is null in the first run and \
         0.25 in the second"
    );
    assert_eq!(
        with(&|forward| {
            forward.calls[2].outcome = Outcome::Malformed.into();
            forward.calls[0].reward = Some(0.4);
            forward.best = Some(0);
        }),
        "the runs part at step 1: the call of validator-0 to uid 2 (forward 0): outcome is \"success\" in the first run and \
         \"malformed\" in the second"
    );
    assert_eq!(
        with(&|forward| {
            forward.calls[2].reward = Some(0.05);
            forward.best = Some(0);
        }),
        "the runs part at step 1: the call of validator-0 to uid 2 (forward 0): reward is 0.9 in the first run and 0.05 \
         in the second"
    );
    assert_eq!(
        with(&|forward| {
            forward.calls[2].faults = vec!["backward link-b907/drop".to_owned()];
            forward.calls[2].backward_code = Some(14);
        }),
        "the runs part at step 1: the call of validator-0 to uid 2 (forward 0): fault link-b907/drop hit its backward \
         call only in the second run"
    );
}

#[test]
fn the_first_decision_may_be_of_the_weights_or_of_the_chain() {
    let first = records(&forwards(), 0.5);
    let weight = records(&forwards(), 0.25);
    assert_eq!(
        parting(&first, &weight),
        "the runs part at step 2: weights: validator-0, step 2, uid 0: weight is 0.5 in the first run and 0.25 in the \
         second"
    );
    // A block that closes before the forwards of step 1 precedes them.
    let chain = |weight: &str, forwards: &[ForwardEvent]| {
        [
            records(forwards, 0.5),
            vec![closed(1, &[("set_weights", weight)])],
        ]
        .concat()
    };
    let mut second = forwards();
    second[4].message = "another prompt".to_owned();
    let words = parting(&chain("0:1", &forwards()), &chain("0:2", &second));
    let expected = "the runs part at step 1: the chain at block 1: transactions: block 1, set_weights of";
    assert!(words.starts_with(expected), "{words}");
    second[0].message = "an earlier prompt".to_owned();
    let words = parting(&chain("0:1", &forwards()), &chain("0:2", &second));
    assert!(
        words.starts_with("the runs part at step 0: forward 0 of validator-0: message"),
        "{words}"
    );
}

#[test]
fn a_fault_of_only_one_run_is_the_first_decision() {
    let both = [fault("slow", 1, false), fault("slow", 2, true)];
    let more = [&both[..], &[fault("kill-2c55", 1, false)]].concat();
    let mut second = forwards();
    second[4].calls[1].faults = vec!["kill-2c55/drop".to_owned()];
    assert_eq!(
        parting(&with_faults(&forwards(), &more), &with_faults(&forwards(), &both)),
        "the runs part at step 1: the fault kill-2c55 was applied at step 1 only in the first run"
    );
    assert_eq!(
        parting(&with_faults(&forwards(), &both), &with_faults(&second, &more)),
        "the runs part at step 1: the fault kill-2c55 was applied at step 1 only in the second run"
    );
    // The call was made before the fault.
    second[0].calls[0].reward = Some(0.3);
    let words = parting(&with_faults(&forwards(), &both), &with_faults(&second, &more));
    assert!(
        words.starts_with("the runs part at step 0: the call of validator-0 to uid 0 (forward 0): reward"),
        "{words}"
    );
    // A fault after the queries.
    let mut late = fault("late", 9, false);
    late.step = None;
    assert_eq!(
        parting(
            &with_faults(&forwards(), &both),
            &with_faults(&forwards(), &[&both[..], &[late]].concat())
        ),
        "the runs part after the queries: the fault late was applied only in the second run"
    );
}

#[test]
fn step_nodes_and_block_of_a_fault_are_compared_and_its_times_are_not() {
    let run = |change: &dyn Fn(&mut FaultChange)| {
        let mut applied = fault("slow", 1, false);
        change(&mut applied);
        with_faults(&forwards(), &[applied, fault("slow", 2, true)])
    };
    let first = run(&|_| {});
    let same = compare(
        &first,
        &run(&|change| {
            change.at += 10.0;
            change.detail = "connection refused".to_owned();
            change.manual = true;
            change.planned = String::new();
            change.planned_end = Some("step 2".to_owned());
        }),
    );
    assert_eq!(same.verdict(), Verdict::Same, "{same:?}");
    assert_eq!(same.compared["faults"], 2);
    assert_eq!(
        parting(&first, &run(&|change| change.step = Some(0))),
        "the runs part at step 0: the fault slow was applied at step 1 in the first run and at step 0 in the second"
    );
    assert_eq!(
        parting(&first, &run(&|change| change.block = Some(9))),
        "the runs part at step 1: the fault slow was applied: block is 1 in the first run and 9 in the second"
    );
    assert_eq!(
        parting(&first, &run(&|change| change.who = "uid 2".to_owned())),
        "the runs part at step 1: the fault slow was applied: who is \"validator-0 to uid 1\" in the first run and \"uid 2\" in \
         the second"
    );
}

#[test]
fn the_order_and_step_of_changes_by_the_clock_are_excused() {
    let run = |lifted_at: Option<u64>| {
        let mut applied = fault("pause", 0, false);
        applied.planned_end = Some("1.5s".to_owned());
        let other = [fault("slow", 1, false), fault("slow", 2, true)];
        let lifted = lifted_at.map(|step| fault("pause", step, true));
        let mut changes: Vec<FaultChange> = [applied].into_iter().chain(other).chain(lifted).collect();
        changes.sort_by_key(|change| change.step);
        with_faults(&forwards(), &changes)
    };
    let difference = compare(&run(Some(0)), &run(Some(2)));
    assert_eq!(difference.verdict(), Verdict::Same, "{difference:?}");
    assert_eq!(difference.compared["faults"], 4);
    // The second run ended before the fault was lifted.
    let difference = compare(&run(Some(1)), &run(None));
    assert_eq!(difference.verdict(), Verdict::SameButForTiming, "{difference:?}");
    assert_eq!(difference.excused.total, 1);
    assert_eq!(difference.parting, None);
}

#[test]
fn calls_lost_to_slowness_are_counted_by_run_and_are_no_first_decision() {
    let mut second = forwards();
    second[5].calls[2].outcome = Outcome::Timeout.into();
    second[5].calls[2].timing_dependent = true;
    second[5].calls[2].faults = vec!["slow/latency".to_owned()];
    let difference = compare(&records(&forwards(), 0.5), &records(&second, 0.5));
    assert_eq!(difference.timing_dependent_calls, (0, 1));
    assert_eq!(difference.parting, None);
    // A difference that the call does not explain is the first decision, though it is later.
    second[10].message = "another prompt".to_owned();
    let difference = compare(&records(&second, 0.5), &records(&forwards(), 0.5));
    assert_eq!(difference.timing_dependent_calls, (1, 0));
    let words = difference.parting.expect("the runs differ").to_string();
    assert!(
        words.starts_with("the runs part at step 2: forward 0 of validator-1: message"),
        "{words}"
    );
}
