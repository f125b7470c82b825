//! Launch configs. A launch config is one line of JSON on the standard input of a node and contains all that the node
//! may know when it starts.
//!
//! The coordinator writes launch configs, and the node binaries read them. The pipe stays open after the line and
//! serves as the lifeline of the node: its end means that the coordinator has exited.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    AxonSettings, BehaviourSpec, BlockTime, ChainPreset, GatingModel, Latency, LinkEffects, LogFormat,
    NeuronSettings, Query, RewardModel, Uids, ValidatorBehaviour,
};

/// The settings of a node: those that every node has, and those of its role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Launch<R> {
    /// Name of the node: `subtensor`, `validator-0`, `miner-3`, `miners-0-63`.
    pub node: String,
    /// Number of earlier starts of the node in this run.
    pub incarnation: u32,
    /// Id of the parent process. The node exits when the parent does.
    pub parent: u32,
    /// Listen address. Port 0 lets the kernel choose a port.
    pub listen: SocketAddr,
    /// Address from which the node connects to destinations on loopback.
    pub source: IpAddr,
    /// The log of the node.
    pub log: LogLaunch,
    /// Random seed of the experiment.
    pub seed: u64,
    /// The certificate of the node, with which it calls the services of its network and serves its own.
    pub credentials: Credentials,
    /// Offset of the node's clock in seconds.
    #[serde(default)]
    pub clock_skew: f64,
    /// The recording of spans and metrics. `None` to record none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetryLaunch>,
    /// Folder to which the node writes its CPU profile. `None` to record none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles: Option<PathBuf>,
    /// Settings of the role.
    pub role: R,
}

/// The recording of spans and metrics by a node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TelemetryLaunch {
    /// Address of the coordinator, to which the node sends spans and metrics over OTLP.
    pub coordinator: SocketAddr,
    /// Share of the traces that are recorded, 0 to 1.
    pub trace_share: f64,
    /// Seconds between two messages with spans, while a process records few of them.
    pub spans_interval: f64,
    /// Seconds between two measurements of the metrics.
    pub metrics_interval: f64,
}

impl TelemetryLaunch {
    /// Returns the seconds between two messages with spans of each of `nodes` nodes. The interval grows with the number
    /// of nodes, so that the coordinator takes at most about fifty such messages a second.
    pub fn spans_interval_of(nodes: usize) -> f64 {
        (nodes as f64 / 50.0).max(1.0)
    }
}

/// The log of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLaunch {
    /// A filter in the syntax of tracing, such as `info`.
    pub filter: String,
    /// Format of the lines.
    pub format: LogFormat,
}

impl LogLaunch {
    /// Creates a log in the pretty format with this filter.
    pub fn pretty(filter: &str) -> Self {
        Self {
            filter: filter.to_owned(),
            format: LogFormat::Pretty,
        }
    }
}

/// The certificate of a program in the PEM format, with its key and the authority that signed it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Certificate of the authority.
    pub authority: String,
    /// Certificate of the program.
    pub certificate: String,
    /// Private key of the program.
    pub key: String,
}

/// The key is secret, so nothing is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Launch config of the chain's node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubtensorLaunch {
    /// Directory of the chain's log. A node that finds a log there resumes from it.
    pub state: PathBuf,
    /// Genesis of the chain.
    pub genesis: GenesisLaunch,
    /// The rule by which blocks close.
    pub block_time: BlockTime,
    /// The validators that take part in the barrier.
    pub barrier: Vec<BarrierMember>,
    /// Address of the coordinator, which records transactions and the payments of epochs. `None` if nothing records
    /// them.
    pub coordinator: Option<SocketAddr>,
    /// Number of blocks after which a snapshot replaces the log, 1 or more.
    pub snapshot_blocks: u64,
}

/// A validator that takes part in the barrier.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BarrierMember {
    /// Public key of the hotkey, 32 bytes in hexadecimal.
    pub hotkey: String,
    /// The name in the certificate of the program that reports the steps of the validator.
    pub node: String,
}

/// The genesis of the chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisLaunch {
    /// Number of the subnet.
    pub netuid: u16,
    /// Number of the first block.
    pub block: u64,
    /// The preset of the chain's rules.
    pub rules: ChainPreset,
    /// Hyperparameters that differ from the preset, by the chain's names.
    pub hyperparameters: BTreeMap<String, u64>,
    /// The owner of the subnet, who may change its hyperparameters. `None` if no key may.
    pub owner: Option<GenesisOwner>,
    /// The neurons by uid from 0, without gaps.
    pub neurons: Vec<GenesisNeuron>,
    /// Nominations in addition to the stake of the neurons.
    pub nominations: Vec<GenesisNomination>,
    /// Free balances of coldkeys.
    pub balances: Vec<GenesisBalance>,
}

/// The owner of the subnet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisOwner {
    /// Public key of the hotkey, 32 bytes in hexadecimal.
    pub hotkey: String,
    /// Public key of the coldkey, 32 bytes in hexadecimal.
    pub coldkey: String,
}

/// The free balance of a coldkey.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisBalance {
    /// Public key of the coldkey, 32 bytes in hexadecimal.
    pub coldkey: String,
    /// Free balance in rao.
    pub free: u64,
}

/// A neuron that is registered at genesis.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisNeuron {
    /// Public key of the hotkey, 32 bytes in hexadecimal.
    pub hotkey: String,
    /// Public key of the coldkey, 32 bytes in hexadecimal.
    pub coldkey: String,
    /// Stake in rao.
    pub stake: u64,
    /// Whether the neuron has a validator permit.
    pub validator_permit: bool,
    /// Weights that the neuron has set, as pairs of a uid and a weight.
    pub weights: Vec<(u16, u16)>,
    /// Bonds that the neuron holds, as pairs of a uid and a bond.
    pub bonds: Vec<(u16, u16)>,
    /// Address of the axon that serves from the start. `None` if the neuron announces it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axon: Option<SocketAddr>,
}

/// Stake from the coldkey of a nominator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenesisNomination {
    /// Public key of the hotkey that holds the stake, 32 bytes in hexadecimal.
    pub hotkey: String,
    /// Public key of the nominator's coldkey, 32 bytes in hexadecimal.
    pub coldkey: String,
    /// Stake in rao.
    pub stake: u64,
}

/// Launch config of a miner process with one or more axons.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MinerLaunch {
    /// The axons. The first listens on [`Launch::listen`], the others on further ports of the same IP address.
    pub axons: Vec<AxonLaunch>,
    /// The calls that each axon answers.
    pub settings: AxonSettings,
    /// Path of the compiled data set, which is mapped read-only.
    pub dataset: PathBuf,
    /// The system prompt of every call.
    pub base_prompt: String,
    /// The prompt that asks for a question. Any other prompt is a question to be answered.
    pub question_prompt: String,
    /// Address of the subtensor.
    pub subtensor: SocketAddr,
    /// Number of the block that has closed when step 0 begins. `None` if it is not known before the chain runs.
    pub first_block: Option<u64>,
    /// Exclusive upper bound of the uids of the network.
    pub num_nodes: u32,
    /// Address of the proxy through which callers reach the axons. `None` if they reach them directly.
    pub proxy: Option<SocketAddr>,
    /// Rules that disturb the calls of the process.
    pub rules: Vec<LinkRule>,
    /// Behaviours that faults have put in the place of others. The last one of a uid applies.
    pub injections: Vec<Injection>,
    /// Factor of all drawn delays, at most 1.
    pub time_scale: f64,
}

/// An axon of a miner process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AxonLaunch {
    /// The uid of the axon.
    pub uid: u32,
    /// The uids with the same behaviour, including this one.
    pub group: Uids,
    /// The stack of behaviours, the uppermost first.
    pub behaviours: Vec<BehaviourSpec>,
}

/// Launch config of a validator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidatorLaunch {
    /// Index of the validator, 0 for `validator-0`.
    pub index: u32,
    /// The uid of the validator.
    pub uid: u32,
    /// Exclusive upper bound of the uids that the validator may query, if they serve an axon.
    pub num_nodes: u32,
    /// Number of the subnet.
    pub netuid: u16,
    /// Directory of the validator's state. A node that finds a state there resumes from it.
    pub state: PathBuf,
    /// Directory for checkpoints of the gating model, created with the first checkpoint.
    pub checkpoints: PathBuf,
    /// The checkpoint from which the gating model resumes. `None` for a new model.
    pub resume: Option<PathBuf>,
    /// Address of the subtensor.
    pub subtensor: SocketAddr,
    /// The certificate for a subtensor that is not a node of the run. `None` if the certificate of the node applies.
    pub subtensor_credentials: Option<Credentials>,
    /// Address of the coordinator.
    pub coordinator: SocketAddr,
    /// Device for tensors: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Weight of the old moving average, 0 to 1.
    pub alpha: f64,
    /// Settings of the neuron.
    pub neuron: NeuronSettings,
    /// The behaviour of the validator, which determines its weights.
    pub behaviour: ValidatorBehaviour,
    /// The model that scores uids.
    pub gating_model: GatingModel,
    /// The model that scores completions.
    pub reward_model: RewardModel,
    /// The query to run. `None` if the validator only waits for manual calls.
    pub query: Option<Query>,
    /// Path of the compiled questions of the query.
    pub questions: Option<PathBuf>,
    /// The rule by which blocks close.
    pub block_time: BlockTime,
    /// Delays of the validator's calls.
    pub links: Vec<LinkLaunch>,
    /// Rules that disturb the validator's calls.
    pub rules: Vec<LinkRule>,
    /// Whether faults by the clock may have stopped nodes or connections in this run.
    pub untimed: bool,
    /// The behaviour that a fault has put in the place of `behaviour`.
    pub injected: Option<ValidatorBehaviour>,
    /// Factor of all drawn delays and timeouts, at most 1.
    pub time_scale: f64,
    /// File to which the identity of every acknowledged event is written, one per line. `None` to write none.
    pub acknowledged: Option<PathBuf>,
}

/// The delay of calls to a range of uids.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkLaunch {
    /// First uid of the range.
    pub first_uid: u32,
    /// Last uid of the range, inclusive.
    pub last_uid: u32,
    /// Distribution of the delay.
    pub latency: Latency,
}

/// A rule for the calls of a process, which disturbs calls to some nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkRule {
    /// Name of the rule. The draws of the rule depend on it.
    pub id: String,
    /// The uids whose calls are disturbed. `None` for all calls of the process.
    pub callers: Option<Uids>,
    /// The called uids. `None` if the rule disturbs no calls to axons.
    pub to: Option<Uids>,
    /// Whether requests to the chain are disturbed.
    pub to_chain: bool,
    /// The first step whose calls are disturbed. Calls without a step, such as manual ones, always are.
    pub from_step: u64,
    /// Whether the rule began by the clock, so that another run may disturb other calls.
    pub by_clock: bool,
    /// The effects.
    pub effects: LinkEffects,
}

/// Behaviours that replace those of an axon for some time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Injection {
    /// Name of the fault.
    pub id: String,
    /// The uid of the axon.
    pub uid: u32,
    /// The uids with the same behaviour, including this one.
    pub group: Uids,
    /// The stack of behaviours, the uppermost first.
    pub behaviours: Vec<BehaviourSpec>,
}
/// Launch config of a proxy. It starts without targets and rules, which it receives over its service.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct ProxyLaunch {}

/// The line of JSON that a node prints to its standard output once it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Address of the node's service.
    pub address: SocketAddr,
    /// Address of the health checks. A dedicated thread answers them, however busy the node is.
    pub liveness: SocketAddr,
}
