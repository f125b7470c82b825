//! Comparison of a model with the numbers that Python computed from it.
//!
//! A folder contains `expected.json` with texts and numbers, `tokenizer.json`, and either a transformer (`config.json`,
//! `model.safetensors`, and `heads.safetensors` with `linear.weight`, `linear.bias` and `v_head.weight`) or the
//! parameters of a `SequentialGatingModel` (`init.safetensors`). Gating models are trained on the steps in
//! `expected.json` and must arrive at the same losses and the same scores.

use std::path::{Path, PathBuf};

use mirror_seed::{CallId, CallNumber};
use serde::Deserialize;
use serde_json::{Map, Value};
use tch::{Device, Tensor};

use crate::error::ModelError;
use crate::gating::hugging_face::{self, HuggingFace};
use crate::gating::sequential::{Sequential, Widths};
use crate::gating::trained::{Network, TrainedGatingModel};
use crate::gating::{GatingModel, Question, TrainingExample, numbers};
use crate::json;
use crate::reward::gpt::GptRewardModel;
use crate::tokenizer::Tokenizer;
use crate::training::{Gradients, SgdConfig, Trained};
use crate::transformer::{Tokens, Transformer};
use crate::weights::{Precision, Weights};

/// Largest accepted difference from the numbers of Python, in single precision on a CPU.
pub const TOLERANCE: f64 = 2e-5;

/// The configuration with which the numbers in `expected.json` were computed.
const SGD: SgdConfig = SgdConfig {
    learning_rate: 0.01,
    momentum: 0.9,
    gradients: Gradients::Zeroed,
};

/// Error for a folder that cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no `expected.json` to compare a model with.
    #[error("neither {folder} nor a folder in it contains an expected.json")]
    NothingExpected {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder contains neither a transformer nor a sequential gating model.
    #[error("{folder} contains neither a config.json nor an init.safetensors")]
    NoModel {
        /// The folder.
        folder: PathBuf,
    },
    /// `expected.json` is inconsistent.
    #[error("{path}: {problem}")]
    Expected {
        /// The file.
        path: PathBuf,
        /// The inconsistency.
        problem: String,
    },
    /// The model cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Differences between the numbers in a folder and those computed here.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The folder.
    pub folder: PathBuf,
    /// Each quantity with its largest difference over all cases, in the order of the first comparison.
    pub differences: Vec<(&'static str, f64)>,
    /// Keys of `expected.json` that are not checked.
    pub unknown: Vec<String>,
}

impl Checked {
    /// Returns the largest difference, or NaN if one of them is NaN.
    pub fn largest(&self) -> f64 {
        let differences = self.differences.iter().map(|(_, difference)| *difference);
        differences.fold(0.0, worse)
    }

    fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            differences: Vec::new(),
            unknown: Vec::new(),
        }
    }

    fn compare(&mut self, quantity: &'static str, ours: &[f32], expected: &[f64]) {
        let difference = if ours.len() == expected.len() {
            let pairs = ours.iter().zip(expected);
            pairs
                .map(|(ours, expected)| (f64::from(*ours) - expected).abs())
                .fold(0.0, worse)
        } else {
            f64::INFINITY
        };
        match self.differences.iter_mut().find(|(known, _)| *known == quantity) {
            Some((_, largest)) => *largest = worse(*largest, difference),
            None => self.differences.push((quantity, difference)),
        }
    }

    /// Compares whole numbers. The difference is 0 if all are equal, otherwise infinite.
    fn compare_exactly(&mut self, quantity: &'static str, ours: &[i64], expected: &[i64]) {
        let ours: &[f32] = if ours == expected { &[] } else { &[f32::INFINITY] };
        let expected = vec![0.0; ours.len()];
        self.compare(quantity, ours, &expected);
    }

    fn do_not_know(&mut self, others: &Map<String, Value>) {
        for key in others.keys() {
            if !self.unknown.contains(key) {
                self.unknown.push(key.clone());
            }
        }
    }
}

/// Returns the larger number. NaN counts as the largest.
fn worse(one: f64, other: f64) -> f64 {
    if one.is_nan() || one > other { one } else { other }
}

/// `expected.json` of a transformer.
#[derive(Deserialize)]
struct ExpectedTransformer {
    n: i64,
    cases: Vec<Case>,
    #[serde(default)]
    reward_cases: Vec<RewardCase>,
    gating_training: Option<Training>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// `expected.json` of a sequential gating model.
#[derive(Deserialize)]
struct ExpectedSequential {
    n: i64,
    embedding_dim: i64,
    hidden_size: OneOrMany,
    cases: Vec<SequentialCase>,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    after: Vec<SequentialCase>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

#[derive(Deserialize)]
struct Case {
    text: String,
    input_ids: Option<Vec<i64>>,
    last_hidden: Option<Vec<f64>>,
    mean_hidden: Option<Vec<f64>>,
    gating_scores: Option<Vec<f64>>,
    reward_last_token: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct RewardCase {
    text: String,
    input_ids: Option<Vec<i64>>,
    first_pad_index: Option<i64>,
    reward: f64,
    /// Length to which Python padded the text. It does not affect the result.
    #[serde(rename = "max_length")]
    _max_length: Option<i64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct SequentialCase {
    text: String,
    scores: Vec<f64>,
}

#[derive(Deserialize)]
struct Training {
    steps: Vec<TrainingEntry>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A training step, or the scores after the preceding steps.
#[derive(Deserialize)]
#[serde(untagged)]
enum TrainingEntry {
    Step(Step),
    After { after: String, gating_scores: Vec<f64> },
}

#[derive(Deserialize)]
struct Step {
    text: String,
    uids: Vec<u32>,
    rewards: Vec<f32>,
    loss: f64,
    linear_grad_norm: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Keys of descriptive texts, which are not checked.
const WORDS: [&str; 3] = ["source", "reward_rule", "optimizer"];

/// Compares the model in `folder` with its `expected.json`. If `folder` contains none, checks each of its subfolders
/// that does.
///
/// # Errors
/// Returns an error if there is nothing to check, or if a model or an `expected.json` is invalid.
pub fn check(folder: &Path) -> Result<Vec<Checked>, CheckError> {
    let has = |name: &str| folder.join(name).exists();
    if has("expected.json") {
        let checked = if has("config.json") {
            transformer(folder)?
        } else if has("init.safetensors") {
            sequential(folder)?
        } else {
            return Err(CheckError::NoModel {
                folder: folder.to_owned(),
            });
        };
        return Ok(vec![checked]);
    }
    let nothing = || CheckError::NothingExpected {
        folder: folder.to_owned(),
    };
    let entries = folder.read_dir().map_err(|_| nothing())?;
    let mut inside: Vec<PathBuf> = entries
        .collect::<Result<Vec<_>, _>>()
        .map_err(ModelError::io(folder))?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.join("expected.json").exists())
        .collect();
    if inside.is_empty() {
        return Err(nothing());
    }
    inside.sort();
    let checked: Result<Vec<Vec<Checked>>, CheckError> = inside.iter().map(|path| check(path)).collect();
    Ok(checked?.into_iter().flatten().collect())
}

fn transformer(folder: &Path) -> Result<Checked, CheckError> {
    let path = folder.join("expected.json");
    let expected: ExpectedTransformer = json::read(&path)?;
    let mut checked = Checked::of(folder);
    let precision = Precision::single(Device::Cpu);
    let heads = || Weights::read_file(&folder.join("heads.safetensors"), precision);
    let weights = Weights::read(folder, precision)?;
    let (network, learning) = HuggingFace::take(folder, expected.n, weights, heads()?)?;
    let tokenizer = hugging_face::tokenizer(folder, &network.transformer)?;
    let trained = Trained::new(SGD, learning);
    let mut gating = TrainedGatingModel::new(tokenizer, network, trained, outputs(&path, expected.n)?);
    let (model, _) = Transformer::read(folder, Weights::read(folder, precision)?)?;
    let mut reward = GptRewardModel::with_head(model, Tokenizer::read(folder)?, &mut heads()?)?;

    let judged = texts(&mut checked, &expected.cases, &mut gating, &reward)?;
    // In one batch, as a validator scores the completions of a call.
    let together: Vec<Vec<i64>> = judged.iter().map(|(tokens, _)| tokens.clone()).collect();
    let values = reward.values(&together).unwrap_or_default();
    let expectations: Vec<f64> = judged.iter().map(|(_, reward)| *reward).collect();
    checked.compare("reward_last_token", &values, &expectations);
    rewards(&mut checked, &expected.reward_cases, &mut reward)?;
    if let Some(training) = &expected.gating_training {
        for entry in &training.steps {
            match entry {
                TrainingEntry::Step(step) => train(&mut checked, &path, step, &mut gating)?,
                TrainingEntry::After { after, gating_scores } => {
                    let scores = numbers(&gating.graph(after)?);
                    checked.compare("scores after training", &scores, gating_scores);
                }
            }
        }
        checked.do_not_know(&training.others);
    }
    checked.do_not_know(&expected.others);
    checked.unknown.retain(|key| !WORDS.contains(&key.as_str()));
    Ok(checked)
}

/// Compares tokens, states and scores of each text. Returns the tokens of each text with a reward, and that reward.
fn texts(
    checked: &mut Checked,
    cases: &[Case],
    gating: &mut TrainedGatingModel<HuggingFace>,
    reward: &GptRewardModel,
) -> Result<Vec<(Vec<i64>, f64)>, CheckError> {
    let mut judged = Vec::new();
    for case in cases {
        let ids = gating.tokenizer.encode(&case.text)?.ids;
        if let Some(expected) = &case.input_ids {
            checked.compare_exactly("input_ids", &ids, expected);
        }
        if let Some(tokens) = Tokens::of(std::slice::from_ref(&ids), Device::Cpu) {
            let model = &gating.network.transformer;
            if let Some(expected) = &case.last_hidden {
                checked.compare("last_hidden", &flat(&model.last_hidden(&tokens)), expected);
            }
            if let Some(expected) = &case.mean_hidden {
                checked.compare("mean_hidden", &flat(&model.mean_hidden(&tokens)), expected);
            }
        }
        if let Some(expected) = &case.gating_scores {
            checked.compare("gating_scores", &numbers(&gating.graph(&case.text)?), expected);
        }
        if let Some(expected) = case.reward_last_token {
            let alone = reward.values(std::slice::from_ref(&ids)).unwrap_or_default();
            checked.compare("reward_last_token", &alone, &[expected]);
            judged.push((ids, expected));
        }
        checked.do_not_know(&case.others);
    }
    Ok(judged)
}

/// Compares the rewards of texts between the special tokens that v4 puts around them, one by one and in one batch.
fn rewards(
    checked: &mut Checked,
    cases: &[RewardCase],
    reward: &mut GptRewardModel,
) -> Result<(), CheckError> {
    let mut together = Vec::new();
    for case in cases {
        let judged = reward.judged(&case.text)?;
        if let Some(expected) = &case.input_ids {
            checked.compare_exactly("reward input_ids", &judged.tokens, expected);
        }
        if let Some(expected) = case.first_pad_index {
            checked.compare_exactly("first_pad_index", &[judged.end as i64], &[expected]);
        }
        let seen = judged.tokens[..judged.end].to_vec();
        let alone = reward.values(std::slice::from_ref(&seen)).unwrap_or_default();
        checked.compare("reward", &alone, &[case.reward]);
        together.push(seen);
        checked.do_not_know(&case.others);
    }
    let expected: Vec<f64> = cases.iter().map(|case| case.reward).collect();
    let values = reward.values(&together).unwrap_or_default();
    if !cases.is_empty() {
        checked.compare("reward", &values, &expected);
    }
    Ok(())
}

fn sequential(folder: &Path) -> Result<Checked, CheckError> {
    let path = folder.join("expected.json");
    let expected: ExpectedSequential = json::read(&path)?;
    let mut checked = Checked::of(folder);
    let tokenizer = Tokenizer::read(folder)?;
    let precision = Precision::single(Device::Cpu);
    let weights = Weights::read_file(&folder.join("init.safetensors"), precision)?;
    let hidden = match &expected.hidden_size {
        OneOrMany::One(width) => std::slice::from_ref(width),
        OneOrMany::Many(widths) => widths,
    };
    let widths = Widths {
        vocabulary: i64::from(tokenizer.highest_id()) + 1,
        embedding: expected.embedding_dim,
        hidden,
        outputs: expected.n,
    };
    let (network, learning) = Sequential::take(&widths, weights)?;
    let trained = Trained::new(SGD, learning);
    let mut gating = TrainedGatingModel::new(tokenizer, network, trained, outputs(&path, expected.n)?);
    for case in &expected.cases {
        checked.compare("scores", &numbers(&gating.graph(&case.text)?), &case.scores);
    }
    for step in &expected.steps {
        train(&mut checked, &path, step, &mut gating)?;
    }
    for case in &expected.after {
        let scores = numbers(&gating.graph(&case.text)?);
        checked.compare("scores after training", &scores, &case.scores);
    }
    checked.do_not_know(&expected.others);
    checked.unknown.retain(|key| !WORDS.contains(&key.as_str()));
    Ok(checked)
}

fn train<N: Network>(
    checked: &mut Checked,
    path: &Path,
    step: &Step,
    gating: &mut TrainedGatingModel<N>,
) -> Result<(), CheckError> {
    let wrong = |problem: &str| CheckError::Expected {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    if step.uids.len() != step.rewards.len() || step.uids.is_empty() {
        return Err(wrong(
            "a training step must have at least one uid, and one reward per uid",
        ));
    }
    let question = Question {
        text: &step.text,
        forward: CallId {
            caller: [0; 32],
            step: 0,
            forward_index: 0,
            uid: 0,
            call: CallNumber::QUERY,
        },
    };
    let scores = gating.scores(&question);
    if step.uids.iter().any(|uid| *uid as usize >= scores.len()) {
        return Err(wrong("the uids of a training step must be less than `n`"));
    }
    let example = TrainingExample {
        question,
        uids: &step.uids,
        scores: &scores,
        rewards: &step.rewards,
    };
    let loss: Vec<f32> = gating.backward(&example).into_iter().collect();
    checked.compare("loss", &loss, &[step.loss]);
    if let Some(expected) = step.linear_grad_norm {
        let linear = gating.trained.parameters().iter();
        let norm: Vec<f32> = linear
            .filter(|parameter| parameter.name == "linear.weight")
            .filter_map(|parameter| Some(parameter.gradient.as_ref()?.norm().double_value(&[]) as f32))
            .collect();
        checked.compare("linear_grad_norm", &norm, &[expected]);
    }
    checked.do_not_know(&step.others);
    Ok(())
}

fn outputs(path: &Path, n: i64) -> Result<usize, CheckError> {
    usize::try_from(n)
        .ok()
        .filter(|n| (1..=65_536).contains(n))
        .ok_or_else(|| CheckError::Expected {
            path: path.to_owned(),
            problem: "`n`, the number of scores, must be from 1 to 65536".to_owned(),
        })
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    numbers(&tensor.flatten(0, -1))
}
