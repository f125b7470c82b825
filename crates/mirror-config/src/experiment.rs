//! The experiment: what a file says once it was read and found sound, every default filled in.
//!
//! Sections and keys are the seed project's, with what is new beside them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::check;
use crate::component::{
    BehaviourSpec, DendritePool, GatingModel, MetagraphSpec, RewardModel, SubtensorSpec, ValidatorBehaviour,
};
use crate::latency::Latency;
use crate::notation;
use crate::schema::{components, sections};
use crate::yaml;

/// A whole experiment. Any subset of the four sections is an experiment of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// One number from which every draw of the run comes.
    pub seed: u64,
    /// Runs of the same file, 1..=1000, with the seeds `seed`, `seed` + 1, ….
    pub replicates: u32,
    /// Where tensors live: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Validator, chain and miners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// The questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// What the validators are asked to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// What is computed from the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// How many of what, and how they are placed.
    pub network: Network,
    /// What is broken on purpose, and when.
    pub faults: Vec<Fault>,
    /// What must be so after the run.
    pub expect: Vec<Expectation>,
}

impl Experiment {
    /// As a file with every default written out, which reads as the same experiment again.
    pub fn to_yaml(&self) -> String {
        yaml::write(self).expect("an experiment holds texts, numbers, lists and maps from texts or uids only")
    }
}

impl Experiment {
    /// The experiments of its group, each with its own seed and by itself; alone where there are no replicates.
    pub fn replicas(&self) -> impl Iterator<Item = Self> {
        (0..self.replicates).map(|replicate| Self {
            seed: self.seed.wrapping_add(u64::from(replicate)),
            replicates: 1,
            ..self.clone()
        })
    }
}

/// Something that must be so after the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// What must be so, in words.
    pub name: String,
    /// A question over the run's tables whose answer is one row that begins with true or false.
    pub sql: String,
    /// What it is asked of.
    pub over: Over,
}

/// What an expectation is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// Each run by itself.
    Run,
    /// All replicates together.
    Group,
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
        check::default_of(sections::EXPERIMENT)
    }
}

/// The validator's own settings, v4's by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// How far each training step of the gating model goes.
    pub learning_rate: f64,
    /// Share of the gating model's last training step that is taken again.
    pub momentum: f64,
    /// Keep the gating model's gradients and add to them, as v4 does.
    pub accumulate_gradients: bool,
    /// Steps from one look at the gating model's parameters to the next; 0: never.
    pub watch_every: u64,
    /// Steps from one checkpoint of the gating model to the next; 0: only at the end.
    pub checkpoint_every: u64,
    /// Version key of the weights.
    pub version_key: u64,
}

impl Default for NeuronSettings {
    fn default() -> Self {
        check::default_of(sections::NEURON)
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
        check::default_of(components::METHOD.args("train"))
    }
}

/// Arguments of `forward`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForwardArgs {
    /// Axons asked; `None`: the neuron's `training_topk`; -1: every serving one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topk: Option<i64>,
    /// Ask a random sample of the serving uids or those with the highest scores.
    pub random_sample_uids: bool,
    /// Train the gating model on the rewards.
    pub train_gating_model: bool,
    /// Send the rewards back to the axons.
    pub train_network: bool,
    /// Seconds; `None`: the neuron's `training_timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
}

impl Default for ForwardArgs {
    fn default() -> Self {
        check::default_of(components::METHOD.args("forward"))
    }
}

/// Arguments of `inference`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InferenceArgs {
    /// Seconds; `None`: the neuron's `inference_timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Choose the completion by the reward model instead of by the score of who gave it.
    pub use_reward_model: bool,
}

impl Default for InferenceArgs {
    fn default() -> Self {
        check::default_of(components::METHOD.args("inference"))
    }
}

/// The `analysis` section, by the seed's names. Features and plots are computed from the tables of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Name of the analysis.
    pub id: String,
    /// Ids of queries, ids of runs, or paths of runs.
    pub requires: Vec<String>,
    /// Column of text → names of the features made from it.
    pub create_features: BTreeMap<String, Vec<String>>,
    /// y → its x columns: a scatter each.
    pub plot: BTreeMap<String, Vec<String>>,
    /// Three columns drawn in space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_plot: Option<EmbeddingPlot>,
    /// Name → regressor.
    pub estimators: BTreeMap<String, Estimator>,
    /// Target → feature and estimator.
    pub predict: BTreeMap<String, Prediction>,
}

impl Default for Analysis {
    fn default() -> Self {
        check::default_of(sections::ANALYSIS)
    }
}

/// Three columns drawn in space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingPlot {
    /// `MinMax`, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
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
pub struct Network {
    /// Validators, 1..=256. Their uids follow the miners'.
    pub validators: u32,
    /// TAO staked by each validator; shorter than `validators`: the last one repeats; empty: 1,000 each.
    pub stakes: Vec<f64>,
    /// When a block closes.
    pub block_time: BlockTime,
    /// A file that the subnet starts from; its miners and validators are played under their uids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metagraph: Option<String>,
    /// The chain's rules.
    pub chain: ChainPreset,
    /// Rules that are other numbers than the preset's, by the chain's names.
    pub hyperparameters: BTreeMap<String, u64>,
    /// Axons in one miner process, 1..=4096.
    pub axons_per_process: u32,
    /// Miners that differ from the dendrite pool's; a later entry overrides an earlier one.
    pub miners: Vec<MinerGroup>,
    /// Validators that are not honest; a later entry overrides an earlier one.
    pub validator_groups: Vec<ValidatorGroup>,
    /// What happens to a node that dies by itself or hangs.
    pub restart: RestartPolicies,
    /// Seconds that a node has from its start until it answers health checking.
    pub ready_timeout: f64,
    /// Seconds without an answer to health checks after which a node counts as hung, 0.1..=3600.
    pub hang_timeout: f64,
    /// Shrinks every drawn delay and every deadline alike, 0.001..=1.
    pub time_scale: f64,
    /// Write every acknowledged event's identity to `logs/<validator>.acknowledged`, a line each.
    pub record_acknowledged: bool,
}

impl Default for Network {
    fn default() -> Self {
        check::default_of(sections::NETWORK)
    }
}

/// Sets of the chain's rules by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChainPreset {
    /// For a small network of a laboratory: nothing is limited.
    Small,
    /// As the real chain had them in 2023.
    Classic,
    /// As the real chain has them in 2026.
    Today,
}

/// When a block closes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BlockTimeText", into = "BlockTimeText")]
pub enum BlockTime {
    /// When every live validator has reported its step: repeatable.
    PerStep,
    /// Every so many seconds, by the clock: does not repeat.
    Seconds(f64),
}

/// A block time as a file has it: `per_step` or seconds.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BlockTimeText {
    Seconds(f64),
    Word(String),
}

impl From<BlockTime> for BlockTimeText {
    fn from(time: BlockTime) -> Self {
        match time {
            BlockTime::PerStep => Self::Word("per_step".into()),
            BlockTime::Seconds(seconds) => Self::Seconds(seconds),
        }
    }
}

impl TryFrom<BlockTimeText> for BlockTime {
    type Error = String;

    fn try_from(text: BlockTimeText) -> Result<Self, String> {
        match text {
            BlockTimeText::Seconds(seconds) => Ok(Self::Seconds(seconds)),
            BlockTimeText::Word(word) if word == "per_step" => Ok(Self::PerStep),
            BlockTimeText::Word(word) => Err(format!("`{word}` is no block time: `per_step` or seconds")),
        }
    }
}

/// A group of miners: who, and how they behave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MinerGroup {
    /// Both ends named.
    #[serde(with = "notation::uid_text")]
    pub uids: RangeInclusive<u32>,
    /// What it does with a call; `None`: as the dendrite pool says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<BehaviourSpec>,
    /// What the behaviour is laid over, the uppermost first; below the last is an honest miner.
    pub over: Vec<BehaviourSpec>,
    /// Delay of each call to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// A group of validators: who, and what they set weights by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidatorGroup {
    /// Counted from 0; both ends named.
    #[serde(with = "notation::uid_text")]
    pub validators: RangeInclusive<u32>,
    /// What they set weights by.
    pub behaviour: ValidatorBehaviour,
}

/// What happens to a node that dies by itself or hangs, by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
        check::default_of(sections::RESTART)
    }
}

/// What happens to a node that dies by itself, hangs, or is not ready in time; in the last two cases it is killed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestartPolicy {
    /// It is started again, from its state where it has one; after five restarts of it the run fails.
    Restart,
    /// It stays dead. Without the chain or without any validator the run fails.
    Leave,
    /// The run fails.
    Fail,
}

/// Something broken on purpose. In this version: a miner killed at a step and, perhaps, started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FaultText", into = "FaultText")]
pub struct Fault {
    /// After the block of this step has closed, while the barrier stands still.
    pub at_step: u64,
    /// The miners' uids.
    pub kill: RangeInclusive<u32>,
    /// Steps until it is started again; `None`: never.
    pub restart_after_steps: Option<u64>,
}

/// A fault as a file has it: `{at: step 80, kill: uid 5, restart_after: 5 steps}`.
#[derive(Serialize, Deserialize)]
struct FaultText {
    at: String,
    kill: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_after: Option<String>,
}

impl From<Fault> for FaultText {
    fn from(fault: Fault) -> Self {
        Self {
            at: format!("step {}", fault.at_step),
            kill: format!("uid {}", notation::write_uids(&fault.kill)),
            restart_after: fault.restart_after_steps.map(|steps| format!("{steps} steps")),
        }
    }
}

impl TryFrom<FaultText> for Fault {
    type Error = String;

    fn try_from(text: FaultText) -> Result<Self, String> {
        Ok(Self {
            at_step: notation::step(&text.at)?,
            kill: notation::victims(&text.kill)?,
            restart_after_steps: text.restart_after.as_deref().map(notation::steps).transpose()?,
        })
    }
}
