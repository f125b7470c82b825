//! Small models with random weights, compared with the results of transformers and PyTorch.

use std::fs;
use std::path::{Path, PathBuf};

use mirror_models::check::{CheckError, Checked, TOLERANCE, check};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models")
}

#[track_caller]
fn meets(name: &str, quantities: &[&str]) -> Checked {
    let mut checked = check(&fixtures().join(name)).expect("a folder in the right form");
    let checked = checked.pop().expect("one folder, one result");
    let found: Vec<&str> = checked
        .differences
        .iter()
        .map(|(quantity, _)| *quantity)
        .collect();
    assert_eq!(found, quantities);
    assert!(checked.largest() <= TOLERANCE, "{checked:?}");
    assert_eq!(checked.unknown, [""; 0]);
    checked
}

const TRANSFORMER: [&str; 10] = [
    "input_ids",
    "last_hidden",
    "gating_scores",
    "reward_last_token",
    "reward input_ids",
    "first_pad_index",
    "reward",
    "loss",
    "linear_grad_norm",
    "scores after training",
];

#[test]
fn gpt2() {
    meets("tiny-gpt2", &TRANSFORMER);
}

#[test]
fn gpt_neo() {
    meets("tiny-gpt-neo", &TRANSFORMER);
}

#[test]
fn gpt_j() {
    meets("tiny-gptj", &TRANSFORMER);
}

#[test]
fn bert() {
    let without_rewards: Vec<&str> = TRANSFORMER
        .into_iter()
        .filter(|quantity| !["reward input_ids", "first_pad_index", "reward"].contains(quantity))
        .collect();
    meets("tiny-bert", &without_rewards);
}

#[test]
fn sequential() {
    meets("sequential", &["scores", "loss", "scores after training"]);
}

#[test]
fn all_models_in_a_folder_are_checked() {
    let checked = check(&fixtures()).expect("five folders");
    assert_eq!(checked.len(), 5);
}

#[test]
fn a_difference_is_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in fs::read_dir(fixtures().join("tiny-gpt2")).expect("the fixture") {
        let path = file.expect("a file").path();
        fs::copy(&path, folder.path().join(path.file_name().expect("a name"))).expect("a copy");
    }
    let expected = folder.path().join("expected.json");
    let text = fs::read_to_string(&expected).expect("the expected numbers");
    fs::write(
        &expected,
        text.replace("0.6162363290786743", "0.6163363290786743"),
    )
    .expect("other numbers");
    let checked = check(folder.path()).expect("still in the right form");
    let reward = checked[0]
        .differences
        .iter()
        .find(|(quantity, _)| *quantity == "reward");
    let (_, difference) = reward.expect("rewards are compared");
    assert!((difference - 1e-4).abs() < TOLERANCE, "{difference}");
}

#[test]
fn a_folder_without_a_model_is_refused() {
    let empty = tempfile::tempdir().expect("a folder");
    let refused = check(empty.path()).expect_err("the folder is empty");
    assert!(matches!(refused, CheckError::NothingExpected { .. }), "{refused}");
    fs::write(empty.path().join("expected.json"), "{}").expect("a file");
    let refused = check(empty.path()).expect_err("there is no model");
    assert!(matches!(refused, CheckError::NoModel { .. }), "{refused}");
}
