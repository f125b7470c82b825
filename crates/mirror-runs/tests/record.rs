//! Tests that recorded data is in the tables exactly once and in order.

mod sample;

use std::collections::BTreeSet;
use std::fs;

use mirror_journal::Writer;
use mirror_proto::mirror::v1::{IncidentKind, Record};
use mirror_runs::tables::{
    BondRow, EpochRow, EventRow, IncidentRow, LossRow, ParameterRow, RUN_ID, ResponseRow, TABLES, Table,
    TransactionRow, WeightRow,
};
use mirror_runs::{Appended, Ended, OnLoss, Recorder, Recovery, Run, RunError, State, recover};
use proptest::prelude::*;
use sample::{barrier, closed, epoch, event, forward, incident, new_run, rows, run_of, start, weights};

#[test]
fn each_record_becomes_its_rows() {
    let runs = tempfile::tempdir().unwrap();
    let records = [
        event(forward("validator-0", 4, 1)),
        weights("validator-0", 4, &[0.25, 0.75]),
        incident("miner-3", IncidentKind::Exited),
        barrier("validator-1", 9),
    ];
    let run = run_of(runs.path(), &records);

    assert_eq!(
        rows::<EventRow>(&run),
        [EventRow {
            validator: "validator-0".to_owned(),
            purpose: "query".to_owned(),
            step: 4,
            forward_index: 1,
            block: 4,
            metagraph_version: 3,
            method: "train".to_owned(),
            is_question: false,
            message: "validator-0 asks in step 4, forward 1".to_owned(),
            scores: vec![0.5, -0.25, f32::MIN_POSITIVE],
            best_uid: Some(2),
            truncated_texts: 0,
            unjudged: 0,
            started_at: 1_795_000_000.5,
            call_time: 0.75,
            trace_id: "ab".repeat(16),
        }]
    );
    let responses: Vec<ResponseRow> = rows(&run);
    let answers: Vec<_> = responses
        .iter()
        .map(|row| (row.position, row.uid, row.outcome.as_str(), row.reward))
        .collect();
    assert_eq!(
        answers,
        [
            (0, 0, "success", Some(0.1)),
            (1, 1, "empty", None),
            (2, 2, "success", Some(0.9))
        ]
    );
    assert!(
        responses
            .iter()
            .all(|row| (row.validator.as_str(), row.step, row.forward_index) == ("validator-0", 4, 1))
    );
    let losses: Vec<LossRow> = rows(&run);
    assert_eq!(
        losses
            .iter()
            .map(|row| (row.step, row.forward_index, row.loss))
            .collect::<Vec<_>>(),
        [(4, 1, 0.125)]
    );
    let parameters: Vec<ParameterRow> = rows(&run);
    assert_eq!(
        parameters
            .iter()
            .map(|row| (
                row.step,
                row.parameter.as_str(),
                row.gradient_norm,
                row.histogram.as_slice()
            ))
            .collect::<Vec<_>>(),
        [(4, "linear.bias", 0.5, [1, 0, 2].as_slice())]
    );
    assert_eq!(
        responses.iter().map(|row| row.backward_code).collect::<Vec<_>>(),
        [Some(0), None, Some(0)]
    );
    let set: Vec<WeightRow> = rows(&run);
    assert_eq!(
        set.iter().map(|row| (row.uid, row.weight)).collect::<Vec<_>>(),
        [(0, 0.25), (1, 0.75)]
    );
    let incidents: Vec<IncidentRow> = rows(&run);
    assert_eq!(
        incidents
            .iter()
            .map(|row| (row.node.as_str(), row.what.as_str(), row.incarnation, row.block))
            .collect::<Vec<_>>(),
        [
            ("miner-3", "exited", Some(2), None),
            ("validator-1", "retired", None, Some(9))
        ]
    );
}

#[test]
fn chain_records_are_in_their_tables() {
    let runs = tempfile::tempdir().unwrap();
    let asked = [("serve_axon", "127.0.0.1:4000"), ("set_weights", "0:1 (1 uids)")];
    // The second part of the epoch is recorded first, and the first part is recorded twice.
    let parts = [epoch(1, 9, 2), epoch(1, 9, 0), epoch(1, 9, 0)];
    let run = run_of(
        runs.path(),
        &[&parts[..], &[closed(9, &asked), closed(9, &asked)]].concat(),
    );

    // Alice's address is documented by Substrate.
    let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    let found: Vec<EpochRow> = rows(&run);
    let of_uids: Vec<_> = found
        .iter()
        .map(|row| (row.uid, row.incentive, row.dividends, row.server_emission))
        .collect();
    assert_eq!(
        of_uids,
        [
            (0, 0.2, 0.0, 100),
            (1, 0.0, 1.0, 0),
            (2, 0.2, 0.0, 100),
            (3, 0.0, 1.0, 0)
        ]
    );
    for row in &found {
        assert_eq!((row.epoch, row.block, row.stake), (1, 9, 1_000));
        assert_eq!((row.hotkey.as_str(), row.coldkey.as_str()), (alice, "010203"));
    }
    let bonds: Vec<BondRow> = rows(&run);
    assert_eq!(
        bonds
            .iter()
            .map(|row| (row.epoch, row.validator, row.miner, row.bond))
            .collect::<Vec<_>>(),
        [(1, 1, 0, 1.0), (1, 3, 2, 1.0)]
    );
    let transactions: Vec<TransactionRow> = rows(&run);
    assert_eq!(
        transactions
            .iter()
            .map(|row| (
                row.block,
                row.signer.as_str(),
                row.call.as_str(),
                row.refusal.as_deref()
            ))
            .collect::<Vec<_>>(),
        [
            (9, alice, "serve_axon", None),
            (9, alice, "set_weights", Some("SettingWeightsTooFast"))
        ]
    );
}

#[test]
fn a_repeated_record_is_acknowledged_and_not_written_twice() {
    let runs = tempfile::tempdir().unwrap();
    let (mut recorder, path) = start(runs.path(), Recorder::SEGMENT_BYTES);
    let sent = [
        event(forward("validator-0", 0, 0)),
        event(forward("validator-0", 0, 1)),
        event(forward("validator-1", 0, 0)),
        weights("validator-0", 0, &[1.0]),
        barrier("validator-1", 3),
    ];
    assert_eq!(
        recorder.append(&sent).unwrap(),
        Appended {
            written: 5,
            duplicates: 0
        }
    );
    assert_eq!(
        recorder.append(&sent[1..]).unwrap(),
        Appended {
            written: 0,
            duplicates: 4
        }
    );
    let late = [
        event(forward("validator-0", 2, 0)),
        event(forward("validator-0", 1, 0)),
        event(forward("validator-0", 2, 0)),
    ];
    assert_eq!(
        recorder.append(&late).unwrap(),
        Appended {
            written: 2,
            duplicates: 1
        }
    );
    let manifest = recorder.finish(Ended::Done).unwrap();

    assert_eq!(manifest.counts.duplicates, Some(5));
    assert_eq!(manifest.counts.rows["events"], 5);
    let run = Run::open(path).unwrap();
    let order: Vec<_> = rows::<EventRow>(&run)
        .into_iter()
        .map(|row| (row.step, row.validator, row.forward_index))
        .collect();
    let expected = [
        (0, "validator-0", 0),
        (0, "validator-0", 1),
        (0, "validator-1", 0),
        (1, "validator-0", 0),
        (2, "validator-0", 0),
    ];
    assert_eq!(
        order,
        expected.map(|(step, validator, sub)| (step, validator.to_owned(), sub))
    );
}

#[test]
fn many_segments_become_one_sorted_table() {
    let runs = tempfile::tempdir().unwrap();
    let (mut recorder, path) = start(runs.path(), 1024);
    let steps = 200u64;
    // One validator is ahead of the other, so that adjacent segments overlap.
    for step in 0..steps {
        recorder
            .append(&[event(forward("validator-0", step, 0))])
            .unwrap();
        recorder
            .append(&[event(forward("validator-1", step / 2, (step % 2) as u32))])
            .unwrap();
        recorder
            .append(&[incident(&format!("miner-{step}"), IncidentKind::Exited)])
            .unwrap();
    }
    let while_going_on = Run::open(&path).unwrap();
    assert_eq!(while_going_on.state(), State::Running);
    let events_then: Vec<EventRow> = rows(&while_going_on);

    let manifest = recorder.finish(Ended::Done).unwrap();
    assert_eq!(manifest.counts.rows["events"], 2 * steps);
    assert_eq!(manifest.counts.rows["responses"], 3 * 2 * steps);
    let run = Run::open(&path).unwrap();
    let events: Vec<EventRow> = rows(&run);
    assert_eq!(events_then, events);
    let key = |row: &EventRow| (row.step, row.validator.clone(), row.forward_index);
    assert!(events.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
    let nodes: Vec<String> = rows::<IncidentRow>(&run)
        .into_iter()
        .map(|row| row.node)
        .collect();
    assert_eq!(
        nodes,
        (0..steps).map(|step| format!("miner-{step}")).collect::<Vec<_>>(),
        "incidents keep their order"
    );

    let left: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name == "journal" || name == "parts"),
        "{left:?}"
    );
}

#[test]
fn a_run_without_events_has_empty_tables() {
    let runs = tempfile::tempdir().unwrap();
    let run = run_of(runs.path(), &[]);
    assert_eq!(run.state(), State::Done);
    assert!(run.manifest().finished.is_some());
    for table in TABLES {
        assert_eq!(run.row_count(&table).unwrap(), 0, "{}", table.name);
        assert_eq!(
            run.batches(&table, &[RUN_ID]).unwrap().count(),
            0,
            "{}",
            table.name
        );
    }
}

#[test]
fn batches_contain_the_requested_columns() {
    let runs = tempfile::tempdir().unwrap();
    let run = run_of(runs.path(), &[event(forward("validator-0", 0, 0))]);
    let responses = Table::named("responses").unwrap();
    let batches: Vec<_> = run
        .batches(&responses, &["uid", RUN_ID])
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(batches.len(), 1);
    let schema = batches[0].schema();
    let names: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["uid", RUN_ID]);
    assert_eq!(batches[0].num_rows(), 3);
    assert!(matches!(
        run.batches(&responses, &["colour"]),
        Err(RunError::NoColumn { .. })
    ));
}

#[test]
fn records_of_unknown_kinds_are_counted() {
    let runs = tempfile::tempdir().unwrap();
    let (mut recorder, path) = start(runs.path(), Recorder::SEGMENT_BYTES);
    recorder.append(&[event(forward("validator-0", 0, 0))]).unwrap();
    drop(recorder);
    // Field 99 of a later protocol version, and bytes that are not a valid message.
    let of_the_future: &[u8] = &[0x9a, 0x06, 0x01, 0x00];
    let mut journal = Writer::open(path.join("journal"), Recorder::SEGMENT_BYTES)
        .unwrap()
        .writer;
    journal.append_batch(&[of_the_future, &[0xff; 40]]).unwrap();
    drop(journal);

    let Recovery::Recovered(manifest) = recover(&path, OnLoss::Keep).unwrap() else {
        panic!("the run was not recovered");
    };
    assert_eq!((manifest.counts.skipped, manifest.counts.rows["events"]), (2, 1));
}

#[test]
fn unexpected_values_in_a_record_are_harmless() {
    let runs = tempfile::tempdir().unwrap();
    let mut strange = forward("validator-0", u64::MAX, u32::MAX);
    strange.purpose = 77;
    strange.calls[0].outcome = -1;
    strange.best = Some(99);
    strange.scores = vec![f32::NAN, f32::INFINITY];
    strange.trace_id.clear();
    let mut uneven = weights("validator-0", 0, &[0.5, 0.5]);
    if let Some(mirror_proto::mirror::v1::record::Kind::Weights(set)) = &mut uneven.kind {
        set.uids.truncate(1);
    }
    let run = run_of(runs.path(), &[event(strange), uneven]);
    let events: Vec<EventRow> = rows(&run);
    assert_eq!(
        (events[0].purpose.as_str(), events[0].best_uid),
        ("purpose 77", None)
    );
    assert!(events[0].scores[0].is_nan());
    assert_eq!(rows::<ResponseRow>(&run)[0].outcome, "outcome -1");
    assert_eq!(rows::<WeightRow>(&run).len(), 1);
}

#[test]
fn an_empty_batch_is_accepted() {
    let runs = tempfile::tempdir().unwrap();
    let (mut recorder, _) = start(runs.path(), Recorder::SEGMENT_BYTES);
    let none: [Record; 0] = [];
    assert_eq!(
        recorder.append(&none).unwrap(),
        Appended {
            written: 0,
            duplicates: 0
        }
    );
    recorder.sync().unwrap();
}

#[test]
fn a_new_run_stores_its_description() {
    let runs = tempfile::tempdir().unwrap();
    let (recorder, path) = start(runs.path(), Recorder::SEGMENT_BYTES);
    assert_eq!(
        fs::read_to_string(path.join("experiment.yml")).unwrap(),
        new_run().experiment_yml
    );
    assert_eq!(
        fs::read_to_string(path.join("resolved.yml")).unwrap(),
        new_run().resolved_yml
    );
    let manifest = Run::open(&path).unwrap().manifest().clone();
    assert_eq!((manifest.seed, manifest.experiment.as_str()), (7, "Dummy"));
    assert!(
        manifest.id.ends_with(|c: char| c.is_ascii_hexdigit()) && manifest.id.contains("-dummy-"),
        "{}",
        manifest.id
    );
    assert!(
        matches!(recover(&path, OnLoss::Keep), Err(RunError::InProgress { .. })),
        "the recorder still exists"
    );
    drop(recorder);
    assert_eq!(Run::open(&path).unwrap().state(), State::Interrupted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_record_is_stored_once_in_any_order_of_arrival(
        sent in prop::collection::vec((0..3u8, 0..40u64, 0..2u32), 0..120),
        batch in 1..20usize,
        segment_bytes in 200..20_000u64,
        ended in any::<bool>(),
    ) {
        let runs = tempfile::tempdir().unwrap();
        let (mut recorder, path) = start(runs.path(), segment_bytes);
        let name = |validator: u8| format!("validator-{validator}");
        for places in sent.chunks(batch) {
            let records: Vec<Record> =
                places.iter().map(|&(validator, step, sub)| event(forward(&name(validator), step, sub))).collect();
            recorder.append(&records).unwrap();
        }
        if ended {
            recorder.finish(Ended::Done).unwrap();
        } else {
            drop(recorder);
            recover(&path, OnLoss::Keep).unwrap();
        }
        let kept = rows::<EventRow>(&Run::open(&path).unwrap()).into_iter();
        let expected: BTreeSet<_> = sent.iter().map(|&(validator, step, sub)| (step, name(validator), sub)).collect();
        prop_assert!(kept.map(|row| (row.step, row.validator, row.forward_index)).eq(expected));
    }
}
