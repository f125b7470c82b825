//! Tests of the output of the command line, and of where it stores runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mirror_tests::{Output, TestEnv};
use serde_json::Value;

use crate::experiment::TRAINING;

/// A small run of twenty steps.
const SMALL: [&str; 1] = ["query.method.args.max_iter=20"];

#[track_caller]
fn json(ended: &Output) -> Value {
    assert_eq!(ended.status, Some(0), "{ended:?}");
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[track_caller]
fn lines(ended: &Output) -> Vec<Value> {
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let lines = ended.out.lines().map(serde_json::from_str);
    lines
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// `check` accepts the examples, and reports three problems of a wrong file with their positions, as text and as JSON.
#[test]
fn check_reports_every_problem_with_its_position() {
    let env = TestEnv::new();
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let folders = [configs.clone(), configs.join("attacks")];
    let examples = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("the examples are there"));
    let examples = examples.map(|entry| entry.expect("an example").path());
    for file in examples.filter(|path| path.is_file()) {
        let file = file.display().to_string();
        let checked = env.mirror(&["check", &file]);
        assert_eq!(
            (checked.status, checked.err.as_str()),
            (Some(0), ""),
            "{file}: {checked:?}"
        );
    }
    let wrong = TRAINING
        .replace("alpha: 0.9", "alpha: 1.9")
        .replace("DummyRewardModel", "DummyRewardModle")
        .replace("record_acknowledged", "record_acknowledgd");
    let file = env.file("wrong.yml", wrong);
    let checked = env.mirror(&["check", file]);
    assert_eq!(checked.status, Some(2), "{checked:?}");
    for place in [
        "wrong.yml:4:10: error",
        "wrong.yml:7:24: error",
        "wrong.yml:15:3: error",
    ] {
        assert!(checked.err.contains(place), "{place}: {checked:?}");
    }
    let as_json = env.mirror(&["check", file, "--json"]);
    assert_eq!(as_json.status, Some(2), "{as_json:?}");
    let reported: Value = serde_json::from_str(&as_json.out).expect("JSON");
    let problems = reported["problems"].as_array().expect("a list");
    let places: Vec<_> = problems
        .iter()
        .map(|problem| (&problem["place"]["line"], &problem["place"]["column"]))
        .collect();
    assert_eq!(
        places,
        [
            (&4.into(), &10.into()),
            (&7.into(), &24.into()),
            (&15.into(), &3.into())
        ]
    );
}

/// `components` lists what a file may name, and `schema` contains the same names.
#[test]
fn components_and_schema_have_the_same_names() {
    let env = TestEnv::new();
    let schema = env.mirror(&["schema"]);
    let text = schema.out.clone();
    assert!(json(&schema)["$schema"].is_string(), "{schema:?}");
    let listed = env.mirror(&["components"]);
    assert_eq!(listed.status, Some(0), "{listed:?}");
    let families = json(&env.mirror(&["components", "--json"]));
    let variants = families.as_array().expect("a list").iter();
    let names = variants.flat_map(|family| family["variants"].as_array().expect("a list"));
    let names: BTreeSet<&str> = names
        .map(|variant| variant["name"].as_str().expect("a name"))
        .collect();
    assert!(
        names.contains("StepValue") && names.contains("honest") && names.contains("train"),
        "{names:?}"
    );
    for name in names {
        assert!(
            listed.out.contains(name),
            "`mirror components` does not list {name}"
        );
        assert!(
            text.contains(&format!("\"{name}\"")),
            "`mirror schema` does not contain {name}"
        );
    }
}

#[test]
fn an_unknown_component_is_an_error_with_the_nearest_name() {
    let env = TestEnv::new();
    for (name, question) in [("copycta", "did you mean `copycat`? "), ("nothing_like_it", "")] {
        let unknown = env.mirror(&["components", name]);
        assert_eq!(unknown.status, Some(2), "{unknown:?}");
        let line =
            format!("error: there is no component `{name}`: {question}`mirror components` lists all\n");
        assert_eq!(unknown.err, line, "{unknown:?}");
    }
}

/// `run` prints the table of uids and the paths of the report and the run. `run --json` prints the same as JSON.
#[test]
fn run_prints_the_table_and_the_paths() {
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    let reported = env.mirror(&["run", file, "--offline", "--set", SMALL[0]]);
    assert_eq!(reported.status, Some(0), "{reported:?}");
    for word in [
        "uid",
        "success",
        "rate",
        "mean",
        "reward",
        "incentive",
        "emission",
    ] {
        assert!(reported.out.contains(word), "{word}: {reported:?}");
    }
    assert!(reported.out.contains("20 steps, 40 events"), "{reported:?}");
    let report = reported
        .out
        .lines()
        .find_map(|line| line.strip_prefix("report "))
        .expect("the report's path");
    let report = fs::read_to_string(env.path().join(report.trim())).expect("the report can be read");
    assert!(
        !report.contains("<script src=") && !report.contains("<link "),
        "the report opens without a network"
    );

    let words = [
        "run",
        file,
        "--offline",
        "--json",
        "--set",
        SMALL[0],
        "--tag",
        "first",
        "--group",
        "g",
        "--notes",
        "n",
    ];
    let reported = json(&env.mirror(&words));
    assert_eq!(
        (&reported["state"], &reported["counts"]["rows"]["events"]),
        (&"done".into(), &40.into()),
        "{reported}"
    );
    assert!(
        env.path()
            .join(reported["report"].as_str().expect("a path"))
            .exists()
    );
    let shown = json(&env.mirror(&["runs", "show", "last", "--json"]));
    assert_eq!(
        (&shown["tags"][0], &shown["group"], &shown["notes"]),
        (&"first".into(), &"g".into(), &"n".into())
    );
}

/// `runs list` and `runs show` find a run by its id, a prefix of the id, `last`, or its path. `report` creates its
/// report again. An unknown run is an error.
#[test]
fn runs_are_found_shown_and_reported_again() {
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    let run = env.done(file, &SMALL);
    let id = run.manifest().id.as_str();
    let listed = env.mirror(&["runs", "list"]);
    assert!(
        listed.out.contains(id) && listed.out.contains("done") && listed.out.contains(" 40"),
        "{listed:?}"
    );
    for wanted in [id, &id[..id.len() - 3], "last", &format!("runs/{id}")] {
        let shown = env.mirror(&["runs", "show", wanted]);
        assert_eq!(shown.status, Some(0), "{shown:?}");
        assert!(
            shown.out.contains(id) && shown.out.contains("reward"),
            "{shown:?}"
        );
    }
    fs::remove_file(run.layout().report()).expect("the report was there");
    let reported = env.mirror(&["report", "last"]);
    assert_eq!(reported.status, Some(0), "{reported:?}");
    assert!(run.layout().report().exists());
    let none = env.mirror(&["runs", "show", "1999"]);
    assert_eq!(none.status, Some(2), "{none:?}");
    assert!(none.err.contains("1999") && none.err.contains("runs"), "{none:?}");
}

/// `show --events` prints upstream's columns as CSV or JSON. `ignore_attr` hides columns there, and deletes nothing.
#[test]
fn events_are_shown_in_upstream_columns_without_the_ignored_ones() {
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    let columns = "completion,message,uids,rewards,scores,all_uids,all_completions,block,is_question,call_time,step,step_sub";
    let run = env.done(file, &SMALL);
    let csv = env.mirror(&["runs", "show", "last", "--events", "csv"]);
    assert!(csv.out.starts_with(columns), "{csv:?}");

    let ignoring = env.done(file, &[SMALL[0], "query.ignore_attr=[hotkeys, block, scores]"]);
    let events = lines(&env.mirror(&["runs", "show", "last", "--events", "jsonl"]));
    assert_eq!(events.len(), 40);
    for event in &events {
        let event = event.as_object().expect("an object");
        assert!(
            !event.contains_key("block") && !event.contains_key("scores"),
            "{event:?}"
        );
        assert_eq!(
            event["uids"].as_array().map(Vec::len),
            event["rewards"].as_array().map(Vec::len)
        );
        assert_eq!(event["all_uids"].as_array().map(Vec::len), Some(6));
    }
    let same = env.diff(&run, &ignoring);
    assert_eq!(same.status, Some(0), "{same:?}");
}

/// A file with only an `analysis` creates the reports of the runs that it requires, by the id of their query and by
/// their own id.
#[test]
fn a_file_with_only_an_analysis_reads_earlier_runs() {
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    let run = env.done(file, &SMALL);
    let id = run.manifest().id.as_str();
    for required in ["./training", id] {
        fs::remove_file(run.layout().report()).expect("the report was there");
        let required = required.trim_start_matches("./");
        let analysis = env.file(
            "analysis.yml",
            format!("analysis: {{id: again, requires: [{required}]}}\n"),
        );
        let made = env.mirror(&["run", analysis]);
        assert_eq!(made.status, Some(0), "{made:?}");
        assert!(made.out.contains(id), "{made:?}");
        assert!(run.layout().report().exists(), "{made:?}");
    }
    let analysis = env.file(
        "analysis.yml",
        "analysis: {id: again, requires: [2001-01-01T00-00-00-none-0000]}\n",
    );
    let missing = env.mirror(&["run", analysis]);
    assert_eq!(missing.status, Some(2), "{missing:?}");
    assert!(
        missing.err.contains("2001-01-01T00-00-00-none-0000"),
        "{missing:?}"
    );
}

/// Runs are stored in the folder given by `--runs-dir`, otherwise by `MIRROR_RUNS`, otherwise in `runs`.
#[test]
fn runs_are_stored_in_the_chosen_folder() {
    let mut env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    let run = |env: &TestEnv, more: &[&str]| {
        let ended = env.mirror(&[&["run", file, "--offline", "--set", SMALL[0]], more].concat());
        assert_eq!(ended.status, Some(0), "{ended:?}");
    };
    let count =
        |env: &TestEnv, folder: &str| fs::read_dir(env.path().join(folder)).map_or(0, Iterator::count);
    env.set("MIRROR_RUNS", "by-variable");
    run(&env, &[]);
    run(&env, &["--runs-dir", "by-option"]);
    let counts = ["runs", "by-variable", "by-option"].map(|folder| count(&env, folder));
    assert_eq!(counts, [0, 1, 1]);
    let listed = lines(&env.mirror(&["runs", "list", "--json", "--runs-dir", "by-option"]));
    assert_eq!(listed.len(), 1);
}

/// `--set` is checked like the file, and its problems name the setting.
#[test]
fn a_wrong_setting_is_named() {
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    for (setting, word) in [
        ("query.method.args.max_iter=many", "max_iter"),
        ("network.validatorz=3", "validatorz"),
        ("max_iter", "PATH=VALUE"),
    ] {
        let refused = env.mirror(&["run", file, "--set", setting]);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        assert!(refused.err.contains(word), "{refused:?}");
    }
}

/// An invalid command line is rejected with the usage.
#[test]
fn an_invalid_command_line_is_rejected() {
    let env = TestEnv::new();
    for words in [&["rnu"][..], &[], &["run"], &["runs", "diff", "last"]] {
        let refused = env.mirror(words);
        assert_eq!(refused.status, Some(2), "{words:?}: {refused:?}");
        assert!(refused.err.contains("Usage"), "{words:?}: {refused:?}");
    }
}

/// `chain show` prints an epoch of a run as a table and as JSON: the last one, or the one requested. For an unknown
/// epoch, the error lists those that exist.
#[test]
fn the_chain_of_a_run_is_shown_by_epoch() {
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    env.done(file, &SMALL);

    // Epochs are in blocks 9 and 20 (netuid 1, tempo 10), and in block 31, the next after the last step. That one pays
    // out what eleven blocks minted.
    let last = json(&env.mirror(&["chain", "show", "last", "--json"]));
    assert_eq!((&last["epoch"], &last["block"]), (&3.into(), &31.into()));
    let neurons = last["neurons"].as_array().expect("neurons are a list");
    assert_eq!(neurons.len(), 8 + 1);
    let paid = |part: &str| {
        neurons
            .iter()
            .map(|neuron| neuron[part].as_u64().expect("rao"))
            .sum::<u64>()
    };
    let all = paid("server_emission") + paid("validator_emission");
    assert!((10_999_999_900..=11_000_000_000).contains(&all), "{all}");
    let labels: Vec<_> = neurons.iter().map(|neuron| neuron["label"].as_str()).collect();
    assert_eq!((labels[0], labels[8]), (Some("honest"), Some("validator")));

    let first = env.mirror(&["chain", "show", "last", "--epoch", "1"]);
    assert_eq!(first.status, Some(0), "{first:?}");
    assert!(
        first.out.contains("epoch 1 of epochs 1 to 3, at block 9"),
        "{first:?}"
    );
    assert_eq!(first.out.lines().count(), 2 + 9 + 2, "{first:?}");

    let missing = env.mirror(&["chain", "show", "last", "--epoch", "4"]);
    assert_eq!(missing.status, Some(2), "{missing:?}");
    assert!(
        missing.err.contains("has no epoch 4: it has epochs 1 to 3"),
        "{missing:?}"
    );
}

/// `models check` prints the largest difference of each quantity. The exit status indicates whether all are within the
/// tolerance, and whether the folder can be checked.
#[test]
fn models_are_checked_against_results_from_python() {
    let env = TestEnv::new();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models");
    let within = env.mirror(&["models", "check", fixtures]);
    assert_eq!(within.status, Some(0), "{within:?}");
    for word in ["tiny-gptj", "last_hidden", "scores after training"] {
        assert!(within.out.contains(word), "{word}: {within:?}");
    }
    let beyond = env.mirror(&["models", "check", fixtures, "--tolerance", "1e-12"]);
    assert_eq!(beyond.status, Some(1), "{beyond:?}");
    assert!(beyond.out.contains("beyond the tolerance"), "{beyond:?}");
    let wrong = env.mirror(&["models", "check", "."]);
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    assert!(wrong.err.contains("expected.json"), "{wrong:?}");
    assert_eq!(env.mirror(&["models", "check"]).status, Some(2));
}

/// `models embed` and `models tokens` process each line of text, and reject a folder without a model.
#[test]
fn lines_become_vectors_and_token_counts() {
    let mut env = TestEnv::new();
    env.set(
        "MIRROR_MODELS",
        concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models"),
    );
    let lines = env.file("texts", "who wrote the first program ?\n\nAda\n");
    let embedded = env.mirror(&["models", "embed", "tiny-bert", lines, "--offline"]);
    assert_eq!(embedded.status, Some(0), "{embedded:?}");
    let vectors: Vec<Vec<f32>> = json_lines(&embedded.out);
    assert_eq!(vectors.len(), 3);
    assert!(vectors.iter().all(|vector| vector.len() == vectors[0].len()));
    assert_ne!(vectors[0], vectors[2]);
    let counted = env.mirror(&["models", "tokens", "tiny-bert", lines, "--offline"]);
    let counts: Vec<u32> = json_lines(&counted.out);
    assert_eq!(
        (counts.len(), counts[1]),
        (3, 2),
        "an empty text has two special tokens"
    );
    // This folder has a tokenizer, but no model.
    let refused = env.mirror(&["models", "embed", "sequential", lines, "--offline"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
}

fn json_lines<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    let line = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(line).collect()
}
