//! Launch descriptions: all that a node may know when it starts, as one line of JSON on its standard input.
//!
//! The coordinator writes them, the node binaries read them. After the line the pipe stays open: it is the node's
//! lifeline, and its end means that the coordinator is gone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    BehaviourSpec, BlockTime, ChainPreset, GatingModel, Latency, NeuronSettings, Query, RewardModel, Uids,
    ValidatorBehaviour,
};

/// What every node is told, and what its role is told besides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Launch<R> {
    /// `subtensor`, `validator-0`, `miner-3`, `miners-0-63`.
    pub node: String,
    /// How often it was started before in this run.
    pub incarnation: u32,
    /// Process that it shall not outlive.
    pub parent: u32,
    /// Where to listen; with port 0 the kernel gives one.
    pub listen: SocketAddr,
    /// A filter in tracing's syntax, `info`.
    pub log: String,
    /// The experiment's seed.
    pub seed: u64,
    /// What its role is told.
    pub role: R,
}

/// The chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubtensorLaunch {
    /// Folder for its log; a node that finds one there continues from it.
    pub state: PathBuf,
    /// The first state of the chain.
    pub genesis: GenesisLaunch,
    /// When a block closes.
    pub block_time: BlockTime,
    /// Hotkeys of the validators that take part in the barrier, 32 bytes in hexadecimal.
    pub barrier: Vec<String>,
    /// Steps after whose block the barrier stands still until the coordinator lets it go on; rising.
    pub holds: Vec<u64>,
    /// Who records what it does with transactions and what its epochs pay; absent: nobody does.
    pub coordinator: Option<SocketAddr>,
    /// Blocks after which a snapshot takes the place of the log, 1 or more.
    pub snapshot_blocks: u64,
}

/// The first state of the chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisLaunch {
    /// The subnet.
    pub netuid: u16,
    /// Number of the first block.
    pub block: u64,
    /// The rules but for those below.
    pub rules: ChainPreset,
    /// Rules that differ, by the chain's names.
    pub hyperparameters: BTreeMap<String, u64>,
    /// Who may change the rules, if anybody may.
    pub owner: Option<GenesisOwner>,
    /// By uid from 0, without gaps.
    pub neurons: Vec<GenesisNeuron>,
    /// Nominations beside the neurons' own stake.
    pub nominations: Vec<GenesisNomination>,
    /// What coldkeys have free to use.
    pub balances: Vec<GenesisBalance>,
}

/// Whose the subnet is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisOwner {
    /// 32 bytes in hexadecimal.
    pub hotkey: String,
    /// 32 bytes in hexadecimal.
    pub coldkey: String,
}

/// What a coldkey has free to use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisBalance {
    /// 32 bytes in hexadecimal.
    pub coldkey: String,
    /// Rao.
    pub free: u64,
}

/// A neuron that is registered from the start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisNeuron {
    /// 32 bytes in hexadecimal.
    pub hotkey: String,
    /// 32 bytes in hexadecimal.
    pub coldkey: String,
    /// Rao.
    pub stake: u64,
    /// May set weights.
    pub validator_permit: bool,
    /// What it has said of others: uid and weight.
    pub weights: Vec<(u16, u16)>,
    /// What it has in others: uid and bond.
    pub bonds: Vec<(u16, u16)>,
}

/// A stake given by somebody else's coldkey.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisNomination {
    /// 32 bytes in hexadecimal.
    pub hotkey: String,
    /// 32 bytes in hexadecimal.
    pub coldkey: String,
    /// Rao.
    pub stake: u64,
}

/// A miner process: one axon or many.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MinerLaunch {
    /// Its axons. The first listens where the launch says, the others on ports of their own beside it.
    pub axons: Vec<AxonLaunch>,
    /// The compiled data set, mapped read-only.
    pub dataset: PathBuf,
    /// The system prompt, to tell 'ask a question' from 'answer one'.
    pub base_prompt: String,
    /// The question prompt, likewise.
    pub question_prompt: String,
    /// Address of the subtensor.
    pub subtensor: SocketAddr,
    /// The block that has closed when step 0 begins, where blocks close by steps.
    pub first_block: Option<u64>,
    /// Shrinks drawn delays.
    pub time_scale: f64,
}

/// An axon of a miner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AxonLaunch {
    /// Its uid.
    pub uid: u32,
    /// Those that behave alike with it, itself among them.
    pub group: Uids,
    /// What it does with a call, the uppermost first, each laid over the next.
    pub behaviours: Vec<BehaviourSpec>,
}

/// A validator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidatorLaunch {
    /// 0 for `validator-0`.
    pub index: u32,
    /// Its uid.
    pub uid: u32,
    /// Who may be asked: uids 0 … `num_nodes`-1, as far as they serve.
    pub num_nodes: u32,
    /// The number of the subnet.
    pub netuid: u16,
    /// Folder for its memory; a node that finds one there continues from it.
    pub state: PathBuf,
    /// Folder for checkpoints of its gating model, made when there is one.
    pub checkpoints: PathBuf,
    /// A checkpoint that its gating model begins with.
    pub resume: Option<PathBuf>,
    /// Address of the subtensor.
    pub subtensor: SocketAddr,
    /// Address of the coordinator.
    pub coordinator: SocketAddr,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Weight of the old moving average.
    pub alpha: f64,
    /// The neuron's settings.
    pub neuron: NeuronSettings,
    /// What it makes of what it has learned when it sets weights.
    pub behaviour: ValidatorBehaviour,
    /// Scores uids.
    pub gating_model: GatingModel,
    /// Scores completions.
    pub reward_model: RewardModel,
    /// What it is asked to do; `None`: it waits for calls by hand.
    pub query: Option<Query>,
    /// The compiled questions of the query.
    pub questions: Option<PathBuf>,
    /// Whether blocks wait for its steps.
    pub block_time: BlockTime,
    /// Delays of its calls.
    pub links: Vec<LinkLaunch>,
    /// Shrinks drawn delays and deadlines.
    pub time_scale: f64,
    /// Where to write the identity of every acknowledged event, a line each.
    pub acknowledged: Option<PathBuf>,
}

/// The delay of calls to some uids.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkLaunch {
    /// First uid.
    pub first_uid: u32,
    /// Last uid.
    pub last_uid: u32,
    /// The delay.
    pub latency: Latency,
}

/// What a node writes to its standard output, as one line of JSON, once it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Where it serves.
    pub address: SocketAddr,
    /// Where a thread of its own answers health checks and nothing else, however busy the node is.
    pub liveness: SocketAddr,
}
