//! Models from files: all supported layouts on disk, and all errors.

use std::fs;
use std::path::{Path, PathBuf};

use mirror_models::gating::{self, GatingModel, Question, TrainingExample};
use mirror_models::reward::{self, Candidate, RewardModel};
use mirror_models::training::{Gradients, SgdConfig};
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_spec::{
    CustomRewardArgs, GatingModel as GatingSpec, HuggingFaceGatingArgs, HuggingFaceRewardArgs,
    RewardModel as RewardSpec, SequentialGatingArgs,
};
use tch::{Cuda, Device, Kind, Tensor};
use tempfile::TempDir;

const CALL: CallId = CallId {
    caller: [0; 32],
    step: 0,
    forward_index: 0,
    uid: 0,
    call: CallNumber::QUERY,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/models")
        .join(name)
}

/// A modifiable copy of a small model, with its value head among its parameters.
struct Model {
    folder: TempDir,
    tensors: Vec<(String, Tensor)>,
}

impl Model {
    fn of(fixture_name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["config.json", "tokenizer.json"] {
            fs::copy(fixture(fixture_name).join(file), folder.path().join(file)).expect("a copy");
        }
        let read = |file| {
            Tensor::read_safetensors(fixture(fixture_name).join(file)).expect("a valid file of parameters")
        };
        let mut tensors = read("model.safetensors");
        tensors.extend(read("heads.safetensors"));
        Self { folder, tensors }
    }

    fn gpt2() -> Self {
        Self::of("tiny-gpt2")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes the parameters after `change`.
    fn with(mut self, change: impl FnOnce(&mut Vec<(String, Tensor)>)) -> Self {
        change(&mut self.tensors);
        Tensor::write_safetensors(&self.tensors, self.path("model.safetensors")).expect("written");
        self
    }

    /// Writes the parameters after replacing the tensor `name`.
    fn with_tensor(self, name: &str, tensor: Tensor) -> Self {
        self.with(|tensors| {
            let place = tensors.iter_mut().find(|(known, _)| known == name);
            place.expect("a parameter of that name").1 = tensor;
        })
    }

    fn with_option(self, option: &str, value: serde_json::Value) -> Self {
        let path = self.path("config.json");
        let text = fs::read_to_string(&path).expect("the configuration");
        let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        config[option] = value;
        fs::write(path, config.to_string()).expect("written");
        self.with(|_| {})
    }

    fn args(&self) -> CustomRewardArgs {
        CustomRewardArgs {
            model_path: self.folder.path().display().to_string(),
            checkpoint: None,
            tokenizer_path: None,
            half: false,
            device: None,
            random_init: false,
        }
    }

    fn reward(&self) -> Box<dyn RewardModel> {
        built(self.args()).expect("a valid model")
    }

    #[track_caller]
    fn is_refused(&self, words: &[&str]) {
        refused(self.args(), words);
    }
}

fn built(args: CustomRewardArgs) -> Result<Box<dyn RewardModel>, String> {
    reward_of(&RewardSpec::CustomRewardModel(args))
}

fn reward_of(spec: &RewardSpec) -> Result<Box<dyn RewardModel>, String> {
    let context = reward::BuildContext {
        seed: Seed::root(1),
        device: Device::Cpu,
    };
    reward::build(spec, &context).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(args: CustomRewardArgs, words: &[&str]) {
    let Err(message) = built(args) else {
        panic!("the model was accepted")
    };
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

fn gating_of(spec: &GatingSpec) -> Box<dyn GatingModel> {
    gating_drawn_from(1, spec)
}

fn gating_drawn_from(seed: u64, spec: &GatingSpec) -> Box<dyn GatingModel> {
    let context = gating::BuildContext {
        seed: Seed::root(seed),
        num_nodes: 16,
        topk: 10,
        device: Device::Cpu,
        sgd: SgdConfig {
            learning_rate: 0.5,
            momentum: 0.9,
            gradients: Gradients::Zeroed,
        },
    };
    gating::build(spec, &context).expect("a valid model")
}

fn sequential(hidden_size: &[u32]) -> Box<dyn GatingModel> {
    sequential_of(1, hidden_size)
}

fn sequential_of(seed: u64, hidden_size: &[u32]) -> Box<dyn GatingModel> {
    let args = SequentialGatingArgs {
        tokenizer_name: fixture("sequential").display().to_string(),
        hidden_size: hidden_size.to_vec(),
        embedding_dim: 24,
        num_uids: Some(20),
    };
    gating_drawn_from(seed, &GatingSpec::SequentialGatingModel(args))
}

fn candidates<'a>(completions: &[&'a str]) -> Vec<Candidate<'a>> {
    let candidate = |completion: &&'a str| Candidate {
        call: CALL,
        prompt: "who wrote the first program ?\n\n",
        completion,
    };
    completions.iter().map(candidate).collect()
}

#[track_caller]
fn close(one: &[f32], other: &[f32], tolerance: f32) {
    assert_eq!(one.len(), other.len());
    let apart = one.iter().zip(other).map(|(one, other)| (one - other).abs());
    assert!(apart.fold(0.0, f32::max) <= tolerance, "{one:?} and {other:?}");
}

fn question(text: &str) -> Question<'_> {
    Question { text, forward: CALL }
}

const COMPLETIONS: [&str; 4] = [
    "Ada Lovelace",
    "",
    "It was Ada Lovelace, in her notes on the analytical engine of Charles Babbage.",
    "Nobody knows.",
];

#[test]
fn batching_does_not_change_rewards() {
    for name in ["tiny-gpt2", "tiny-gpt-neo", "tiny-gptj", "tiny-bert"] {
        let mut model = Model::of(name).with(|_| {}).reward();
        let together = model.rewards(&candidates(&COMPLETIONS));
        let alone: Vec<f32> = COMPLETIONS
            .iter()
            .flat_map(|completion| model.rewards(&candidates(&[completion])))
            .collect();
        close(&together, &alone, 1e-5);
        assert!(together.iter().all(|reward| reward.is_finite()), "{together:?}");
        assert!(model.rewards(&[]).is_empty());
    }
}

#[test]
fn shards_and_parts_of_larger_models_are_read() {
    let whole = Model::gpt2().with(|_| {});
    let expected = whole.reward().rewards(&candidates(&COMPLETIONS));

    let part = Model::gpt2().with(|tensors| {
        for (name, _) in tensors.iter_mut().filter(|(name, _)| !name.starts_with("v_head")) {
            name.insert_str(0, "transformer.");
        }
    });
    assert_eq!(part.reward().rewards(&candidates(&COMPLETIONS)), expected);

    let sharded = Model::gpt2();
    let (first, second) = sharded.tensors.split_at(7);
    let names = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    let mut map = serde_json::Map::new();
    for (shard, name) in [first, second].into_iter().zip(names) {
        Tensor::write_safetensors(shard, sharded.path(name)).expect("written");
        map.extend(shard.iter().map(|(tensor, _)| (tensor.clone(), name.into())));
    }
    let index = serde_json::json!({ "weight_map": map });
    fs::write(sharded.path("model.safetensors.index.json"), index.to_string()).expect("written");
    assert_eq!(sharded.reward().rewards(&candidates(&COMPLETIONS)), expected);

    let elsewhere = CustomRewardArgs {
        checkpoint: Some(part.path("model.safetensors").display().to_string()),
        ..sharded.args()
    };
    let found = built(elsewhere)
        .expect("parameters from a file")
        .rewards(&candidates(&COMPLETIONS));
    assert_eq!(found, expected);
}

#[test]
fn an_index_cannot_leave_its_folder() {
    let model = Model::gpt2();
    let index = serde_json::json!({"weight_map": {"wte.weight": "../elsewhere.safetensors"}});
    fs::write(model.path("model.safetensors.index.json"), index.to_string()).expect("written");
    model.is_refused(&["weight_map", "../elsewhere.safetensors"]);
}

#[test]
fn half_precision_is_close_to_single_precision() {
    let model = Model::gpt2().with(|_| {});
    let single = model.reward().rewards(&candidates(&COMPLETIONS));
    let half = CustomRewardArgs {
        half: true,
        ..model.args()
    };
    close(
        &built(half)
            .expect("a valid model")
            .rewards(&candidates(&COMPLETIONS)),
        &single,
        0.02,
    );
}

#[test]
fn parameters_are_drawn_only_with_random_init() {
    let model = Model::gpt2();
    model.is_refused(&["contains no parameters", "random_init"]);
    let random = CustomRewardArgs {
        random_init: true,
        ..model.args()
    };
    let mut first = built(random.clone()).expect("nothing to read");
    let mut second = built(random).expect("nothing to read");
    let rewards = first.rewards(&candidates(&COMPLETIONS));
    assert_eq!(second.rewards(&candidates(&COMPLETIONS)), rewards);
    assert!(rewards.iter().any(|reward| *reward != 0.0));
}

#[test]
fn an_invalid_configuration_is_named() {
    let option = |key: &str, value: serde_json::Value| Model::gpt2().with_option(key, value);
    option("model_type", "llama".into()).is_refused(&["`llama`", "gpt2, gpt_neo, gptj, bert"]);
    option("activation_function", "swiglu".into()).is_refused(&["activation_function", "swiglu", "gelu_new"]);
    option("n_head", 5.into()).is_refused(&["n_head", "evenly"]);
    option("n_layer", (-1).into()).is_refused(&["n_layer", "-1"]);
    option("add_cross_attention", true.into()).is_refused(&["add_cross_attention", "not supported"]);
    let bert = Model::of("tiny-bert").with_option("is_decoder", true.into());
    bert.is_refused(&["is_decoder", "not supported"]);
    let neo =
        Model::of("tiny-gpt-neo").with_option("attention_layers", serde_json::json!(["global", "near"]));
    neo.is_refused(&["attention_layers", "near", "2 layers"]);
    let j = Model::of("tiny-gptj").with_option("rotary_dim", 9.into());
    j.is_refused(&["rotary_dim", "9"]);
    let none = Model::gpt2().with(|_| {});
    fs::write(none.path("config.json"), "{").expect("written");
    none.is_refused(&["config.json is malformed"]);
}

#[test]
fn an_invalid_tensor_is_named() {
    let name = "h.1.mlp.c_fc.bias";
    Model::gpt2()
        .with(|tensors| tensors.retain(|(known, _)| known != name))
        .is_refused(&["no tensor `h.1.mlp.c_fc.bias`"]);
    Model::gpt2()
        .with_tensor(name, Tensor::zeros([64], (Kind::Float, Device::Cpu)))
        .is_refused(&[name, "[64]", "[128]"]);
    Model::gpt2()
        .with_tensor(name, Tensor::zeros([128], (Kind::Int64, Device::Cpu)))
        .is_refused(&[name, "Int64"]);
    for hole in [f64::NAN, f64::INFINITY] {
        Model::gpt2()
            .with_tensor(name, Tensor::full([128], hole, (Kind::Float, Device::Cpu)))
            .is_refused(&[name, "NaN or infinite"]);
    }
    Model::gpt2()
        .with(|tensors| tensors.retain(|(known, _)| known != "v_head.weight"))
        .is_refused(&["no tensor `v_head.weight`"]);
}

#[test]
fn a_truncated_file_is_reported() {
    let model = Model::gpt2().with(|_| {});
    let path = model.path("model.safetensors");
    let bytes = fs::read(&path).expect("the parameters");
    for length in [0, 4, 100, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).expect("written");
        model.is_refused(&["model.safetensors", "truncated"]);
    }
    let model = Model::gpt2();
    fs::write(model.path("pytorch_model.bin"), b"PK\x03\x04 and no more").expect("written");
    model.is_refused(&["pytorch_model.bin", "truncated"]);
}

#[test]
fn a_tokenizer_with_more_ids_than_the_model_is_refused() {
    let model = Model::of("tiny-bert").with(|_| {});
    let other = CustomRewardArgs {
        tokenizer_path: Some(fixture("tiny-gpt2").display().to_string()),
        ..model.args()
    };
    refused(other, &["ids up to 399", "0 to 233"]);
    let none = CustomRewardArgs {
        tokenizer_path: Some(model.folder.path().join("nowhere").display().to_string()),
        ..model.args()
    };
    refused(none, &["contains no tokenizer"]);
    fs::write(model.path("tokenizer.json"), "{}").expect("written");
    model.is_refused(&["tokenizer.json"]);
}

#[test]
fn a_text_longer_than_the_model_loses_its_beginning_and_is_counted() {
    let long = "the capital of France is Paris . ".repeat(100);
    let mut model = Model::gpt2().with(|_| {}).reward();
    let rewards = model.rewards(&candidates(&[&long, "Ada"]));
    assert!(rewards.iter().all(|reward| reward.is_finite()));
    assert_eq!((model.take_truncated(), model.take_truncated()), (1, 0));
    // The omitted beginning does not affect the reward.
    let other = format!("something else {long}");
    close(&model.rewards(&candidates(&[&other])), &rewards[..1], 1e-5);

    for name in ["tiny-gpt2", "tiny-bert"] {
        let mut gating = gating_of(&GatingSpec::HuggingFaceGatingModel(HuggingFaceGatingArgs {
            model_name: fixture(name).display().to_string(),
            num_uids: 16,
            random_init: false,
        }));
        let scores = gating.scores(&question(&long));
        assert_eq!(gating.take_truncated(), 1);
        assert_eq!(gating.scores(&question(&other)), scores, "{name}");
        gating.take_truncated();
        gating.scores(&question("short"));
        assert_eq!(gating.take_truncated(), 0);
    }
}

#[test]
fn a_question_without_tokens_has_scores() {
    let scores = sequential(&[8]).scores(&question(""));
    assert_eq!(scores.len(), 16);
    assert!(scores.iter().all(|score| score.is_finite()));
}

#[test]
fn a_reward_can_be_non_finite() {
    let infinite = Tensor::full([1, 32], 3e38, (Kind::Float, Device::Cpu));
    let mut model = Model::gpt2().with_tensor("v_head.weight", infinite).reward();
    let rewards = model.rewards(&candidates(&COMPLETIONS));
    assert_eq!(rewards.len(), COMPLETIONS.len());
    assert!(rewards.iter().any(|reward| !reward.is_finite()), "{rewards:?}");
}

#[test]
fn a_missing_cuda_device_is_reported() {
    if Cuda::is_available() {
        return;
    }
    let model = Model::gpt2().with(|_| {});
    let spec = RewardSpec::HuggingFaceRewardModel(HuggingFaceRewardArgs {
        model_path: model.folder.path().display().to_string(),
        tokenizer_path: model.folder.path().display().to_string(),
        device: Some("cuda".parse().expect("a device name")),
        random_init: false,
    });
    let Err(message) = reward_of(&spec) else {
        panic!("the model was accepted")
    };
    assert!(message.contains("no CUDA device"), "{message}");
}

#[test]
fn layers_of_different_widths_are_trained() {
    let mut model = sequential(&[12, 6]);
    let names: Vec<String> = model
        .trained()
        .expect("the model has trained parameters")
        .parameters()
        .iter()
        .map(|parameter| parameter.name.clone())
        .collect();
    assert_eq!(names.len(), 10);
    assert!(!names.contains(&"embedding.weight".to_owned()));
    let ask = question("who wrote the first program ?");
    let mut losses = Vec::new();
    for _ in 0..200 {
        let scores = model.scores(&ask);
        let example = TrainingExample {
            question: ask,
            uids: &[2, 5, 11],
            scores: &[],
            rewards: &[3.0, 0.0, -1.0],
        };
        losses.push(model.backward(&example).expect("three answered"));
        assert_eq!(scores.len(), 16);
    }
    assert!(losses[199] < losses[0] / 10.0, "{} to {}", losses[0], losses[199]);
}

#[test]
fn a_restored_model_continues_exactly_like_the_saved_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = folder.path().join("gating.safetensors");
    let learn = |model: &mut Box<dyn GatingModel>, text: &str| {
        model.backward(&TrainingExample {
            question: question(text),
            uids: &[1, 7],
            scores: &[],
            rewards: &[1.0, -1.0],
        })
    };
    let mut first = sequential(&[8]);
    learn(&mut first, "who wrote the first program ?");
    first
        .trained()
        .expect("the model has trained parameters")
        .save(&checkpoint)
        .expect("written");
    let mut second = sequential_of(2, &[8]);
    // The second model has another random seed, so its embedding must also come from the checkpoint.
    second
        .trained()
        .expect("the model has trained parameters")
        .restore(&checkpoint)
        .expect("of the same form");
    for text in ["a", "b"] {
        assert_eq!(learn(&mut first, text), learn(&mut second, text));
    }
    let ask = question("who wrote the first program ?");
    assert_eq!(first.scores(&ask), second.scores(&ask));
}

#[test]
fn a_checkpoint_of_another_model_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = folder.path().join("gating.safetensors");
    let save = |model: &mut Box<dyn GatingModel>| {
        let trained = model.trained().expect("the model has trained parameters");
        trained.save(&checkpoint).expect("written");
    };
    let refused = |model: &mut Box<dyn GatingModel>, words: &[&str]| {
        let trained = model.trained().expect("the model has trained parameters");
        let message = trained
            .restore(&checkpoint)
            .expect_err("of another form")
            .to_string();
        for word in words {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
    };
    save(&mut sequential(&[8]));
    refused(
        &mut sequential(&[12]),
        &["lstm.weight_ih_l0", "[32, 24]", "[48, 24]"],
    );
    refused(&mut sequential(&[8, 8]), &["no tensor `lstm.weight_ih_l1`"]);
    let transformer = HuggingFaceGatingArgs {
        model_name: fixture("tiny-gpt2").display().to_string(),
        num_uids: 16,
        random_init: false,
    };
    let mut transformer = gating_of(&GatingSpec::HuggingFaceGatingModel(transformer));
    refused(&mut transformer, &["no tensor `wte.weight`"]);
    save(&mut sequential(&[8, 8]));
    refused(
        &mut sequential(&[8]),
        &["another model", "lstm.bias_hh_l1", "7 others"],
    );
    fs::write(&checkpoint, "and no more").expect("written");
    refused(&mut sequential(&[8]), &["truncated"]);
}

#[test]
fn parameter_statistics_count_each_element_once() {
    let mut model = sequential(&[8]);
    let looks = model
        .trained()
        .expect("the model has trained parameters")
        .param_stats();
    assert!(
        looks.iter().all(|look| look.gradient_norm == 0.0),
        "no step was taken"
    );
    model.backward(&TrainingExample {
        question: question("who wrote the first program ?"),
        uids: &[1, 7],
        scores: &[],
        rewards: &[1.0, -1.0],
    });
    let trained = model.trained().expect("the model has trained parameters");
    let looks = trained.param_stats();
    assert_eq!(looks.len(), trained.parameters().len());
    for (look, parameter) in looks.iter().zip(trained.parameters()) {
        assert_eq!(look.name, parameter.name);
        assert!(look.gradient_norm > 0.0, "{look:?}");
        let mut numbers = vec![0.0_f32; parameter.value.numel()];
        parameter
            .value
            .detach()
            .copy_data(&mut numbers, parameter.value.numel());
        let least = numbers.iter().copied().fold(f32::INFINITY, f32::min);
        let greatest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert_eq!((look.minimum, look.maximum), (least, greatest));
        assert_eq!(look.histogram.len(), 64);
        assert_eq!(look.histogram.iter().sum::<u64>(), numbers.len() as u64);
        assert!(
            look.histogram[0] > 0 && look.histogram[63] > 0,
            "the ends are included: {look:?}"
        );
        let middle = f64::midpoint(least.into(), greatest.into());
        let lower = numbers
            .iter()
            .filter(|number| f64::from(**number) < middle)
            .count() as u64;
        let counted: u64 = look.histogram[..32].iter().sum();
        assert!(counted.abs_diff(lower) <= 1, "{counted} and {lower}");
    }
}
