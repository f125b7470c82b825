//! Tests of the table of uids and the totals, with runs that are small enough to calculate the results manually.

mod made_up;

use made_up::{epoch, event, failure, incident, recorded, success, training, weights, with_calls};
use mirror_analysis::{Pay, RunData, Summary};
use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{DispatchError, IncidentKind, Outcome, Purpose, Record};
use mirror_runs::{Neuron, NeuronKind};

fn read(records: &[Record]) -> RunData {
    RunData::read(&recorded(records).run).unwrap()
}

fn neuron(uid: u32, kind: NeuronKind, label: &str) -> (u32, Neuron) {
    let neuron = Neuron {
        uid,
        kind,
        role: label.to_owned(),
        label: label.to_owned(),
        control: None,
        node: None,
    };
    (uid, neuron)
}

#[track_caller]
fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("a value exists");
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
}

/// Returns three events, in which uid 0 answers twice, uid 1 never, and uid 2 too briefly. They are followed by weights
/// of two validators, of which one setting is refused, and an incident.
fn tiny() -> Vec<Record> {
    let mut slow = failure(1, Outcome::Timeout, 0.4);
    slow.timing_dependent = true;
    vec![
        with_calls(
            event(0, 0),
            vec![success(0, 1.0, 0.1), failure(1, Outcome::Timeout, 0.4)],
        ),
        with_calls(
            event(0, 1),
            vec![success(0, 3.0, 0.3), failure(2, Outcome::TooShort, 0.2)],
        ),
        with_calls(event(1, 0), vec![slow]),
        weights("validator-0", 0, &[(0, 1.0), (2, 0.0)], None),
        weights("validator-0", 1, &[(0, 0.75), (1, 0.25)], None),
        weights(
            "validator-0",
            2,
            &[(2, 1.0)],
            Some(DispatchError::SettingWeightsTooFast),
        ),
        weights("validator-1", 1, &[(0, 0.5), (1, 0.5)], None),
        incident("miner-1", IncidentKind::Exited, "status 1", 0, ""),
    ]
}

#[test]
fn the_summary_of_a_tiny_run_agrees_with_a_manual_calculation() {
    let summary = Summary::of(&read(&tiny()));

    assert_eq!(summary.pay, Pay::Weight);
    let uids: Vec<u32> = summary.uids.iter().map(|row| row.uid).collect();
    assert_eq!(uids, [0, 1, 2], "best paid first");

    let [first, second, third] = &summary.uids[..] else {
        panic!("three uids were called");
    };
    assert_eq!((first.calls(), first.successes()), (2, 2));
    near(first.success_rate(), 1.0);
    near(first.mean_reward, 2.0);
    near(first.reward_deviation, std::f64::consts::SQRT_2);
    near(first.weight, 0.625);
    near(first.mean_call_time, 0.2);

    assert_eq!((second.calls(), second.successes()), (2, 0));
    near(second.success_rate(), 0.0);
    assert_eq!(second.mean_reward, None);
    near(second.weight, 0.375);
    near(second.mean_call_time, 0.4);
    let failures: Vec<_> = second
        .outcomes
        .failures()
        .map(|(kind, calls)| (kind.name, calls))
        .collect();
    assert_eq!(failures, [("timeout", 2)]);

    assert_eq!((third.calls(), third.successes()), (1, 0));
    near(third.weight, 0.0);
    assert_eq!(third.reward_deviation, None);

    let totals = &summary.totals;
    assert_eq!((totals.events, totals.failed_events, totals.steps), (3, 1, 2));
    assert_eq!((totals.validators, totals.incidents), (1, 1));
    assert_eq!((totals.weights_set, totals.weights_refused), (3, 1));
    assert_eq!((totals.timing_dependent, totals.unusable_rewards), (1, 0));
    assert_eq!((totals.outcomes.calls(), totals.outcomes.successes()), (5, 2));
    near(totals.mean_reward, 2.0);
    // The duration is from the start of step 0 to half a second after the start of step 1.
    near(totals.duration, 1.5);
    near(totals.step_rate(), 2.0 / 1.5);
}

#[test]
fn incentive_is_of_the_last_epoch_and_emission_of_all_epochs() {
    let mut records = tiny();
    // The last epoch may be read first.
    records.extend([epoch(2, &[13_107, 52_428, 0]), epoch(1, &[65_535, 0, 0])]);
    let mut data = read(&records);
    data.neurons = [
        neuron(1, NeuronKind::Miner, "copycat"),
        neuron(3, NeuronKind::Validator, "validator"),
        neuron(9, NeuronKind::Miner, "late"),
    ]
    .into();
    let summary = Summary::of(&data);
    assert_eq!(summary.pay, Pay::Emission);
    let order: Vec<u32> = summary.uids.iter().map(|row| row.uid).collect();
    assert_eq!(
        order,
        [3, 0, 1, 2, 9],
        "ordered by the emission of the run, with uids without emission last"
    );

    let [validator, first, copycat, nothing, late] = &summary.uids[..] else {
        panic!("five uids")
    };
    near(copycat.incentive, 0.8);
    near(first.incentive, 0.2);
    near(nothing.incentive, 0.0);
    near(validator.dividends, 1.0);
    assert_eq!((validator.incentive, copycat.dividends), (None, None));
    // One rao is paid for each 65,535th in both epochs.
    let rao = |row: &mirror_analysis::UidRow| row.emission.map(|tao| (tao * 1e9).round());
    assert_eq!(rao(copycat), Some(52_428.0));
    assert_eq!(rao(first), Some(65_535.0 + 13_107.0));
    assert_eq!(rao(validator), Some(2.0 * 65_535.0));
    assert_eq!(
        (late.calls(), late.success_rate(), late.incentive, late.emission),
        (0, None, None, None)
    );
    assert_eq!(summary.called(), 3);
    let table = summary.table(usize::MAX);
    for word in ["copycat", "validator", "dividends", "emission", "(TAO)"] {
        assert!(table.contains(word), "{table}");
    }
}

#[test]
fn a_manual_forward_is_counted_and_left_out() {
    let mut manual = event(5, 0);
    manual.purpose = Purpose::Manual.into();
    let mut records = tiny();
    records.push(with_calls(manual, vec![success(0, 100.0, 0.1)]));
    let summary = Summary::of(&read(&records));
    let mut without = Summary::of(&read(&tiny()));
    assert_eq!(summary.totals.manual, 1);
    without.totals.manual = 1;
    assert_eq!(summary, without);
}

#[test]
fn rewards_that_are_not_finite_are_counted_and_excluded_from_means() {
    let calls = vec![
        success(0, f32::NAN, 0.1),
        success(1, f32::INFINITY, 0.1),
        success(2, 0.5, 0.1),
    ];
    let summary = Summary::of(&read(&[with_calls(event(0, 0), calls)]));
    assert_eq!(summary.totals.unusable_rewards, 2);
    near(summary.totals.mean_reward, 0.5);
    assert_eq!(summary.uids[0].uid, 2);
    assert_eq!(summary.uids[1].mean_reward, None);
    assert_eq!(summary.uids[1].successes(), 1, "the call itself succeeded");
}

#[test]
fn an_unknown_outcome_is_counted_as_a_call() {
    let Record {
        kind: Some(Kind::Event(mut strange)),
    } = with_calls(event(0, 0), vec![failure(0, Outcome::Empty, 0.1)])
    else {
        panic!("an event was made");
    };
    strange.calls[0].outcome = 99;
    let record = Record {
        kind: Some(Kind::Event(strange)),
    };
    let summary = Summary::of(&read(&[record]));
    assert_eq!((summary.uids[0].calls(), summary.uids[0].successes()), (1, 0));
}

#[test]
fn the_table_shows_every_uid_of_a_small_network_and_states_what_it_omits_of_a_large_one() {
    let rows = |table: &str| {
        let first_word = |line: &str| line.split_whitespace().next().map(str::to_owned);
        let uids = table
            .lines()
            .filter_map(first_word)
            .filter(|word| word.parse::<u32>().is_ok());
        uids.count()
    };
    let table_of = |uids: u32| {
        let mut data = read(&tiny());
        data.neurons = (0..uids)
            .map(|uid| neuron(uid, NeuronKind::Miner, "honest"))
            .collect();
        Summary::of(&data).table(usize::MAX)
    };
    let small = table_of(40);
    assert_eq!(rows(&small), 40, "{small}");
    assert!(!small.contains("omitted"), "{small}");

    let large = table_of(256);
    // The line below the table begins with a number as well.
    assert_eq!(rows(&large), 30 + 1, "{large}");
    assert!(
        large.contains("\n226 of 256 uids are omitted, between the 15 best and the 15 worst by weight\n"),
        "{large}"
    );
}

#[test]
fn the_numbers_of_a_column_are_aligned() {
    let table = Summary::of(&read(&training(40, 16))).table(usize::MAX);
    // A heading of several words has its last word on the second line.
    let column_end = |title: &str| {
        let heading = table.lines().take(2).find(|line| line.contains(title));
        let heading = heading.expect("the column has a heading");
        let start = heading.find(title).expect("it contains the title") + title.len();
        heading[..start].chars().count()
    };
    for title in ["calls", "rate", "reward", "weight"] {
        let end = column_end(title);
        for line in table.lines().skip(3).take_while(|line| !line.is_empty()) {
            let characters: Vec<char> = line.chars().collect();
            assert!(
                !characters[end - 1].is_whitespace() && characters.get(end).is_none_or(|c| c.is_whitespace()),
                "{title} does not end at {end} in:\n{table}"
            );
        }
    }
}

#[test]
fn an_empty_run_has_a_message_instead_of_a_table() {
    let summary = Summary::of(&read(&[]));
    assert!(summary.uids.is_empty());
    assert_eq!(summary.totals.success_rate(), None);
    assert_eq!(summary.table(usize::MAX), "no uid was called\n");
}
