//! Finds, reads and compiles the real data set `nq_open` by its name, as the coordinator does, and reads back each row.
//! The file is not part of the project. If it is missing, the test is skipped with a message, or fails in continuous
//! integration.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use mirror_dataset::{Dataset, Request, Schema, compile_cached, resolve};
use mirror_hub::Places;

const FILE: &str = "../../../shared/fixtures/data/NQ-open.dev.jsonl";
const ROWS: usize = 3610;

#[test]
fn nq_open_is_found_by_its_name() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let Ok(file) = fs::canonicalize(&file) else {
        assert!(env::var_os("CI").is_none(), "{} is missing", file.display());
        println!("skipped: {} is missing", file.display());
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("data/nq_open");
    fs::create_dir_all(&named).unwrap();
    symlink(&file, named.join("NQ-open.dev.jsonl")).unwrap();
    let places = Places {
        mirror_data: Some(folder.path().join("data")),
        ..Places::from_variables(|_| None)
    };
    let request = Request {
        path_or_name: "nq_open".to_owned(),
        schema: Schema::default(),
        offline: true,
        base_dir: folder.path().to_owned(),
    };

    let resolved = resolve(&request, &places).unwrap();
    assert_eq!(resolved.rows.len(), ROWS);
    let first = &resolved.rows[0];
    assert_eq!(first.question, "when was the last time anyone was on the moon");
    assert_eq!(first.answers, ["14 December 1972 UTC", "December 1972"]);

    let path = compile_cached(&resolved.rows, folder.path()).unwrap();
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!(dataset.len() as usize, ROWS);
    for (row, number) in resolved.rows.iter().zip(0..) {
        assert_eq!(dataset.question(number), Some(row.question.as_str()));
        assert!(dataset.answers(number).eq(row.answers.iter().map(String::as_str)));
        let found = dataset.find(&row.question).unwrap();
        assert_eq!(dataset.question(found), Some(row.question.as_str()));
    }
}
