//! Tests of groups of runs on the command line: they are listed, shown, reported, compared and deleted like runs.

use mirror_tests::TestEnv;
use serde_json::Value;

use crate::experiment::TRAINING;

/// Two replicates, in which the miners 4 to 7 fail half of their calls.
fn two_replicates() -> String {
    let network = "network:\n  miners: [{uids: 4-7, label: failing half, behaviour: failing, chance: 0.5}]";
    let file = TRAINING.replace("network:", network);
    assert!(file.contains("failing half"));
    format!("replicates: 2\n{file}")
}

#[test]
fn a_group_is_listed_shown_reported_compared_and_deleted() {
    let env = TestEnv::new();
    let file = env.file("group.yml", two_replicates());
    let first = env.mirror(&["run", file]);
    assert_eq!(first.status, Some(0), "{first:?}");
    // One line for each replicate, then the table of the group.
    let of_replicates = first.out.lines().filter(|line| line.starts_with("seed "));
    assert_eq!(of_replicates.count(), 2, "{first:?}");
    let words = "The miners `failing half` (4 uids)";
    assert!(
        first.out.contains("\nlabel ") && first.out.contains(words),
        "{first:?}"
    );
    assert!(first.out.contains("2 seeds"), "{first:?}");

    let shown = env.mirror(&["runs", "show", "last-group"]);
    assert!(
        shown.out.contains("2 of 2 runs") && shown.out.contains(words),
        "{shown:?}"
    );
    let described: Value = serde_json::from_str(&env.mirror(&["runs", "show", "last-group", "--json"]).out)
        .expect("the description is JSON");
    let group = described["id"].as_str().expect("a group has an id");
    let runs = described["runs"].as_array().expect("a group has runs");
    assert_eq!(runs.len(), 2);

    // The list has the filters.
    let lines = |words: &[&str]| {
        let listed = env.mirror(words);
        assert_eq!(listed.status, Some(0), "{listed:?}");
        // Below the runs, the list has the groups.
        let (runs, _) = listed.out.split_once("\n\n").unwrap_or((&listed.out, ""));
        runs.lines().filter(|line| line.contains("group-")).count()
    };
    assert_eq!(lines(&["runs", "list"]), 2);
    assert_eq!(lines(&["runs", "list", "--group", group]), 2);
    assert_eq!(lines(&["runs", "list", "--group", "another"]), 0);
    assert_eq!(lines(&["runs", "list", "--state", "done"]), 2);
    assert_eq!(lines(&["runs", "list", "--state", "failed"]), 0);
    assert_eq!(lines(&["runs", "list", "--tag", "x"]), 0);

    // The report in JSON has the sentences and the groups; by path and by the beginning of the id.
    let path = format!("runs/{group}");
    for wanted in [group, path.as_str(), &group[..group.len() - 1]] {
        let report = env.mirror(&["report", wanted, "--json"]);
        assert_eq!(report.status, Some(0), "{report:?}");
        let report: Value = serde_json::from_str(&report.out).expect("the report is JSON");
        let text = report["sentences"][0]["text"].as_str().expect("a sentence");
        assert!(text.starts_with(words), "{text}");
        assert_eq!(report["groups"][0]["label"], "failing half");
        assert_eq!(report["groups"][0]["difference"]["control"], "honest");
    }

    // A command that needs one run says so.
    let single = env.mirror(&["chain", "show", group]);
    assert_eq!(single.status, Some(2), "{single:?}");
    assert!(single.err.contains("is a group of 2 runs"), "{single:?}");

    // The same file gives a group with the same events.
    let second = env.mirror(&["run", file]);
    assert_eq!(second.status, Some(0), "{second:?}");
    let compared = env.mirror(&["runs", "diff", group, "last-group"]);
    assert_eq!(compared.status, Some(0), "{compared:?}");
    assert_eq!(compared.out.matches("the same events").count(), 2, "{compared:?}");

    let removed = env.mirror(&["runs", "rm", group]);
    assert_eq!(removed.status, Some(0), "{removed:?}");
    assert_eq!(removed.out.lines().count(), 3, "{removed:?}");
    assert_eq!(lines(&["runs", "list"]), 2);
    assert!(!env.runs_dir().join(group).exists());
}
