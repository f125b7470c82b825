//! Components: what can be named in a file, with typed arguments. The name in the file is the variant's name.
//!
//! A new component is a variant here with its arguments, one new file where it is implemented, and one line in that
//! crate's registry.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::notation;

mod behaviour;

pub use behaviour::*;

/// Sets up the miners, as in the seed: how often each fails, and how often each is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args")]
pub enum DendritePool {
    /// Miners that answer from a data set.
    DummyDendritePool(DummyDendritePoolArgs),
}

/// Arguments of `DummyDendritePool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "DummyDendritePoolKeys", into = "DummyDendritePoolKeys")]
pub struct DummyDendritePoolArgs {
    /// The data set that miners answer from: a name, a path or `builtin`.
    pub data_path: String,
    /// Chance that a call is answered with nothing, by uid.
    pub fail_rate: RateByUid,
    /// Chance that a question is answered right, by uid.
    pub fitness: RateByUid,
}

/// The same arguments under the seed's keys, where a baseline stands beside its map.
#[derive(Serialize, Deserialize)]
struct DummyDendritePoolKeys {
    data_path: String,
    fail_rate: BTreeMap<u32, f64>,
    baseline_fail_rate: f64,
    fitness: BTreeMap<u32, f64>,
    baseline_fitness: f64,
}

impl From<DummyDendritePoolKeys> for DummyDendritePoolArgs {
    fn from(keys: DummyDendritePoolKeys) -> Self {
        Self {
            data_path: keys.data_path,
            fail_rate: RateByUid {
                baseline: keys.baseline_fail_rate,
                by_uid: keys.fail_rate,
            },
            fitness: RateByUid {
                baseline: keys.baseline_fitness,
                by_uid: keys.fitness,
            },
        }
    }
}

impl From<DummyDendritePoolArgs> for DummyDendritePoolKeys {
    fn from(args: DummyDendritePoolArgs) -> Self {
        Self {
            data_path: args.data_path,
            fail_rate: args.fail_rate.by_uid,
            baseline_fail_rate: args.fail_rate.baseline,
            fitness: args.fitness.by_uid,
            baseline_fitness: args.fitness.baseline,
        }
    }
}

/// A chance by uid, 0..=1.
#[derive(Debug, Clone, PartialEq)]
pub struct RateByUid {
    /// For uids that are not named.
    pub baseline: f64,
    /// uid → chance.
    pub by_uid: BTreeMap<u32, f64>,
}

impl RateByUid {
    /// The chance of this uid.
    pub fn of(&self, uid: u32) -> f64 {
        self.by_uid.get(&uid).copied().unwrap_or(self.baseline)
    }
}

/// Scores uids for a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args")]
pub enum GatingModel {
    /// The same score for every uid, or a value by uid.
    ConstantGatingModel(ConstantGatingArgs),
    /// Random scores, drawn anew for each question or once for ever.
    RandomGatingModel(RandomArgs),
    /// Ones for the n longest of the messages it was shown, zeros for the rest.
    LongestMessageGatingModel(NoArgs),
    /// An LSTM over the question's tokens.
    SequentialGatingModel(SequentialGatingArgs),
    /// A transformer's last hidden state.
    HuggingFaceGatingModel(HuggingFaceGatingArgs),
    /// Another gating model with uids masked out.
    MaskedGatingModel(MaskedGatingArgs),
}

/// Scores completions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args")]
pub enum RewardModel {
    /// The same reward for every completion.
    ConstantRewardModel(ConstantRewardArgs),
    /// Random rewards.
    RandomRewardModel(RandomRewardArgs),
    /// A count over the completion's text.
    DummyRewardModel(DummyRewardArgs),
    /// The small network inside the program.
    BuiltinRewardModel(NoArgs),
    /// The v4 GPT reward model.
    CustomRewardModel(CustomRewardArgs),
    /// A transformer with a value head.
    HuggingFaceRewardModel(HuggingFaceRewardArgs),
}

/// The chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args")]
pub enum SubtensorSpec {
    /// A chain of our own, as a node.
    DummySubtensor(DummySubtensorArgs),
    /// A chain that runs already.
    Subtensor(SubtensorArgs),
}

/// The subnet's size and name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args")]
pub enum MetagraphSpec {
    /// So many miners, registered from the start.
    DummyMetagraph(MetagraphArgs),
    /// The same, with a history.
    Metagraph(MetagraphArgs),
}

impl MetagraphSpec {
    /// What it was told.
    pub fn args(&self) -> &MetagraphArgs {
        let (Self::DummyMetagraph(args) | Self::Metagraph(args)) = self;
        args
    }
}

/// What a validator makes of what it has learned when it sets weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args", rename_all = "snake_case")]
pub enum ValidatorBehaviour {
    /// Weighs each uid by what it earned.
    Honest(NoArgs),
    /// Weighs its own members alone.
    Cabal(CabalArgs),
    /// Asks nobody, and weighs each uid as the others' consensus has it.
    Copier(NoArgs),
    /// Asks nobody, and weighs all alike.
    Lazy(NoArgs),
    /// Weighs each uid by what it earned up to a step, and asks nobody any more.
    Stale(StaleArgs),
    /// Weighs each miner by chance, drawn anew each time.
    Random(NoArgs),
    /// Weighs by what each earned, but for a part that was bought.
    Bribed(BribedArgs),
}

impl ValidatorBehaviour {
    /// Its name in a file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Honest(_) => "honest",
            Self::Cabal(_) => "cabal",
            Self::Copier(_) => "copier",
            Self::Lazy(_) => "lazy",
            Self::Stale(_) => "stale",
            Self::Random(_) => "random",
            Self::Bribed(_) => "bribed",
        }
    }

    /// The miners whose accomplice it is, if there are any, and what such miners are called.
    pub fn members(&self) -> Option<(&RangeInclusive<u32>, &'static str)> {
        match self {
            Self::Cabal(CabalArgs { members }) => Some((members, "cabal")),
            Self::Bribed(BribedArgs { members, .. }) => Some((members, "briber")),
            _ => None,
        }
    }
}

/// Arguments of the behaviour `cabal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CabalArgs {
    /// The miners that get all weight; both ends named.
    #[serde(with = "notation::uid_text")]
    pub members: RangeInclusive<u32>,
}

/// Arguments of the behaviour `stale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleArgs {
    /// The first step in which nobody is asked any more.
    pub after: u64,
}

/// Arguments of the behaviour `bribed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BribedArgs {
    /// The miners that pay it; both ends named.
    #[serde(with = "notation::uid_text")]
    pub members: RangeInclusive<u32>,
    /// The part of all its weight that they bought, 0 to 1, in equal parts.
    pub part: f32,
}

/// No arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NoArgs {}

/// A vector of numbers, one a position (a uid, a completion).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args")]
pub enum Value {
    /// The same number everywhere.
    ConstantValue(ConstantArgs),
    /// Drawn anew each time it is asked for.
    RandomValue(DistributionArgs),
    /// Drawn once for ever.
    FrozenRandomValue(DistributionArgs),
    /// Even steps from `lo` to `hi`.
    StepValue(StepArgs),
}

/// Arguments of `ConstantValue`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConstantArgs {
    /// The number.
    pub value: f64,
}

/// Arguments of `StepValue`: positions `start .. start+n` of `linspace(lo, hi, length)`; past its end, `hi`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepArgs {
    /// First number.
    pub lo: f64,
    /// Last number.
    pub hi: f64,
    /// How many, at least 1.
    pub length: u32,
    /// First position taken.
    pub start: u32,
}

/// A distribution: sample·p0 + p1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DistributionArgs {
    /// Seed of its own stream, beside the experiment's.
    pub seed: u64,
    /// Where samples come from.
    pub distribution: Distribution,
    /// Factor.
    pub p0: f64,
    /// Offset.
    pub p1: f64,
}

/// Where samples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// 0..1, even.
    Uniform,
    /// Mean 0, standard deviation 1.
    Normal,
}

/// Arguments of `ConstantGatingModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConstantGatingArgs {
    /// A number, or a value component.
    pub value: Value,
}

/// Arguments of `RandomGatingModel`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RandomArgs {
    /// The first draw for ever.
    pub frozen: bool,
    /// The draw.
    #[serde(flatten)]
    pub distribution: DistributionArgs,
}

/// Arguments of `SequentialGatingModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SequentialGatingArgs {
    /// A tokenizer's folder or name.
    pub tokenizer_name: String,
    /// Width of each LSTM layer; one number in a file is one layer.
    pub hidden_size: Vec<u32>,
    /// Width of the embedding.
    pub embedding_dim: u32,
    /// Outputs; `None`: the network's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_uids: Option<u32>,
}

/// Arguments of `HuggingFaceGatingModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HuggingFaceGatingArgs {
    /// A model's folder or name.
    pub model_name: String,
    /// Outputs.
    pub num_uids: u32,
    /// Draw the transformer's parameters instead of reading them.
    pub random_init: bool,
}

/// Arguments of `MaskedGatingModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaskedGatingArgs {
    /// The uids masked out.
    pub mask: Mask,
    /// Who scores the others.
    pub gating_model: Box<GatingModel>,
}

/// Uids that are masked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MaskText", into = "MaskText")]
pub enum Mask {
    /// The first so many.
    First(u32),
    /// Both ends named.
    Range(RangeInclusive<u32>),
    /// One by one.
    Uids(Vec<u32>),
}

impl Mask {
    /// The uids, as ranges.
    pub fn ranges(&self) -> Vec<RangeInclusive<u32>> {
        match self {
            Self::First(count) => count.checked_sub(1).map(|last| 0..=last).into_iter().collect(),
            Self::Range(range) => vec![range.clone()],
            Self::Uids(uids) => uids.iter().map(|uid| *uid..=*uid).collect(),
        }
    }
}

/// A mask as a file has it: a number, a range as text, or a list.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum MaskText {
    First(u32),
    Range(String),
    Uids(Vec<u32>),
}

impl From<Mask> for MaskText {
    fn from(mask: Mask) -> Self {
        match mask {
            Mask::First(count) => Self::First(count),
            Mask::Range(range) => Self::Range(notation::write_uids(&range)),
            Mask::Uids(uids) => Self::Uids(uids),
        }
    }
}

impl TryFrom<MaskText> for Mask {
    type Error = String;

    fn try_from(text: MaskText) -> Result<Self, String> {
        Ok(match text {
            MaskText::First(count) => Self::First(count),
            MaskText::Range(text) => Self::Range(notation::uids(&text)?),
            MaskText::Uids(uids) => Self::Uids(uids),
        })
    }
}

/// Arguments of `ConstantRewardModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConstantRewardArgs {
    /// Reward of a completion: a number, or a value component.
    pub forward_value: Value,
    /// Loss of a backward; accepted, never used by the neuron.
    pub backward_value: Value,
}

/// Arguments of `RandomRewardModel`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RandomRewardArgs {
    /// The draw of a reward.
    #[serde(flatten)]
    pub distribution: DistributionArgs,
    /// Factor of a backward's draw; accepted, never used by the neuron.
    pub backward_p0: f64,
    /// Offset of a backward's draw; accepted, never used by the neuron.
    pub backward_p1: f64,
}

/// Arguments of `DummyRewardModel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DummyRewardArgs {
    /// What is counted.
    pub reward_type: DummyReward,
}

/// What `DummyRewardModel` counts in a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DummyReward {
    /// Characters of the completion.
    QuestionLength,
    /// Characters of its longest word.
    LongestWord,
    /// Its words.
    NumWords,
}

/// Arguments of `CustomRewardModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomRewardArgs {
    /// A model's folder or name.
    pub model_path: String,
    /// A file of parameters; `None`: those in the model's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// A tokenizer's folder or name; `None`: the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer_path: Option<String>,
    /// Half precision.
    pub half: bool,
    /// Where it lives; `None`: where the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Draw the parameters instead of reading them.
    pub random_init: bool,
}

/// Arguments of `HuggingFaceRewardModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HuggingFaceRewardArgs {
    /// A model's folder or name.
    pub model_path: String,
    /// A tokenizer's folder or name.
    pub tokenizer_path: String,
    /// Where it lives; `None`: where the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Draw the parameters instead of reading them.
    pub random_init: bool,
}

/// Arguments of `DummySubtensor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DummySubtensorArgs {
    /// The chain's name.
    pub network: String,
    /// The block it starts at.
    pub block: u64,
    /// Blocks between two epochs, and between two settings of weights by a validator.
    pub epoch_length: u64,
    /// Nominators of the first validator: coldkey in ss58 → TAO.
    pub delegated: BTreeMap<String, f64>,
}

/// Arguments of `Subtensor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtensorArgs {
    /// Where its node listens.
    pub chain_endpoint: SocketAddr,
    /// The chain's name.
    pub network: String,
}

/// Arguments of `DummyMetagraph` and of `Metagraph`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetagraphArgs {
    /// The subnet.
    pub netuid: u16,
    /// The chain's name.
    pub network: String,
    /// Miners, uids 0 … num_nodes-1.
    pub num_nodes: u32,
}
