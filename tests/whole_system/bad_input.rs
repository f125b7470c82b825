//! Tests of invalid files, data, disks and programs: the run reports what is wrong and where, and leaves no process.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use mirror_tests::{Output, TestEnv, logging_below};
use tempfile::TempDir;

use crate::experiment::TRAINING;
use mirror_test_support::SmallDisk;

/// Runs a file with this text. It must be rejected with status 2 and a message that contains the `words`, before a run
/// starts.
#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let env = TestEnv::new();
    let file = env.file("wrong.yml", text);
    let refused = env.mirror(&["run", file, "--offline"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    for word in words {
        assert!(refused.err.contains(word), "`{word}`: {refused:?}");
    }
    assert!(!env.runs_dir().exists(), "a run was started");
}

/// Returns [`TRAINING`] with one text replaced.
#[track_caller]
fn training_with(right: &str, wrong: &str) -> String {
    assert!(TRAINING.contains(right));
    TRAINING.replace(right, wrong)
}

#[test]
fn invalid_yaml_is_rejected() {
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
            "`training_topk` queries 9 axons",
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

/// Runs an experiment on a data set of this content. It must be rejected with status 2 and a message that contains the
/// `words`, before a run starts.
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
    assert!(!env.runs_dir().exists(), "a run was started");
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
fn a_missing_data_set_is_rejected_with_the_ways_to_get_it() {
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

/// The error names a folder that is not writable.
#[test]
fn a_read_only_runs_folder_is_reported() {
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

/// A run that fills its disk stops with a message, every process ends, and the acknowledged events are still there.
#[test]
fn a_full_disk_stops_the_run_with_a_message() {
    let Some(disk) = SmallDisk::mount(1_024) else {
        return;
    };
    let env = TestEnv::new();
    let file = env.file("endless.yml", training_with("max_iter: 40", "max_iter: 1000000"));
    let runs = disk.path().display().to_string();
    let failed = env.mirror(&["run", file, "--offline", "--log", "warn", "--runs-dir", &runs]);
    assert_eq!(logging_below(disk.path()), [], "processes left: {failed:?}");
    assert_eq!(failed.status, Some(1), "{failed:?}");
    assert!(failed.err.contains("no space left"), "{failed:?}");
}

/// The kernel assigns the ports, so two concurrent networks do not conflict.
#[test]
fn concurrent_runs_do_not_conflict() {
    let envs = [TestEnv::new(), TestEnv::new()];
    let running = envs.each_ref().map(|env| {
        let file = env.file("training.yml", TRAINING);
        env.start_run(file, &[])
    });
    for ended in running.map(mirror_tests::RunningCommand::ends) {
        assert_eq!(ended.status, Some(0), "{ended:?}");
    }
}

/// Creates a separate folder with the project's programs, in which the miner is replaced by a shell script.
pub(crate) fn with_fake_miner(script: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let real = TestEnv::new().programs().to_owned();
    // A program searches for the others in its own folder, and a link would lead it back to the original one.
    fs::copy(real.join("mirror"), folder.path().join("mirror")).expect("a copy");
    for program in ["mirror-subtensor", "mirror-validator", "mirror-proxy"] {
        symlink(real.join(program), folder.path().join(program)).expect("a link");
    }
    let miner = folder.path().join("mirror-miner");
    fs::write(&miner, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&miner, fs::Permissions::from_mode(0o755)).expect("it may be run");
    folder
}

/// Runs an experiment whose miners are this script. The run must fail, and every process must end.
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
fn a_miner_that_never_becomes_ready_fails_the_run_with_its_log() {
    let failed = fails_with_miner("echo 'waiting for a licence' >&2; exec sleep 3600");
    assert!(
        failed.err.contains("miner-0 was not ready within 1s"),
        "{failed:?}"
    );
    assert!(failed.err.contains("waiting for a licence"), "{failed:?}");
}

#[test]
fn a_miner_that_exits_immediately_fails_the_run_with_its_log() {
    let failed = fails_with_miner("echo 'there is no licence' >&2; exit 3");
    assert!(
        failed.err.contains("exited with status 3 before it was ready"),
        "{failed:?}"
    );
    assert!(failed.err.contains("there is no licence"), "{failed:?}");
}

#[test]
fn a_miner_that_is_another_program_fails_the_run_with_its_output() {
    let failed = fails_with_miner("echo 'good evening'; exec sleep 3600");
    assert!(
        failed.err.contains("should have printed its listen address"),
        "{failed:?}"
    );
    assert!(failed.err.contains("good evening"), "{failed:?}");
}
