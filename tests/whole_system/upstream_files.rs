//! Tests with upstream's unmodified experiment files. They are not part of this project. If they are missing, the tests
//! are skipped with a message, except in continuous integration, where they are required.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use mirror_runs::Run;
use mirror_runs::tables::{EpochRow, EventRow, LossRow, ResponseRow, SUCCESS};
use mirror_tests::{TestEnv, rows};

/// The folder next to this project that contains the files.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fixtures");

/// Returns a test environment with upstream's data under its name, and the path of one of its files. `None`, with a
/// message, if the files are missing.
pub(crate) fn upstream_file(name: &str) -> Option<(TestEnv, String)> {
    let Ok(fixtures) = fs::canonicalize(FIXTURES) else {
        assert!(env::var_os("CI").is_none(), "{FIXTURES} is missing");
        println!("skipped: {FIXTURES} does not exist");
        return None;
    };
    let mut env = TestEnv::new();
    let data = env.path().join("data");
    fs::create_dir_all(data.join("nq_open")).expect("a folder for the data");
    let questions = "NQ-open.dev.jsonl";
    symlink(
        fixtures.join("data").join(questions),
        data.join("nq_open").join(questions),
    )
    .expect("a link to the data");
    env.set("MIRROR_DATA", data);
    let file: PathBuf = fixtures.join("seed-configs").join(name);
    Some((env, file.display().to_string()))
}

/// Checks the properties of every training: each step has its question, and its answer if the question found a
/// completion. A call succeeds with a completion longer than ten characters. Each forward asks ten axons.
#[track_caller]
fn is_a_training(run: &Run, steps: u64, miners: usize) -> Vec<ResponseRow> {
    let events: Vec<EventRow> = rows(run);
    let mut expected = Vec::new();
    for step in 0..steps {
        let question = events
            .iter()
            .find(|event| (event.step, event.forward_index) == (step, 0));
        let question = question.unwrap_or_else(|| panic!("step {step} has no question"));
        expected.push((step, 0, true));
        expected.extend(question.best_uid.map(|_| (step, 1, false)));
    }
    let halves: Vec<_> = events
        .iter()
        .map(|event| (event.step, event.forward_index, event.is_question))
        .collect();
    assert_eq!(halves, expected);
    assert!(
        events
            .iter()
            .all(|event| event.scores.len() == miners && event.method == "train")
    );

    let calls: Vec<ResponseRow> = rows(run);
    assert_eq!(calls.len(), 10 * events.len());
    for call in &calls {
        let counts = call.completion.chars().count() > 10;
        assert_eq!(call.outcome == SUCCESS, counts, "{call:?}");
    }
    calls
}

/// `dummy_config.yml`: ten steps, sixteen miners, and a final epoch of the chain that does not pay all miners the same
/// amount.
#[test]
fn the_dummy_file_runs_and_ends_with_an_epoch_that_pays_unequally() {
    let Some((env, file)) = upstream_file("dummy_config.yml") else {
        return;
    };
    let run = env.done(&file, &[]);
    is_a_training(&run, 10, 16);
    let epochs: Vec<EpochRow> = rows(&run);
    let last = epochs.last().expect("the chain had an epoch").epoch;
    let miners = epochs.iter().filter(|row| row.epoch == last && row.uid < 16);
    let paid: Vec<u64> = miners.map(|row| row.server_emission).collect();
    assert_eq!(paid.len(), 16);
    assert!(paid.iter().any(|one| *one != paid[0]), "{paid:?}");
    assert!(paid.iter().sum::<u64>() > 0, "{paid:?}");
}

/// `subnet_config.yml`: 99 steps, 64 miners.
#[test]
fn the_subnet_file_runs() {
    let Some((env, file)) = upstream_file("subnet_config.yml") else {
        return;
    };
    is_a_training(&env.done(&file, &[]), 99, 64);
}

/// `dendrite_config.yml`: 499 steps. The miners fail at the rates in the file, and uid 7 always fails.
#[test]
fn the_dendrite_file_runs_and_miners_fail_at_its_rates() {
    let Some((env, file)) = upstream_file("dendrite_config.yml") else {
        return;
    };
    let calls = is_a_training(&env.done(&file, &[]), 499, 16);
    for (uid, fail_rate) in (0..16).map(|uid| (uid, named_fail_rate(uid))) {
        let of_uid: Vec<_> = calls.iter().filter(|call| call.uid == uid).collect();
        let succeeded = of_uid.iter().filter(|call| call.outcome == SUCCESS).count();
        assert!(
            of_uid.len() > 400,
            "uid {uid} was asked {} times in 998 forwards",
            of_uid.len()
        );
        assert!(
            is_plausible(succeeded, of_uid.len(), 1.0 - fail_rate),
            "uid {uid} fails at {fail_rate}, and {succeeded} of {} calls succeeded",
            of_uid.len()
        );
    }
}

/// Returns the fail rate in the file. The baseline is 0.
fn named_fail_rate(uid: u32) -> f64 {
    match uid {
        1 => 0.1,
        3 => 0.3,
        5 => 0.5,
        7 => 1.0,
        _ => 0.0,
    }
}

/// Returns whether `successes` of `trials` is within the central 99.9% of the binomial distribution: both tails that
/// begin at `successes` exceed 0.05%.
fn is_plausible(successes: usize, trials: usize, rate: f64) -> bool {
    // Starts with the distribution after no trial, and updates it for each trial.
    let mut mass = vec![0.0; trials + 1];
    mass[0] = 1.0;
    for trial in 1..=trials {
        for count in (1..=trial).rev() {
            mass[count] = mass[count] * (1.0 - rate) + mass[count - 1] * rate;
        }
        mass[0] *= 1.0 - rate;
    }
    let lower: f64 = mass[..=successes].iter().sum();
    let upper: f64 = mass[successes..].iter().sum();
    lower > 0.000_5 && upper > 0.000_5
}

/// Provides a tokenizer of this project under the name of the one in `seq_config.yml`.
pub(crate) fn provide_tokenizer(env: &mut TestEnv) {
    let models = env.path().join("models");
    fs::create_dir_all(models.join("bert-base-cased")).expect("a folder for the tokenizer");
    fs::copy(
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/models/tiny-bert/tokenizer.json"
        ),
        models.join("bert-base-cased/tokenizer.json"),
    )
    .expect("a tokenizer");
    env.set("MIRROR_MODELS", models);
}

/// `seq_config.yml`: ten steps, in which the gating model learns. A tokenizer of this project replaces the one that the
/// file names.
#[test]
fn the_sequential_file_runs_with_a_tokenizer_of_that_name() {
    let Some((mut env, file)) = upstream_file("seq_config.yml") else {
        return;
    };
    provide_tokenizer(&mut env);
    let run = env.done(&file, &[]);
    is_a_training(&run, 10, 16);
    let events: Vec<EventRow> = rows(&run);
    let losses: Vec<LossRow> = rows(&run);
    let answered = events.iter().filter(|event| event.best_uid.is_some()).count();
    assert_eq!(
        losses.len(),
        answered,
        "each forward with a completion has a training step"
    );
    assert!(losses.iter().all(|row| row.loss.is_finite() && row.loss >= 0.0));
    // The prompt that requests a question is the same each time, and its scores change as the model learns.
    let first_halves: Vec<_> = events.iter().filter(|event| event.forward_index == 0).collect();
    assert!(
        first_halves
            .windows(2)
            .all(|pair| pair[0].scores != pair[1].scores)
    );
    let again = env.done(&file, &[]);
    let diff = env.diff(&run, &again);
    assert_eq!(diff.status, Some(0), "{diff:?}");
}

/// Without the tokenizer, the run is rejected before it begins, with all ways to provide it.
#[test]
fn a_missing_tokenizer_stops_the_run() {
    let Some((env, file)) = upstream_file("seq_config.yml") else {
        return;
    };
    let refused = env.mirror(&["run", &file, "--offline"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    for way in [
        "$MIRROR_MODELS/bert-base-cased/",
        "Hugging Face cache",
        "--offline",
    ] {
        assert!(refused.err.contains(way), "{refused:?}");
    }
    assert!(!Path::exists(&env.runs_dir()), "no run was started");
}
