//! Files, data, disks and programs that are not as they should be: the run says what is wrong and where, and leaves
//! nothing behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use mirror_tests::{Output, TestEnv, logging_below};
use tempfile::TempDir;

use crate::experiment::TRAINING;
use mirror_test_support::SmallDisk;

/// Runs a file with this text: refused with status 2, each of the `words` is told, and nothing was begun.
#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let env = TestEnv::new();
    let file = env.file("wrong.yml", text);
    let refused = env.mirror(&["run", file, "--offline"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    for word in words {
        assert!(refused.err.contains(word), "`{word}`: {refused:?}");
    }
    assert!(!env.runs_dir().exists(), "a run was begun");
}

/// [`TRAINING`] with one thing replaced.
#[track_caller]
fn training_with(right: &str, wrong: &str) -> String {
    assert!(TRAINING.contains(right));
    TRAINING.replace(right, wrong)
}

#[test]
fn what_is_not_yaml_is_refused() {
    refused("model: [1, 2\nquery: {", &["wrong.yml:2", "error"]);
}

#[test]
fn an_empty_file_is_refused() {
    for text in ["", "\n\n", "# nothing\n"] {
        refused(text, &["wrong.yml:1:1: error: the file is empty"]);
    }
}

#[test]
fn an_unknown_section_is_refused() {
    refused(
        &training_with("query:", "qeury:"),
        &["wrong.yml:11:1: error", "`qeury`", "did you mean `query`?"],
    );
}

#[test]
fn an_unknown_key_is_refused() {
    refused(
        &training_with("alpha:", "alhpa:"),
        &["wrong.yml:4:3: error", "`alhpa`", "did you mean `alpha`?"],
    );
}

#[test]
fn an_unknown_component_is_refused() {
    refused(
        &training_with("RandomGatingModel", "RandomGateModel"),
        &["wrong.yml:6:24: error", "`RandomGateModel`", "RandomGatingModel"],
    );
}

#[test]
fn a_rate_outside_its_range_is_refused() {
    refused(
        &training_with("fail_rate: 0.2", "fail_rate: 1.2"),
        &["wrong.yml:5:", "fail_rate", "1.2"],
    );
}

#[test]
fn a_topk_larger_than_the_network_is_refused() {
    refused(
        &training_with("training_topk: 6", "training_topk: 9"),
        &[
            "wrong.yml:10:27: error",
            "`training_topk` asks 9 axons",
            "8 miners",
        ],
    );
}

#[test]
fn a_network_without_miners_is_refused() {
    refused(
        &training_with("num_nodes: 8", "num_nodes: 0"),
        &["wrong.yml:9:", "num_nodes", "0"],
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let env = TestEnv::new();
    let refused = env.mirror(&["run", "nowhere.yml"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.err.contains("nowhere.yml"), "{refused:?}");
}

/// Runs an experiment on a data set of this content: refused with status 2, each of the `words` is told, and nothing
/// was begun.
#[track_caller]
fn useless_data(name: &str, content: &[u8], words: &[&str]) {
    let env = TestEnv::new();
    let file = env.file(
        "useless.yml",
        training_with("data_path: builtin", &format!("data_path: {name}")),
    );
    env.file(name, content);
    let failed = env.mirror(&["run", file, "--offline"]);
    assert_eq!(failed.status, Some(2), "{failed:?}");
    for word in words {
        assert!(failed.err.contains(word), "`{word}`: {failed:?}");
    }
    assert!(!env.runs_dir().exists(), "a run was begun");
}

/// A row of a data set.
const ROW: &str = "{\"question\": \"what is it\", \"answer\": [\"a question\"]}\n";

#[test]
fn a_data_set_without_rows_is_refused() {
    useless_data("rows.jsonl", b"", &["rows.jsonl has no rows"]);
    useless_data("rows.csv", b"question,answer\n", &["rows.csv has no rows"]);
}

#[test]
fn a_data_set_without_a_column_is_refused() {
    let other = format!("{ROW}{{\"question\": \"what\", \"reply\": \"that\"}}\n");
    useless_data(
        "rows.jsonl",
        other.as_bytes(),
        &["rows.jsonl, line 2", "no column `answer`", "reply"],
    );
    useless_data(
        "rows.csv",
        b"question,reply\nwhat,that\n",
        &["rows.csv", "no column `answer`", "reply"],
    );
}

#[test]
fn a_data_set_with_an_endless_line_is_refused() {
    let long = format!(
        "{ROW}{{\"question\": \"{}\", \"answer\": \"a\"}}\n",
        "x".repeat(1 << 20)
    );
    useless_data(
        "rows.jsonl",
        long.as_bytes(),
        &["rows.jsonl, line 2", "bytes", "the limit"],
    );
}

#[test]
fn a_data_set_that_is_not_utf_8_is_refused() {
    let latin = [
        ROW.as_bytes(),
        b"{\"question\": \"caf\xe9\", \"answer\": \"a\"}\n",
    ]
    .concat();
    useless_data("rows.jsonl", &latin, &["rows.jsonl, line 2", "not UTF-8"]);
}

#[test]
fn a_data_set_that_is_nowhere_is_refused_with_the_ways_to_get_it() {
    let env = TestEnv::new();
    let file = env.file(
        "named.yml",
        training_with("data_path: builtin", "data_path: nq_open"),
    );
    let failed = env.mirror(&["run", file, "--offline"]);
    assert_eq!(failed.status, Some(2), "{failed:?}");
    for word in ["nq_open", "MIRROR_DATA", "Hugging Face", "offline"] {
        assert!(failed.err.contains(word), "`{word}`: {failed:?}");
    }
}

/// A folder that cannot be written is named.
#[test]
fn a_read_only_runs_folder_is_said() {
    let Some(disk) = SmallDisk::mount(512) else { return };
    disk.make_read_only();
    let env = TestEnv::new();
    let file = env.file("training.yml", TRAINING);
    let runs = disk.path().join("runs").display().to_string();
    let failed = env.mirror(&["run", file, "--offline", "--runs-dir", &runs]);
    assert_eq!(failed.status, Some(1), "{failed:?}");
    assert!(
        failed.err.contains(&runs) && failed.err.contains("read-only"),
        "{failed:?}"
    );
}

/// A run that fills its disk stops and says so, every process ends, and what was acknowledged is still there.
#[test]
fn a_full_disk_stops_a_run_that_says_so() {
    let Some(disk) = SmallDisk::mount(1_024) else {
        return;
    };
    let env = TestEnv::new();
    let file = env.file("endless.yml", training_with("max_iter: 40", "max_iter: 1000000"));
    let runs = disk.path().display().to_string();
    let failed = env.mirror(&["run", file, "--offline", "--log", "warn", "--runs-dir", &runs]);
    assert_eq!(logging_below(disk.path()), [], "left behind: {failed:?}");
    assert_eq!(failed.status, Some(1), "{failed:?}");
    assert!(failed.err.contains("no space left"), "{failed:?}");
}

/// Ports are the kernel's to give: two networks at once are in each other's way nowhere.
#[test]
fn two_runs_at_once_do_not_collide() {
    let laboratories = [TestEnv::new(), TestEnv::new()];
    let running = laboratories.each_ref().map(|env| {
        let file = env.file("training.yml", TRAINING);
        env.start_run(file, &[])
    });
    for ended in running.map(mirror_tests::RunningCommand::ends) {
        assert_eq!(ended.status, Some(0), "{ended:?}");
    }
}

/// The project's programs in a folder of their own, but for the miner: that is a shell script.
pub(crate) fn with_fake_miner(script: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let real = TestEnv::new().programs().to_owned();
    // A program finds the others beside itself, and a link would lead it back.
    fs::copy(real.join("mirror"), folder.path().join("mirror")).expect("a copy");
    for program in ["mirror-subtensor", "mirror-validator"] {
        symlink(real.join(program), folder.path().join(program)).expect("a link");
    }
    let miner = folder.path().join("mirror-miner");
    fs::write(&miner, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&miner, fs::Permissions::from_mode(0o755)).expect("it may be run");
    folder
}

/// Runs an experiment whose miners are this script: it fails and every process is gone.
#[track_caller]
fn fails_with_miner(script: &str) -> Output {
    let programs = with_fake_miner(script);
    let env = TestEnv::with_programs(PathBuf::from(programs.path()));
    let file = env.file("training.yml", TRAINING);
    let failed = env.mirror(&["run", file, "--offline", "--set", "network.ready_timeout=1s"]);
    assert_eq!(failed.status, Some(1), "{failed:?}");
    failed
}

#[test]
fn a_child_that_never_becomes_ready_ends_the_run_with_its_last_words() {
    let failed = fails_with_miner("echo 'waiting for a licence' >&2; exec sleep 3600");
    assert!(
        failed.err.contains("miner-0 was not ready within 1s"),
        "{failed:?}"
    );
    assert!(failed.err.contains("waiting for a licence"), "{failed:?}");
}

#[test]
fn a_child_that_exits_at_once_ends_the_run_with_its_last_words() {
    let failed = fails_with_miner("echo 'there is no licence' >&2; exit 3");
    assert!(
        failed
            .err
            .contains("ended with exit status 3 before it was ready"),
        "{failed:?}"
    );
    assert!(failed.err.contains("there is no licence"), "{failed:?}");
}

#[test]
fn a_child_that_is_another_program_ends_the_run_with_what_it_wrote() {
    let failed = fails_with_miner("echo 'good evening'; exec sleep 3600");
    assert!(
        failed
            .err
            .contains("should have written the address where it listens"),
        "{failed:?}"
    );
    assert!(failed.err.contains("good evening"), "{failed:?}");
}
