//! The `network` section: size and placement of the network.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mirror_identity::Hotkey;
use serde::{Deserialize, Serialize};

use crate::declare::{choice, keys};
use crate::key::{Described, Kind, Whose};
use crate::ranges::TAO;
use crate::{AxonSettings, BehaviourSpec, DummySubtensorArgs, HotkeyText, Latency, Uids, ValidatorBehaviour};

/// Default stake of a validator in TAO.
const STAKE: f64 = 1_000.0;

keys! {
    /// The `network` section: size and placement of the network.
    pub struct Network: Default {
        /// Number of validators. Their uids follow those of the miners.
        validators: u32 [Integer(1..=256)] = 1,
        /// Stake of each validator in TAO. The last stake repeats; an empty list means 1,000 each.
        stakes: Vec<f64> [OneOrMany(&TAO)] = [],
        /// Number of uids for miners that join manually, with `mirror fault add`. Those that join by the section
        /// `faults` need no room.
        room_for: u32 [Integer(0..=1_024)] = 0,
        /// Rule by which blocks close: `per_step` after each step, which is reproducible, or a time by the clock.
        block_time: BlockTime = "per_step",
        /// Metagraph file (`.json` or `.parquet`) from which the subnet starts.
        metagraph: Option<String>,
        /// Preset of the chain's rules: without limits, of 2023, or of 2026.
        chain: ChainPreset = "small",
        /// Whether further hotkeys can register with the chain: `open`, as its rules have it, or `closed`.
        registration: Registration = "open",
        /// Hyperparameters that differ from the preset.
        hyperparameters: Hyperparameters = {},
        /// Number of axons in one miner process.
        axons_per_process: u32 [Integer(1..=4_096)] = 1,
        /// The calls that each axon answers, and those that it refuses.
        axon: AxonSettings = {},
        /// Groups of miners that differ from the dendrite pool. A later entry overrides an earlier one.
        miners: Vec<MinerGroup> = [],
        /// Groups of validators that are not honest. A later entry overrides an earlier one.
        validator_groups: Vec<ValidatorGroup> = [],
        /// Restart policy for nodes that exit unexpectedly or hang.
        restart: RestartPolicies = {},
        /// Timeout from the start of a node until it is ready.
        ready_timeout: f64 [Duration(0.1..=3_600.0)] = 60,
        /// Time without a reply to a health check after which a node counts as hung.
        hang_timeout: f64 [Duration(0.1..=3_600.0)] = 30,
        /// Factor of all drawn delays and all timeouts.
        time_scale: f64 [Number(0.001..=1.0)] = 1,
        /// Whether connections go through a proxy, so that faults on the wire can be added while the network runs. With
        /// such faults in the file they do in any case.
        proxy: bool = false,
        /// Whether each validator writes the identities of its acknowledged events to `logs/`.
        record_acknowledged: bool = false,
    }
}

impl Network {
    /// Returns the stake in TAO of the validator with this index, from 0.
    pub fn stake_of(&self, index: u32) -> f64 {
        let stake = self.stakes.get(index as usize).or(self.stakes.last());
        stake.copied().unwrap_or(STAKE)
    }

    /// Returns the hyperparameters that differ from the preset, by name: those in the file and, with the preset
    /// `small`, the lengths of an epoch, which come from the arguments of `DummySubtensor`.
    pub fn changed_hyperparameters(&self, chain: &DummySubtensorArgs) -> BTreeMap<String, u64> {
        let mut changed = match self.chain {
            ChainPreset::Small => ["tempo", "validator_epoch_length"]
                .map(|name| (name.to_owned(), chain.epoch_length))
                .into(),
            ChainPreset::Classic | ChainPreset::Today => BTreeMap::new(),
        };
        changed.extend(self.hyperparameters.given());
        if self.registration == Registration::Closed {
            changed.insert("network_registration_allowed".to_owned(), 0);
        }
        changed
    }
}

keys! {
    /// Hyperparameters of the subnet, by the chain's names.
    pub struct Hyperparameters: Default Eq {
        /// Number of blocks between two epochs, excluding the block of the epoch; 0 disables epochs.
        tempo: Option<u64>,
        /// Amount in rao minted in each block until half of all TAO is issued, then half of it, and so on.
        block_emission: Option<u64>,
        /// Share of the stake that defines the consensus; 65,535 is all.
        kappa: Option<u16>,
        /// Number of blocks without new weights after which a validator is inactive; `classic` and `small` only.
        activity_cutoff: Option<u64>,
        /// The activity cutoff in thousandths of the tempo; `today` only.
        activity_cutoff_factor: Option<u32> [Integer(0..=1_000_000)],
        /// Maximum number of neurons with a validator permit.
        max_allowed_validators: Option<u16>,
        /// Stake in rao below which a neuron counts as having none and may not set weights; `today` only.
        stake_threshold: Option<u64>,
        /// Share of the old bonds in the new ones, in millionths.
        bonds_moving_average: Option<u32> [Integer(0..=1_000_000)],
        /// The share to which bonds follow the clipped weights instead of the weights as set; 65,535 is fully. `today`
        /// only.
        bonds_penalty: Option<u16>,
        /// Whether each bond moves separately, as in Yuma 3; `today` only.
        yuma3_on: Option<bool>,
        /// Whether each pair has a separate rate, if `yuma3_on`.
        liquid_alpha_on: Option<bool>,
        /// The smallest share of new bonds under liquid alpha; 65,535 is all.
        alpha_low: Option<u16>,
        /// The largest share of new bonds under liquid alpha; 65,535 is all.
        alpha_high: Option<u16>,
        /// Steepness of liquid alpha between the two, in hundredths, at most 32,767.
        alpha_sigmoid_steepness: Option<u16> [Integer(0..=32_767)],
        /// Number of blocks between two settings of weights by a validator. The validators apply it.
        validator_epoch_length: Option<u64>,
        /// Share of the smallest weights that validators leave out; 65,535 is 1. The validators apply it.
        validator_exclude_quantile: Option<u16>,
        /// Minimum number of weights that may be set together.
        min_allowed_weights: Option<u16>,
        /// Maximum share of one weight among those set together; 65,535 is all.
        max_weight_limit: Option<u16>,
        /// Minimum number of blocks between two settings of weights by one hotkey.
        weights_set_rate_limit: Option<u64>,
        /// Minimum version key with which weights may be set; 0 allows any.
        weights_version_key: Option<u64>,
        /// Whether weights are committed first and revealed later, and cannot be set directly.
        commit_reveal_weights_enabled: Option<bool>,
        /// Number of epochs from a commitment to its reveal.
        commit_reveal_period: Option<u64>,
        /// Minimum number of blocks between two announcements of an axon by one hotkey.
        serving_rate_limit: Option<u64>,
        /// Minimum number of blocks between two moves of stake by one coldkey.
        tx_rate_limit: Option<u64>,
        /// Minimum stake in rao of a nominator with a hotkey.
        nominator_min_required_stake: Option<u64>,
        /// Default and maximum share of its nominators' dividends that a delegate keeps; 65,535 is all.
        default_take: Option<u16>,
        /// Maximum number of neurons.
        max_allowed_uids: Option<u32> [Integer(1..=65_536)],
        /// Number of blocks after its registration in which a neuron is not replaced while others can be.
        immunity_period: Option<u64>,
        /// Number of neurons past their immunity that are kept, so that newcomers do not replace all of them; `today`
        /// only.
        min_non_immune_uids: Option<u16>,
        /// Whether registration is allowed at all.
        network_registration_allowed: Option<bool>,
        /// Whether a hotkey can register itself without a price.
        network_free_registration_allowed: Option<bool>,
        /// Maximum number of registrations in a block.
        max_registrations_per_block: Option<u16>,
        /// Target number of registrations in an interval, 1 or more. The maximum is three times as many.
        target_registrations_per_interval: Option<u16> [Integer(1..=65_535)],
        /// Number of blocks after which the count of registrations restarts and the price is adjusted; 0 for each
        /// block.
        adjustment_interval: Option<u64>,
        /// The initial price of a registration in rao.
        burn: Option<u64>,
        /// The minimum price in rao.
        min_burn: Option<u64>,
        /// The maximum price in rao.
        max_burn: Option<u64>,
        /// Number of blocks in which the price falls by half, 0 for never; `today` only.
        burn_half_life: Option<u16>,
        /// The price after a registration in percent of the previous price, 100 or more; `today` only.
        burn_increase: Option<u16> [Integer(100..=65_535)],
    }
}

impl Hyperparameters {
    /// Returns the hyperparameters that are given, by name. A switch is 1 if it is on and 0 if it is off, as on the
    /// chain.
    pub fn given(&self) -> BTreeMap<String, u64> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Rule {
            Switch(bool),
            Number(u64),
        }
        let named = serde_json::to_value(self).and_then(serde_json::from_value);
        let named: BTreeMap<String, Rule> =
            named.expect("every field is a switch, a natural number or absent");
        let number = |rule| match rule {
            Rule::Switch(on) => u64::from(on),
            Rule::Number(number) => number,
        };
        named
            .into_iter()
            .map(|(name, rule)| (name, number(rule)))
            .collect()
    }
}

choice! {
    /// Presets of the chain's rules.
    pub enum ChainPreset {
        /// Rules for a small network in a laboratory, without limits.
        Small = "small",
        /// Rules of the real chain in 2023.
        Classic = "classic",
        /// Rules of the real chain in 2026.
        Today = "today",
    }
}

choice! {
    /// Whether hotkeys that are not registered at genesis can register with the chain.
    pub enum Registration {
        /// They can, as the rules of the chain have it.
        Open = "open",
        /// They cannot, whatever the hyperparameters are.
        Closed = "closed",
    }
}

/// The rule by which blocks close.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BlockTimeText", into = "BlockTimeText")]
pub enum BlockTime {
    /// A block closes when every live validator has reported its step, which is reproducible.
    PerStep,
    /// A block closes after this number of seconds by the clock, which is not reproducible.
    Seconds(f64),
}

impl Described for BlockTime {
    const KIND: Kind = Kind::Or("per_step", &Kind::Duration(0.01..=3_600.0));
}

/// A block time as written in a file: `per_step` or a number of seconds.
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
            BlockTimeText::Word(word) => Err(format!(
                "`{word}` is not a block time: expected `per_step` or seconds"
            )),
        }
    }
}

keys! {
    /// A group of miners and their behaviour.
    pub struct MinerGroup {
        /// The uids of the miners.
        uids: Uids,
        /// Name of the group in tables and plots. If absent: the name of the behaviour.
        label: Option<String>,
        /// Label of the miners with which these are compared. If absent: `honest`.
        control: Option<String>,
        /// Behaviour of the miners. If absent: as the dendrite pool specifies.
        behaviour: Option<BehaviourSpec>,
        /// The behaviours below `behaviour`, the uppermost first. An honest miner is below the last.
        over: Vec<BehaviourSpec> [OneOrMany(&BehaviourSpec::KIND)] = [],
        /// Delay of each call to these miners.
        latency: Option<Latency>,
        /// Address of an axon that is already running and is the miner. The run never starts or ends its program.
        address: Option<SocketAddr>,
        /// Hotkey of the axon at `address`, with which it is registered. If absent: the one that is derived from the
        /// seed.
        hotkey: Option<HotkeyText>,
        /// A program and its arguments, which the run starts once for each of these miners. In the arguments, `{port}`
        /// is replaced by the port to listen on, `{hotkey}` by the hotkey of the miner, `{seed}` by the secret mini
        /// seed of that hotkey in hexadecimal, and `{uid}` by the uid.
        command: Vec<String> = [],
    }
}

keys! {
    /// A group of validators and their behaviour.
    pub struct ValidatorGroup {
        /// The indices of the validators, from 0.
        validators: Uids [UidSet(Whose::ValidatorIndex)],
        /// Name of the group in tables and plots. If absent: the name of the behaviour, or `validator` if that is
        /// `honest`.
        label: Option<String>,
        /// Label of the validators with which these are compared. If absent: `validator`.
        control: Option<String>,
        /// Behaviour of the validators. If absent: that of an earlier entry, or `honest`.
        behaviour: Option<ValidatorBehaviour>,
    }
}

/// A miner whose program is not part of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsideMiner<'a> {
    /// An axon that is already running.
    Running {
        /// Address of the axon.
        address: SocketAddr,
        /// Hotkey of the axon. `None` for the one that is derived from the random seed.
        hotkey: Option<Hotkey>,
    },
    /// A program that the run starts.
    Started {
        /// The program: a path, or a name that is looked up in `PATH`.
        program: &'a str,
        /// The arguments, with placeholders such as `{port}`.
        arguments: &'a [String],
    },
}

impl MinerGroup {
    /// Returns whether the entry determines what its miners do: by behaviours, or by a program of others.
    pub fn behaves(&self) -> bool {
        self.behaviour.is_some() || !self.over.is_empty() || self.outside().is_some()
    }

    /// Returns the program of others that is the miner. `None` if the miners are those of this project.
    pub fn outside(&self) -> Option<OutsideMiner<'_>> {
        if let Some(address) = self.address {
            let hotkey = self.hotkey.map(|HotkeyText(hotkey)| hotkey);
            return Some(OutsideMiner::Running { address, hotkey });
        }
        let (program, arguments) = self.command.split_first()?;
        Some(OutsideMiner::Started { program, arguments })
    }

    /// Returns the role that the entry gives its miners: `outside` for a program of others, otherwise the names of its
    /// behaviours except `honest`, the uppermost first, such as `slow over copycat`. `None` if there are none.
    pub fn role(&self) -> Option<String> {
        if self.outside().is_some() {
            return Some("outside".to_owned());
        }
        let behaviours = self.behaviour.iter().chain(&self.over).map(BehaviourSpec::name);
        let names: Vec<&str> = behaviours.filter(|name| *name != "honest").collect();
        (!names.is_empty()).then(|| names.join(" over "))
    }

    /// Returns the label that the entry gives its miners: the one that it sets, or the role. `None` if the entry has
    /// neither. They are then accomplices of a validator or `honest`.
    pub fn label(&self) -> Option<String> {
        self.label.clone().or_else(|| self.role())
    }
}

impl ValidatorGroup {
    /// Returns the label that the entry gives its validators: the one that it sets, or the name of their behaviour.
    /// `None` if the entry has neither or the behaviour is `honest`. They are then called `validator`.
    pub fn label(&self) -> Option<String> {
        let behaviour = self.behaviour.as_ref();
        let cheats = behaviour.filter(|behaviour| !matches!(behaviour, ValidatorBehaviour::Honest(_)));
        let name = || cheats.map(|behaviour| behaviour.name().to_owned());
        self.label.clone().or_else(name)
    }
}

keys! {
    /// Restart policies by role, for nodes that exit unexpectedly or hang.
    pub struct RestartPolicies: Default Copy Eq {
        /// Policy for the chain's node.
        subtensor: RestartPolicy = "restart",
        /// Policy for validators.
        validators: RestartPolicy = "restart",
        /// Policy for miners.
        miners: RestartPolicy = "leave",
    }
}

choice! {
    /// The reaction to a node that exits unexpectedly, hangs, or is not ready in time. In the last two cases the node
    /// is killed first.
    pub enum RestartPolicy {
        /// The node is restarted and resumes from its state if it has one. After five restarts of one node, the run
        /// fails.
        Restart = "restart",
        /// The node is not restarted. Without the chain or without any validator, the run fails.
        Leave = "leave",
        /// The run fails.
        Fail = "fail",
    }
}
