//! Output for people: help, tables and messages fit a terminal of 80 columns, and a reader may stop early.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mirror_tests::{Output, TestEnv, duckdb};
use serde_json::Value;

use crate::experiment::TRAINING;

const COLUMNS: usize = 80;

#[track_caller]
fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= COLUMNS, "too wide: {line}\nin {text}");
    }
}

#[track_caller]
fn printed(output: &Output) -> &str {
    assert_eq!(output.status, Some(0), "{output:?}");
    &output.out
}

/// Starts `mirror` with its standard output and standard error as pipes.
fn piped(env: &TestEnv, words: &[&str]) -> Child {
    Command::new(env.programs().join("mirror"))
        .args(words)
        .current_dir(env.path())
        .env("MIRROR_DUCKDB", duckdb().unwrap_or(Path::new("")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`mirror` starts")
}

/// The subcommands that a help page lists.
fn subcommands(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !name.is_empty() && *name != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn every_help_page_fits() {
    let env = TestEnv::new();
    let mut pages: Vec<Vec<String>> = vec![Vec::new()];
    let mut read = 0;
    while let Some(page) = pages.pop() {
        let words: Vec<&str> = page.iter().map(String::as_str).chain(["--help"]).collect();
        let output = env.mirror(&words);
        let help = printed(&output);
        assert_fits(help);
        read += 1;
        for command in subcommands(help) {
            pages.push([&page[..], &[command]].concat());
        }
    }
    assert!(read >= 20, "{read} pages");
}

#[test]
fn components_fit_and_each_is_explained_with_an_example() {
    let env = TestEnv::new();
    assert_fits(printed(&env.mirror(&["components"])));
    let json = env.mirror(&["components", "--json"]);
    let families: Value = serde_json::from_str(printed(&json)).expect("it is JSON");
    let families = families.as_array().expect("a list of families");
    let variants = families
        .iter()
        .flat_map(|family| family["variants"].as_array().expect("a list"));
    let names: BTreeSet<&str> = variants
        .map(|variant| variant["name"].as_str().expect("a name"))
        .collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        let output = env.mirror(&["components", name]);
        let explained = printed(&output);
        assert_fits(explained);
        let (_, example) = explained.split_once("\nExample\n").expect("an example");
        assert!(example.contains(name), "{explained}");
    }
    let misspelt = env.mirror(&["components", "SequentialGatingModle"]);
    assert_eq!(misspelt.status, Some(2), "{misspelt:?}");
    assert!(
        misspelt.err.contains("did you mean `SequentialGatingModel`?"),
        "{misspelt:?}"
    );
    assert_eq!(misspelt.err.lines().count(), 1, "{misspelt:?}");
}

/// A command whose output is closed early, as `head` does, ends without an error.
#[test]
fn a_reader_may_stop_early() {
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    env.done(file, &["query.method.args.max_iter=100"]);
    let mut commands = vec![
        vec!["schema"],
        vec!["components"],
        vec!["components", "--json"],
        vec!["runs", "show", "last", "--events", "csv"],
        vec!["runs", "show", "last", "--events", "jsonl"],
        vec!["chain", "show", "last", "--json"],
    ];
    if duckdb().is_some() {
        let query = ["sql", "last", "SELECT * FROM responses", "--format"];
        let formats = ["csv", "json", "parquet"].map(|format| [&query[..], &[format]].concat());
        commands.extend(formats);
    }
    for words in commands {
        let mut child = piped(&env, &words);
        // A few bytes are read, and then the pipe is closed.
        let mut out = child.stdout.take().expect("a pipe");
        out.read_exact(&mut [0; 4]).expect("four bytes");
        drop(out);
        let mut complaint = String::new();
        let mut err = child.stderr.take().expect("a pipe");
        err.read_to_string(&mut complaint).expect("it is text");
        assert_eq!(complaint, "", "{words:?}");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{words:?}");
    }
}

#[test]
fn tables_fit_and_wide_ones_have_every_column() {
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    let settings = ["--offline", "--set", "query.method.args.max_iter=20"];
    let run = env.mirror(&[&["run", file], &settings[..]].concat());
    let table = printed(&run).split("\n\n").next().expect("a table");
    assert_fits(table);
    for words in [&["runs", "show", "last"][..], &["chain", "show", "last"]] {
        let narrow = env.mirror(words);
        assert_fits(printed(&narrow));
        let wide = env.mirror(&[words, &["--wide"]].concat());
        let width = |output: &Output| output.out.lines().map(|line| line.chars().count()).max();
        assert!(width(&wide) > width(&narrow), "{wide:?}");
    }
    assert_fits(printed(&env.mirror(&["runs", "list"])));
}

#[test]
fn an_ambiguous_id_lists_its_matches_a_line_each() {
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    let runs = [(); 2].map(|()| env.done(file, &["query.method.args.max_iter=2"]));
    let output = env.mirror(&["runs", "show", "2"]);
    assert_eq!(output.status, Some(2), "{output:?}");
    for run in &runs {
        let id = &run.manifest().id;
        assert!(output.err.lines().any(|line| line.trim() == id), "{output:?}");
    }
    assert_fits(&output.err);
}

/// The outcomes of expectations have colours on a terminal, which `CLICOLOR_FORCE` stands for, and elsewhere none.
#[test]
fn outcomes_have_colours_on_a_terminal_alone() {
    if duckdb().is_none() {
        return;
    }
    let mut env = TestEnv::new();
    let expect = "
expect:
  - {name: every call succeeds, sql: SELECT count(*) = 0 FROM responses}
  - {name: a call was made, sql: SELECT count(*) > 0 FROM responses}
";
    let file = env.file("expect.yml", format!("{TRAINING}{expect}"));
    let words = ["run", file, "--offline", "--set", "query.method.args.max_iter=2"];
    let plain = env.mirror(&words);
    assert_eq!(plain.status, Some(3), "{plain:?}");
    assert!(!plain.out.contains('\u{1b}'), "{plain:?}");
    env.set("CLICOLOR_FORCE", "1");
    let coloured = env.mirror(&words);
    assert_eq!(coloured.status, Some(3), "{coloured:?}");
    assert!(coloured.out.contains("\u{1b}[31mfailed"), "{coloured:?}");
    assert!(coloured.out.contains("\u{1b}[32mheld"), "{coloured:?}");
}

/// A closed output changes neither what a run does nor its exit status: every replicate runs, and a failed expectation
/// gives status 3.
#[test]
fn a_run_continues_when_its_output_is_closed() {
    if duckdb().is_none() {
        return;
    }
    let env = TestEnv::new();
    let expect = "\nexpect:\n  - {name: no call is made, sql: SELECT count(*) = 0 FROM responses}\n";
    let file = env.file("closed.yml", format!("replicates: 3\n{TRAINING}{expect}"));
    for more in [&[][..], &["--json"]] {
        let runs = || fs::read_dir(env.runs_dir()).map_or(0, Iterator::count);
        let before = runs();
        let words = ["run", file, "--offline", "--set", "query.method.args.max_iter=2"];
        let mut child = piped(&env, &[&words, more].concat());
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(3), "{more:?}");
        assert_eq!(runs() - before, 4, "three runs and their group");
    }
}

/// A failed run has exit status 1, also if an expectation did not hold.
#[test]
fn a_failed_run_counts_more_than_an_expectation() {
    if duckdb().is_none() {
        return;
    }
    let env = TestEnv::new();
    let expect = "\nexpect:\n  - {name: no call is made, sql: SELECT count(*) = 0 FROM responses}\n";
    let file = env.file("failing.yml", format!("{TRAINING}{expect}"));
    // A process that crashes at its first call, and whose exit fails the run.
    let settings = [
        "network.miners=[{uids: 0, behaviour: failing, how: crash}]",
        "network.restart={miners: fail}",
    ];
    let ended = env.start_run(file, &settings).ends();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.err.contains("error: the run failed"), "{ended:?}");
    assert!(ended.out.contains("failed no call is made"), "{ended:?}");
}
