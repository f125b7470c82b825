//! Tests of the view of events as one table.

mod sample;

use mirror_proto::mirror::v1::Purpose;
use mirror_runs::view::{COLUMNS, columns, events, write_csv, write_json_lines};
use sample::{event, forward, run_of};

#[test]
fn an_event_contains_its_calls() {
    let runs = tempfile::tempdir().unwrap();
    let mut silent = forward("validator-0", 0, 1);
    silent.calls.clear();
    silent.best = None;
    let run = run_of(
        runs.path(),
        &[
            event(forward("validator-1", 0, 0)),
            event(silent),
            event(forward("validator-0", 0, 0)),
        ],
    );

    let seen: Vec<_> = events(&run).unwrap().map(Result::unwrap).collect();
    let order: Vec<_> = seen
        .iter()
        .map(|event| (event.validator.as_str(), event.step_sub))
        .collect();
    assert_eq!(
        order,
        [("validator-0", 0), ("validator-0", 1), ("validator-1", 0)]
    );
    assert_eq!(seen[0].completion.as_deref(), Some("the better answer"));
    assert_eq!((&seen[0].uids, &seen[0].all_uids), (&vec![0, 2], &vec![0, 1, 2]));
    assert_eq!(seen[0].rewards, [Some(0.1), Some(0.9)]);
    assert_eq!(
        seen[0].all_completions,
        ["a fair answer", "", "the better answer"]
    );
    assert_eq!((seen[1].completion.as_ref(), seen[1].all_uids.len()), (None, 0));
}

#[test]
fn only_ignored_columns_are_hidden() {
    let names = |ignore_attr: &[&str]| {
        let ignore_attr: Vec<String> = ignore_attr.iter().map(|&name| name.to_owned()).collect();
        columns(&ignore_attr)
            .iter()
            .map(|column| column.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[]).len(), COLUMNS.len());
    let left = names(&["scores", "all_completions", "no such column"]);
    assert_eq!(left.len(), COLUMNS.len() - 2);
    assert!(!left.contains(&"scores"));
}

fn shown() -> Vec<mirror_runs::view::Column> {
    let hidden = [
        "call_time",
        "all_completions",
        "all_uids",
        "message",
        "block",
        "is_question",
    ]
    .map(str::to_owned);
    columns(&hidden)
}

#[test]
fn lines_of_json_are_exported() {
    let runs = tempfile::tempdir().unwrap();
    let mut manual = forward("validator-0", 5, 0);
    manual.purpose = Purpose::Manual.into();
    manual.scores = vec![f32::NAN];
    manual.best = None;
    let run = run_of(runs.path(), &[event(forward("validator-0", 0, 0)), event(manual)]);
    let mut out = Vec::new();
    write_json_lines(&run, &shown(), &mut out).unwrap();
    let expected = r#"{"completion":"the better answer","uids":[0,2],"rewards":[0.1,0.9],"scores":[0.5,-0.25,1.1754944e-38],"step":0,"step_sub":0,"validator":"validator-0","purpose":"query"}
{"completion":null,"uids":[0,2],"rewards":[0.1,0.9],"scores":[null],"step":5,"step_sub":0,"validator":"validator-0","purpose":"manual"}
"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn csv_is_exported_with_lists_as_json() {
    let runs = tempfile::tempdir().unwrap();
    let run = run_of(runs.path(), &[event(forward("validator-0", 0, 0))]);
    let mut out = Vec::new();
    write_csv(&run, &shown(), &mut out).unwrap();
    let expected = "completion,uids,rewards,scores,step,step_sub,validator,purpose\n\
        the better answer,\"[0,2]\",\"[0.1,0.9]\",\"[0.5,-0.25,1.1754944e-38]\",0,0,validator-0,query\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
