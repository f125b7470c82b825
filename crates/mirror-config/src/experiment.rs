//! The experiment: what a file says once it was read and found sound, every default filled in.
//!
//! Sections and keys are the seed project's, with what is new beside them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::component::{BehaviourSpec, DendritePool, GatingModel, MetagraphSpec, RewardModel, SubtensorSpec};

/// A whole experiment. Any subset of the four sections is an experiment of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// One number from which every draw of the run comes.
    pub seed: u64,
    /// Where tensors live: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Validator, chain and miners.
    pub model: Option<Model>,
    /// The questions.
    pub data: Option<Data>,
    /// What the validators are asked to do.
    pub query: Option<Query>,
    /// What is computed from the events.
    pub analysis: Option<Analysis>,
    /// How many of what, and how they are placed.
    pub network: Network,
    /// What is broken on purpose, and when.
    pub faults: Vec<Fault>,
}

/// The `model` section: who plays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name of the model.
    pub id: String,
    /// Weight of the *old* moving average in the validator's weights, 0..=1.
    pub alpha: f64,
    /// The miners as the seed set them up: how often each fails, how often each is right.
    pub dendrite_pool: DendritePool,
    /// Scores uids for a question.
    pub gating_model: GatingModel,
    /// Scores completions.
    pub reward_model: RewardModel,
    /// The chain.
    pub subtensor: SubtensorSpec,
    /// The subnet's size and name.
    pub metagraph: MetagraphSpec,
    /// The validator's own settings.
    pub neuron: NeuronSettings,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            seed: 0,
            device: "cpu".into(),
            model: None,
            data: None,
            query: None,
            analysis: None,
            network: Network::default(),
            faults: Vec::new(),
        }
    }
}

/// The validator's own settings, v4's by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NeuronSettings {
    /// The system prompt of every question.
    pub base_prompt: String,
    /// What the network is asked when it shall think of a question.
    pub question_prompt: String,
    /// Axons asked by `inference`.
    pub inference_topk: u32,
    /// Axons asked by a training forward.
    pub training_topk: u32,
    /// Seconds.
    pub training_timeout: f64,
    /// Seconds.
    pub inference_timeout: f64,
    /// Events kept for the weights; the oldest leaves first.
    pub max_history: u32,
    /// Blocks between two settings of weights; -1: as the chain says.
    pub epoch_length_override: i64,
    /// The scores of the answering uids are the rewards; no reward model is asked.
    pub no_reward_model: bool,
    /// Threads of libtorch in a validator.
    pub torch_threads: u32,
    /// Version key of the weights.
    pub version_key: u64,
}

impl Default for NeuronSettings {
    fn default() -> Self {
        Self {
            base_prompt: "You are an assistant who is glad to help. Answer with care and in detail, keep to what is \
                          true, and say so when you do not know."
                .into(),
            question_prompt: "Think of a question, on any subject at all, that somebody could be asked. Reply with the \
                              question alone."
                .into(),
            inference_topk: 10,
            training_topk: 10,
            training_timeout: 4.0,
            inference_timeout: 10.0,
            max_history: 100_000,
            epoch_length_override: -1,
            no_reward_model: false,
            torch_threads: 1,
            version_key: 400,
        }
    }
}

/// The `data` section: where questions and answers come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Name of the data.
    pub id: String,
    /// A file, a folder, a data set's name, or `builtin`.
    pub path: String,
    /// Column of the question.
    pub question: String,
    /// Column of the answers.
    pub answer: String,
    /// Which rows.
    pub sample: Sample,
}

/// Which rows of a data set take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Sample {
    /// Every row.
    All,
    /// The first n.
    First {
        /// Rows.
        n: u32,
    },
    /// n at random, without replacement.
    Random {
        /// Rows.
        n: u32,
        /// Seed of the draw.
        seed: u64,
    },
}

/// The `query` section: what the validators do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// Name of the query; an analysis names it in `requires`.
    pub id: String,
    /// Questions asked at once by `forward` and `inference`.
    pub chunk_size: u32,
    /// Kept for the seed's files; events are saved as they come.
    pub save_interval: u32,
    /// Columns left out of the view of the events. Nothing is dropped from the tables.
    pub ignore_attr: Vec<String>,
    /// What is done.
    pub method: Method,
}

/// What the validators do, with its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args", rename_all = "lowercase")]
pub enum Method {
    /// Ask the network for a question, then ask it the best one; so many times.
    Train(TrainArgs),
    /// One forward a question of the data.
    Forward(ForwardArgs),
    /// One inference a question of the data.
    Inference(InferenceArgs),
}

/// Arguments of `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainArgs {
    /// Steps.
    pub max_iter: u64,
    /// Ask a random sample of the serving uids (as v4 does) or those with the highest scores.
    pub random_sample_uids: bool,
    /// Train the gating model on the rewards.
    pub train_gating_model: bool,
    /// Send the rewards back to the axons.
    pub train_network: bool,
}

impl Default for TrainArgs {
    fn default() -> Self {
        Self { max_iter: 1, random_sample_uids: true, train_gating_model: true, train_network: false }
    }
}

/// Arguments of `forward`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForwardArgs {
    /// Axons asked; `None`: the neuron's `training_topk`; -1: every serving one.
    pub topk: Option<i64>,
    /// Ask a random sample of the serving uids or those with the highest scores.
    pub random_sample_uids: bool,
    /// Train the gating model on the rewards.
    pub train_gating_model: bool,
    /// Send the rewards back to the axons.
    pub train_network: bool,
    /// Seconds; `None`: the neuron's `training_timeout`.
    pub timeout: Option<f64>,
}

impl Default for ForwardArgs {
    fn default() -> Self {
        Self { topk: None, random_sample_uids: true, train_gating_model: true, train_network: false, timeout: None }
    }
}

/// Arguments of `inference`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InferenceArgs {
    /// Seconds; `None`: the neuron's `inference_timeout`.
    pub timeout: Option<f64>,
    /// Choose the completion by the reward model instead of by the score of who gave it.
    pub use_reward_model: bool,
}

/// The `analysis` section, by the seed's names. Features and plots are computed from the tables of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Analysis {
    /// Name of the analysis.
    pub id: String,
    /// Query ids of this file, ids of runs, or paths of result files.
    pub requires: Vec<String>,
    /// Column of text → names of the features made from it.
    pub create_features: BTreeMap<String, Vec<String>>,
    /// y → its x columns: a scatter each.
    pub plot: BTreeMap<String, Vec<String>>,
    /// Three columns drawn in space.
    pub embedding_plot: Option<EmbeddingPlot>,
    /// Name → regressor.
    pub estimators: BTreeMap<String, Estimator>,
    /// Target → feature and estimator.
    pub predict: BTreeMap<String, Prediction>,
}

/// Three columns drawn in space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingPlot {
    /// `MinMax`, or none.
    pub scaler: Option<String>,
    /// x, y, z.
    pub columns: Vec<String>,
}

/// A regressor and its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimator {
    /// `GradientBoostingRegressor`.
    pub name: String,
    /// scikit-learn's arguments.
    #[serde(default)]
    pub args: BTreeMap<String, serde_yaml::Value>,
}

/// What is predicted from what, by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The feature.
    pub x: String,
    /// Name of an estimator.
    pub estimator: String,
}

/// The `network` section: how many of what, and how they are placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Validators, 1..=256. Their uids follow the miners'.
    pub validators: u32,
    /// TAO staked by each validator; shorter than `validators`: the last one repeats; empty: 1,000 each.
    pub stakes: Vec<f64>,
    /// When a block closes.
    pub block_time: BlockTime,
    /// Axons in one miner process, 1..=4096.
    pub axons_per_process: u32,
    /// Miners that differ from the dendrite pool's; a later entry overrides an earlier one.
    pub miners: Vec<MinerGroup>,
    /// What happens to a node that dies by itself.
    pub restart: RestartPolicies,
    /// Seconds that a node has from its start until it answers health checking.
    pub ready_timeout: f64,
    /// Shrinks every drawn delay and every deadline alike, 0.001..=1.
    pub time_scale: f64,
    /// Write every acknowledged event's identity to `logs/<validator>.acknowledged`, a line each.
    pub record_acknowledged: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            validators: 1,
            stakes: Vec::new(),
            block_time: BlockTime::PerStep,
            axons_per_process: 1,
            miners: Vec::new(),
            restart: RestartPolicies::default(),
            ready_timeout: 60.0,
            time_scale: 1.0,
            record_acknowledged: false,
        }
    }
}

/// When a block closes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockTime {
    /// When every live validator has reported its step: repeatable.
    PerStep,
    /// Every so many seconds, by the clock: does not repeat.
    Seconds(f64),
}

/// A group of miners: who, and how they behave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MinerGroup {
    /// Both ends named.
    pub uids: RangeInclusive<u32>,
    /// What it does with a call; `None`: as the dendrite pool says.
    pub behaviour: Option<BehaviourSpec>,
    /// Delay of each call to it.
    pub latency: Option<Latency>,
}

/// A lognormal delay by two of its quantiles, seconds. `p50 <= p99`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the calls are faster.
    pub p50: f64,
    /// 99 of 100 calls are faster.
    pub p99: f64,
}

/// What happens to a node that dies by itself, by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicies {
    /// The chain.
    pub subtensor: RestartPolicy,
    /// Validators.
    pub validators: RestartPolicy,
    /// Miners.
    pub miners: RestartPolicy,
}

impl Default for RestartPolicies {
    fn default() -> Self {
        Self {
            subtensor: RestartPolicy::Restart,
            validators: RestartPolicy::Restart,
            miners: RestartPolicy::Leave,
        }
    }
}

/// What happens to a node that dies by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestartPolicy {
    /// It is started again, from its state where it has one; at most five times a run.
    Restart,
    /// It stays dead.
    Leave,
}

/// Something broken on purpose. In this version: a miner killed at a step and, perhaps, started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// After the block of this step has closed, while the barrier stands still.
    pub at_step: u64,
    /// The miners' uids.
    pub kill: RangeInclusive<u32>,
    /// Steps until it is started again; `None`: never.
    pub restart_after_steps: Option<u64>,
}

/// A result file that an analysis reads.
pub type ResultFile = PathBuf;
