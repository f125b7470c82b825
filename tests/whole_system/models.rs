//! Tests of models that cannot do what the experiment requires: the run continues and records this, or does not begin.

use std::fs;
use std::path::Path;

use mirror_runs::tables::{EventRow, LossRow, ResponseRow};
use mirror_tests::{TestEnv, rows};

use crate::experiment::TRAINING;

const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/tiny-gpt2");

/// Returns [`TRAINING`] with one of its models replaced.
fn with(key: &str, model: &str) -> String {
    let line = TRAINING.lines().find(|line| line.trim_start().starts_with(key));
    TRAINING.replace(line.expect("a model"), &format!("  {key}: {model}"))
}

/// The part of a prompt beyond the model's 128 positions is left out, and the event counts it.
#[test]
fn a_prompt_longer_than_the_gating_model_is_counted() {
    let env = TestEnv::new();
    let model = format!("{{name: HuggingFaceGatingModel, args: {{model_name: '{SMALL}', num_uids: 8}}}}");
    let file = env.file("long.yml", with("gating_model", &model));
    let prompt = format!("model.neuron.base_prompt={}", "Answer with care. ".repeat(60));
    let run = env.done(file, &["query.method.args.max_iter=3", &prompt]);
    let events: Vec<EventRow> = rows(&run);
    assert!(!events.is_empty());
    assert!(
        events.iter().all(|event| event.truncated_texts == 1),
        "{events:?}"
    );
    let losses: Vec<LossRow> = rows(&run);
    assert!(losses.iter().all(|row| row.loss.is_finite()));
}

/// Rewards that are not finite are recorded and counted, and excluded from learning.
#[test]
fn rewards_that_are_not_finite_are_recorded_and_left_out() {
    let env = TestEnv::new();
    let folder = env.path().join("overflowing");
    overflowing(&folder);
    let folder = folder.display();
    let model = format!(
        "{{name: HuggingFaceRewardModel, args: {{model_path: '{folder}', tokenizer_path: '{folder}'}}}}"
    );
    let file = env.file("overflowing.yml", with("reward_model", &model));
    let run = env.done(file, &["query.method.args.max_iter=5"]);
    let calls: Vec<ResponseRow> = rows(&run);
    let events: Vec<EventRow> = rows(&run);
    let unjudged = calls
        .iter()
        .filter_map(|call| call.reward)
        .filter(|reward| !reward.is_finite());
    let counted: u32 = events.iter().map(|event| event.unjudged).sum();
    assert!(counted > 0);
    assert_eq!(unjudged.count(), counted as usize);
    let losses: Vec<LossRow> = rows(&run);
    assert!(losses.iter().all(|row| row.loss.is_finite()), "{losses:?}");
}

/// Writes a small reward model whose value head is so large that its values overflow single precision.
fn overflowing(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(Path::new(SMALL).join(file), folder.join(file)).expect("a copy");
    }
    // A safetensors file consists of the length of the header, the header in JSON, and the numbers.
    let bytes = fs::read(Path::new(SMALL).join("model.safetensors")).expect("the parameters");
    let (length, rest) = bytes.split_first_chunk::<8>().expect("a length");
    let (header, numbers) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(header).expect("JSON");
    let head: Vec<u8> = [3e38_f32; 32].into_iter().flat_map(f32::to_le_bytes).collect();
    header["v_head.weight"] = serde_json::json!({
        "dtype": "F32", "shape": [1, 32], "data_offsets": [numbers.len(), numbers.len() + head.len()],
    });
    let header = header.to_string().into_bytes();
    let length = (header.len() as u64).to_le_bytes();
    let whole = [&length[..], &header, numbers, &head].concat();
    fs::write(folder.join("model.safetensors"), whole).expect("written");
}

/// On a machine with a CUDA device, there is nothing to reject.
#[test]
fn a_missing_cuda_device_ends_the_run_before_its_first_step() {
    if Path::new("/dev/nvidia0").exists() {
        return;
    }
    let env = TestEnv::new();
    let file = env.file("training.yml", TRAINING);
    let refused = env.mirror(&["run", file, "--set", "device=cuda"]);
    assert_eq!(refused.status, Some(1), "{refused:?}");
    assert!(refused.err.contains("sees no CUDA device"), "{refused:?}");
}
