//! Tests of `mirror check`: the problems of a file and of the data, models and runs that it names. Some tests also run
//! the file and check that the warnings are correct.

use mirror_runs::tables::EpochRow;
use mirror_tests::{Output, TestEnv, rows};
use serde_json::Value;

use crate::experiment::TRAINING;

/// Checks [`TRAINING`] with one string replaced.
#[track_caller]
fn checked(env: &TestEnv, right: &str, other: &str) -> Output {
    assert!(TRAINING.contains(right));
    let file = env.file("checked.yml", TRAINING.replace(right, other));
    env.mirror(&["check", file])
}

/// Asserts that the file is valid and that the check prints exactly this.
#[track_caller]
fn valid(checked: &Output, out: &str, err: &str) {
    let said = (checked.status, checked.out.as_str(), checked.err.as_str());
    assert_eq!(said, (Some(0), out, err), "{checked:?}");
}

/// Asserts that the file is invalid and that standard error contains each of the `words`.
#[track_caller]
fn wrong(checked: &Output, words: &[&str]) {
    assert_eq!(
        (checked.status, checked.out.as_str()),
        (Some(2), ""),
        "{checked:?}"
    );
    for word in words {
        assert!(checked.err.contains(word), "`{word}`: {checked:?}");
    }
}

const DATA: &str = "data_path: builtin";

#[test]
fn a_valid_file_is_summarized_in_numbers() {
    let env = TestEnv::new();
    valid(
        &checked(&env, "", ""),
        "checked.yml is valid: 1 validator, 8 miners, 40 steps\n",
        "",
    );
    let forward = "forward\ndata: {id: d, path: builtin, sample: {method: first, n: 30}}";
    let chunks = format!("{forward}\nreplicates: 3");
    valid(
        &checked(&env, "{name: train, args: {max_iter: 40}}", &chunks),
        "checked.yml is valid: 1 validator, 8 miners, 30 steps, 3 replicates\n",
        "",
    );
}

/// `run` first prints exactly the warnings of `check`.
#[test]
fn check_and_run_print_the_same_warnings() {
    let env = TestEnv::new();
    let warned = "network:\n  hyperparameters: {yuma3_on: true, max_weight_limit: 5}\n  miners: [{uids: 3, latency: 80}]";
    // A validator waits for the deadline of a call that is too slow.
    let text = TRAINING
        .replace("network:", warned)
        .replace("max_iter: 40", "max_iter: 10")
        .replace("neuron: {", "neuron: {training_timeout: 100ms, ");
    let file = env.file("warned.yml", text);
    let checked = env.mirror(&["check", file]);
    for word in [
        "warned.yml:15:21: warning: `network.hyperparameters.yuma3_on` has no effect",
        "warned.yml:15:37: warning: a weight is at most 5 of 65,535",
        "warned.yml:16:31: warning: every call to uid 3 times out",
    ] {
        assert!(checked.err.contains(word), "`{word}`: {checked:?}");
    }
    assert_eq!(checked.status, Some(0), "{checked:?}");
    let run = env.start_run(file, &["query.method.args.max_iter=40"]).ends();
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.err.starts_with(&checked.err), "{checked:?} {run:?}");
}

/// No weights count in a run whose check warns of it, and some count in a run without such a warning.
#[test]
fn weights_that_never_count_by_the_check_pay_no_miner() {
    let env = TestEnv::new();
    let file = env.file("training.yml", TRAINING);
    let rule = |rules: &str| format!("network.hyperparameters={{{rules}}}");
    let reveal = |period| {
        rule(&format!(
            "commit_reveal_weights_enabled: true, commit_reveal_period: {period}"
        ))
    };
    let late = "model.subtensor.args.block=50".to_owned();
    let steps = |steps| format!("query.method.args.max_iter={steps}");
    for (setting, with_effect) in [
        (vec![steps(9)], vec![steps(10)]),
        (
            vec![rule("weights_version_key: 401")],
            vec![rule("weights_version_key: 400")],
        ),
        (
            vec![rule("min_allowed_weights: 10")],
            vec![rule("min_allowed_weights: 9")],
        ),
        (
            vec![rule("max_weight_limit: 7281")],
            vec![rule("max_weight_limit: 30000")],
        ),
        (
            vec![rule("max_allowed_validators: 0")],
            vec![rule("max_allowed_validators: 1")],
        ),
        (vec![reveal(4)], vec![reveal(3)]),
        // The rate limit counts from the genesis, unless the chain starts at block 1.
        (
            vec![rule("weights_set_rate_limit: 43"), late.clone()],
            vec![rule("weights_set_rate_limit: 42"), late],
        ),
        (
            vec![rule("activity_cutoff: 7"), steps(30)],
            vec![rule("activity_cutoff: 8"), steps(30)],
        ),
    ] {
        let is_said = "no weights ever count";
        for (settings, counts) in [(setting, false), (with_effect, true)] {
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            let overrides = settings.iter().flat_map(|setting| ["--set", setting]);
            let words: Vec<&str> = ["check", file].into_iter().chain(overrides).collect();
            let checked = env.mirror(&words);
            assert_eq!(
                checked.err.contains(is_said),
                !counts,
                "{settings:?}: {checked:?}"
            );
            let epochs: Vec<EpochRow> = rows(&env.done(file, &settings));
            let earns = |row: &EpochRow| row.incentive > 0.0;
            assert!(!epochs.is_empty(), "{settings:?}");
            assert_eq!(epochs.iter().any(earns), counts, "{settings:?}: {epochs:?}");
        }
    }
}

#[test]
fn data_that_a_run_cannot_use_is_an_error() {
    let env = TestEnv::new();
    wrong(
        &checked(&env, DATA, "data_path: nowhere.jsonl"),
        &[
            "checked.yml:5:62: error: cannot load the miners' data set",
            "nowhere.jsonl",
            "help: give the path of a file",
        ],
    );
    let reply = env.file("reply.jsonl", "{\"question\": \"what\", \"reply\": \"that\"}\n");
    wrong(
        &checked(&env, DATA, &format!("data_path: {reply}")),
        &["reply.jsonl, line 1", "no column `answer`"],
    );
    let row = env.file("row.jsonl", "{\"question\": \"what\", \"answer\": [\"that\"]}\n");
    valid(
        &checked(&env, DATA, &format!("data_path: {row}")),
        "checked.yml is valid: 1 validator, 8 miners, 40 steps\n",
        "",
    );
    let sample = format!("forward\ndata: {{id: d, path: {row}, sample: {{method: first, n: 2}}}}");
    wrong(
        &checked(&env, "{name: train, args: {max_iter: 40}}", &sample),
        &["cannot load the data `d`: the sample requires 2 rows, but the data set has only 1"],
    );
    let wrong_key = "{name: DummySubtensor, args: {epoch_length: 10, delegated: {me: 5}}}";
    wrong(
        &checked(
            &env,
            "{name: DummySubtensor, args: {epoch_length: 10}}",
            wrong_key,
        ),
        &["checked.yml:8:78: error: `me`", "is not a coldkey", "help: "],
    );
}

/// Data and models that a run would download from the hub are not errors and are reported as not checked.
#[test]
fn files_that_are_not_on_this_machine_are_reported_as_not_checked() {
    let mut env = TestEnv::new();
    let named = checked(&env, DATA, "data_path: nq_open");
    assert_eq!(named.status, Some(0), "{named:?}");
    for words in [
        "not checked: `nq_open` is not in $MIRROR_DATA (not set)",
        "a run downloads it from the hub",
    ] {
        assert!(named.err.contains(words), "{named:?}");
    }
    assert!(named.out.contains("is valid: 1 validator"), "{named:?}");
    let gating = "{name: SequentialGatingModel, args: {tokenizer_name: bert-base-cased, hidden_size: 4, embedding_dim: 4}}";
    let random = "{name: RandomGatingModel, args: {distribution: uniform}}";
    let named = checked(&env, random, gating);
    assert!(
        named
            .err
            .contains("not checked: `bert-base-cased` is not in $MIRROR_MODELS"),
        "{named:?}"
    );
    let as_json = env.mirror(&["check", "checked.yml", "--json"]);
    let reported: Value = serde_json::from_str(&as_json.out).expect("JSON");
    assert_eq!(reported["problems"], Value::Array(Vec::new()), "{reported}");
    assert_eq!(
        reported["not_checked"].as_array().map(Vec::len),
        Some(1),
        "{reported}"
    );

    // Files that exist are opened.
    env.file("data/nq_open.jsonl", "{\"question\": \"what\"}\n");
    env.set("MIRROR_DATA", env.path().join("data"));
    wrong(
        &checked(&env, DATA, "data_path: nq_open"),
        &["nq_open.jsonl, line 1", "no column `answer`"],
    );
    env.file("models/bert-base-cased/config.json", "{}");
    env.set("MIRROR_MODELS", env.path().join("models"));
    wrong(
        &checked(&env, random, gating),
        &["the gating model", "bert-base-cased has no tokenizer.json"],
    );
}

#[test]
fn an_analysis_must_name_existing_runs() {
    let env = TestEnv::new();
    let of = |name: &str| format!("analysis: {{requires: [{name}]}}\n");
    let file = env.file("missing.yml", of("training"));
    wrong(
        &env.mirror(&["check", file]),
        &[
            "missing.yml:1:23: error: `training` in `analysis.requires`",
            "help: name the id of a query",
        ],
    );
    let file = env.file("path.yml", of("runs/nowhere"));
    wrong(
        &env.mirror(&["check", file]),
        &["`runs/nowhere` in `analysis.requires`"],
    );
    let training = env.file("training.yml", TRAINING);
    env.done(training, &["query.method.args.max_iter=10"]);
    let file = env.file("near.yml", of("trainin"));
    wrong(
        &env.mirror(&["check", file]),
        &[
            "near.yml:1:23: error: `trainin`",
            "help: did you mean `training`?",
        ],
    );
    let file = env.file("there.yml", of("training"));
    valid(
        &env.mirror(&["check", file]),
        "there.yml is valid: 1 earlier run\n",
        "",
    );
}

/// An error of a value that an override sets names the override. The JSON contains the same places.
#[test]
fn errors_of_values_have_their_places() {
    let env = TestEnv::new();
    let file = env.file("checked.yml", TRAINING);
    let setting = "model.dendrite_pool.args.data_path=nowhere.jsonl";
    wrong(
        &env.mirror(&["check", file, "--set", setting]),
        &[
            "error: override `model.dendrite_pool.args.data_path=nowhere.jsonl`: cannot load the miners' data set",
        ],
    );
    let file = env.file(
        "metagraph.yml",
        TRAINING.replace("network:", "network:\n  metagraph: nowhere"),
    );
    let checked = env.mirror(&["check", file, "--json"]);
    let found: Value = serde_json::from_str(&checked.out).expect("JSON");
    let problems = found["problems"].as_array().expect("a list of problems");
    let problem = problems.iter().find(|problem| problem["severity"] == "error");
    let problem = problem.expect("an error");
    assert_eq!(problem["place"]["line"], 15, "{found}");
    assert_eq!(problem["place"]["column"], 14, "{found}");
    assert!(problem["help"].is_string(), "{found}");
}
