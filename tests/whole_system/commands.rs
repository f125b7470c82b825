//! What the command line says and where it puts things.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mirror_tests::{Ended, Laboratory};
use serde_json::Value;

use crate::experiment::TRAINING;

/// Twenty steps and nothing else: a small run to look at.
const SMALL: [&str; 1] = ["query.method.args.max_iter=20"];

#[track_caller]
fn json(ended: &Ended) -> Value {
    assert_eq!(ended.status, Some(0), "{ended:?}");
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[track_caller]
fn lines(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let lines = ended.out.lines().map(serde_json::from_str);
    lines
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// `check` finds the examples valid, and shows three problems of a wrong file with their three places; so does its
/// JSON.
#[test]
fn check_tells_every_problem_and_its_place() {
    let laboratory = Laboratory::new();
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let folders = [configs.clone(), configs.join("attacks")];
    let examples = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("the examples are there"));
    let examples = examples.map(|entry| entry.expect("an example").path());
    for file in examples.filter(|path| path.is_file()) {
        let file = file.display().to_string();
        let checked = laboratory.mirror(&["check", &file]);
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
    let file = laboratory.file("wrong.yml", wrong);
    let checked = laboratory.mirror(&["check", file]);
    assert_eq!(checked.status, Some(2), "{checked:?}");
    for place in [
        "wrong.yml:4:10: error",
        "wrong.yml:7:24: error",
        "wrong.yml:15:3: error",
    ] {
        assert!(checked.err.contains(place), "{place}: {checked:?}");
    }
    let as_json = laboratory.mirror(&["check", file, "--json"]);
    assert_eq!(as_json.status, Some(2), "{as_json:?}");
    let told: Value = serde_json::from_str(&as_json.out).expect("JSON");
    let problems = told["problems"].as_array().expect("a list");
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

/// `components` lists what a file may name, and `schema` knows the same names.
#[test]
fn components_and_schema_know_the_same_names() {
    let laboratory = Laboratory::new();
    let schema = laboratory.mirror(&["schema"]);
    let text = schema.out.clone();
    assert!(json(&schema)["$schema"].is_string(), "{schema:?}");
    let listed = laboratory.mirror(&["components"]);
    assert_eq!(listed.status, Some(0), "{listed:?}");
    let families = json(&laboratory.mirror(&["components", "--json"]));
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
        assert!(listed.out.contains(name), "`mirror components` leaves {name} out");
        assert!(
            text.contains(&format!("\"{name}\"")),
            "`mirror schema` leaves {name} out"
        );
    }
}

/// `run` prints the table of uids and where report and run are; `run --json` says the same to programs.
#[test]
fn run_prints_the_table_and_the_places() {
    let laboratory = Laboratory::new();
    let file = laboratory.file("small.yml", TRAINING);
    let told = laboratory.mirror(&["run", file, "--offline", "--set", SMALL[0]]);
    assert_eq!(told.status, Some(0), "{told:?}");
    for word in ["uid", "success rate", "mean reward", "weight", "incentive"] {
        assert!(told.out.contains(word), "{word}: {told:?}");
    }
    assert!(told.out.contains("20 steps, 40 events"), "{told:?}");
    let report = told
        .out
        .lines()
        .find_map(|line| line.strip_prefix("report "))
        .expect("the report's path");
    let report = fs::read_to_string(laboratory.path().join(report.trim())).expect("the report is there");
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
    let told = json(&laboratory.mirror(&words));
    assert_eq!(
        (&told["state"], &told["counts"]["rows"]["events"]),
        (&"done".into(), &40.into()),
        "{told}"
    );
    assert!(
        laboratory
            .path()
            .join(told["report"].as_str().expect("a path"))
            .exists()
    );
    let shown = json(&laboratory.mirror(&["runs", "show", "last", "--json"]));
    assert_eq!(
        (&shown["tags"][0], &shown["group"], &shown["notes"]),
        (&"first".into(), &"g".into(), &"n".into())
    );
}

/// `runs list` and `runs show` find a run by its id, the beginning of it, `last`, or its path; `report` makes its
/// report again; and what is no run is said to be none.
#[test]
fn runs_are_found_shown_and_reported_again() {
    let laboratory = Laboratory::new();
    let file = laboratory.file("small.yml", TRAINING);
    let run = laboratory.done(file, &SMALL);
    let id = run.manifest().id.as_str();
    let listed = laboratory.mirror(&["runs", "list"]);
    assert!(
        listed.out.contains(id) && listed.out.contains("done") && listed.out.contains("40 events"),
        "{listed:?}"
    );
    for wanted in [id, &id[..id.len() - 3], "last", &format!("runs/{id}")] {
        let shown = laboratory.mirror(&["runs", "show", wanted]);
        assert_eq!(shown.status, Some(0), "{shown:?}");
        assert!(
            shown.out.contains(id) && shown.out.contains("mean reward"),
            "{shown:?}"
        );
    }
    fs::remove_file(run.layout().report()).expect("the report was there");
    let reported = laboratory.mirror(&["report", "last"]);
    assert_eq!(reported.status, Some(0), "{reported:?}");
    assert!(run.layout().report().exists());
    let none = laboratory.mirror(&["runs", "show", "1999"]);
    assert_eq!(none.status, Some(2), "{none:?}");
    assert!(none.err.contains("1999") && none.err.contains("runs"), "{none:?}");
}

/// `show --events` prints the seed's columns as CSV or JSON; `ignore_attr` hides columns there, and drops nothing.
#[test]
fn events_are_shown_in_the_seeds_columns_without_the_ignored_ones() {
    let laboratory = Laboratory::new();
    let file = laboratory.file("small.yml", TRAINING);
    let columns = "completion,message,uids,rewards,scores,all_uids,all_completions,block,is_question,call_time,step,step_sub";
    let run = laboratory.done(file, &SMALL);
    let csv = laboratory.mirror(&["runs", "show", "last", "--events", "csv"]);
    assert!(csv.out.starts_with(columns), "{csv:?}");

    let ignoring = laboratory.done(file, &[SMALL[0], "query.ignore_attr=[hotkeys, block, scores]"]);
    let events = lines(&laboratory.mirror(&["runs", "show", "last", "--events", "jsonl"]));
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
    let same = laboratory.diff(&run, &ignoring);
    assert_eq!(same.status, Some(0), "{same:?}");
}

/// A file with `analysis` alone makes the reports of the runs that it requires, by their query's id and by their own.
#[test]
fn an_analysis_alone_reads_earlier_runs() {
    let laboratory = Laboratory::new();
    let file = laboratory.file("small.yml", TRAINING);
    let run = laboratory.done(file, &SMALL);
    let id = run.manifest().id.as_str();
    for required in ["./training", id] {
        fs::remove_file(run.layout().report()).expect("the report was there");
        let required = required.trim_start_matches("./");
        let analysis = laboratory.file(
            "analysis.yml",
            format!("analysis: {{id: again, requires: [{required}]}}\n"),
        );
        let made = laboratory.mirror(&["run", analysis]);
        assert_eq!(made.status, Some(0), "{made:?}");
        assert!(made.out.contains(id), "{made:?}");
        assert!(run.layout().report().exists(), "{made:?}");
    }
    let analysis = laboratory.file(
        "analysis.yml",
        "analysis: {id: again, requires: [2001-01-01T00-00-00-none-0000]}\n",
    );
    let missing = laboratory.mirror(&["run", analysis]);
    assert_eq!(missing.status, Some(2), "{missing:?}");
    assert!(
        missing.err.contains("2001-01-01T00-00-00-none-0000"),
        "{missing:?}"
    );
}

/// Runs lie where `--runs-dir` says, else where `MIRROR_RUNS` says, else in `runs`.
#[test]
fn runs_lie_where_they_are_wanted() {
    let mut laboratory = Laboratory::new();
    let file = laboratory.file("small.yml", TRAINING);
    let run = |laboratory: &Laboratory, more: &[&str]| {
        let ended = laboratory.mirror(&[&["run", file, "--offline", "--set", SMALL[0]], more].concat());
        assert_eq!(ended.status, Some(0), "{ended:?}");
    };
    let count = |laboratory: &Laboratory, folder: &str| {
        fs::read_dir(laboratory.path().join(folder)).map_or(0, Iterator::count)
    };
    laboratory.set("MIRROR_RUNS", "by-variable");
    run(&laboratory, &[]);
    run(&laboratory, &["--runs-dir", "by-option"]);
    let counts = ["runs", "by-variable", "by-option"].map(|folder| count(&laboratory, folder));
    assert_eq!(counts, [0, 1, 1]);
    let listed = lines(&laboratory.mirror(&["runs", "list", "--json", "--runs-dir", "by-option"]));
    assert_eq!(listed.len(), 1);
}

/// `--set` is checked like the file, and its problems name it.
#[test]
fn a_wrong_setting_is_named() {
    let laboratory = Laboratory::new();
    let file = laboratory.file("small.yml", TRAINING);
    for (setting, word) in [
        ("query.method.args.max_iter=many", "max_iter"),
        ("network.validatorz=3", "validatorz"),
        ("max_iter", "PATH=VALUE"),
    ] {
        let refused = laboratory.mirror(&["run", file, "--set", setting]);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        assert!(refused.err.contains(word), "{refused:?}");
    }
}

/// What cannot be typed is refused with the way to type it.
#[test]
fn an_unknown_command_is_refused() {
    let laboratory = Laboratory::new();
    for words in [&["rnu"][..], &[], &["run"], &["runs", "diff", "last"]] {
        let refused = laboratory.mirror(words);
        assert_eq!(refused.status, Some(2), "{words:?}: {refused:?}");
        assert!(refused.err.contains("Usage"), "{words:?}: {refused:?}");
    }
}

/// `chain show` prints an epoch of a run as a table and as JSON: the last, or the one that is asked for; of one that is
/// not there it says which are.
#[test]
fn the_chain_of_a_run_is_shown_by_epoch() {
    let laboratory = Laboratory::new();
    let file = laboratory.file("small.yml", TRAINING);
    laboratory.done(file, &SMALL);

    // Epochs come with blocks 9 and 20 (netuid 1, tempo 10), and with 31, the next after the last step. That one pays
    // out what eleven blocks minted.
    let last = json(&laboratory.mirror(&["chain", "show", "last", "--json"]));
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
    let roles: Vec<_> = neurons.iter().map(|neuron| neuron["role"].as_str()).collect();
    assert_eq!((roles[0], roles[8]), (Some("honest"), Some("validator")));

    let first = laboratory.mirror(&["chain", "show", "last", "--epoch", "1"]);
    assert_eq!(first.status, Some(0), "{first:?}");
    assert!(
        first.out.contains("epoch 1 of epochs 1 to 3, with block 9"),
        "{first:?}"
    );
    assert_eq!(first.out.lines().count(), 2 + 9 + 2, "{first:?}");

    let missing = laboratory.mirror(&["chain", "show", "last", "--epoch", "4"]);
    assert_eq!(missing.status, Some(2), "{missing:?}");
    assert!(
        missing.err.contains("has no epoch 4: it has epochs 1 to 3"),
        "{missing:?}"
    );
}

/// `models check` prints the largest difference of each quantity; the exit status says whether all are within the
/// tolerance, and whether the folder was one to check.
#[test]
fn models_are_checked_against_what_python_computed() {
    let laboratory = Laboratory::new();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models");
    let within = laboratory.mirror(&["models", "check", fixtures]);
    assert_eq!(within.status, Some(0), "{within:?}");
    for word in ["tiny-gptj", "last_hidden", "scores after training"] {
        assert!(within.out.contains(word), "{word}: {within:?}");
    }
    let beyond = laboratory.mirror(&["models", "check", fixtures, "--tolerance", "1e-12"]);
    assert_eq!(beyond.status, Some(1), "{beyond:?}");
    assert!(beyond.out.contains("beyond the tolerance"), "{beyond:?}");
    let wrong = laboratory.mirror(&["models", "check", "."]);
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    assert!(wrong.err.contains("expected.json"), "{wrong:?}");
    assert_eq!(laboratory.mirror(&["models", "check"]).status, Some(2));
}

/// `models embed` and `models tokens` tell of each line of text, and refuse what is no model.
#[test]
fn lines_become_vectors_and_numbers_of_tokens() {
    let mut laboratory = Laboratory::new();
    laboratory.set(
        "MIRROR_MODELS",
        concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models"),
    );
    let lines = laboratory.file("texts", "who wrote the first program ?\n\nAda\n");
    let embedded = laboratory.mirror(&["models", "embed", "tiny-bert", lines, "--offline"]);
    assert_eq!(embedded.status, Some(0), "{embedded:?}");
    let vectors: Vec<Vec<f32>> = json_lines(&embedded.out);
    assert_eq!(vectors.len(), 3);
    assert!(vectors.iter().all(|vector| vector.len() == vectors[0].len()));
    assert_ne!(vectors[0], vectors[2]);
    let counted = laboratory.mirror(&["models", "tokens", "tiny-bert", lines, "--offline"]);
    let counts: Vec<u32> = json_lines(&counted.out);
    assert_eq!(
        (counts.len(), counts[1]),
        (3, 2),
        "the marks around an empty text"
    );
    // A tokenizer, and no model.
    let refused = laboratory.mirror(&["models", "embed", "sequential", lines, "--offline"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
}

fn json_lines<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    let line = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(line).collect()
}
