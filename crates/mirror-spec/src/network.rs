//! The `network` section: how large the network is and how it is placed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::declare::{choice, keys};
use crate::key::{Described, Kind, Whose};
use crate::ranges::TAO;
use crate::{BehaviourSpec, DummySubtensorArgs, Latency, Uids, ValidatorBehaviour};

/// TAO staked by a validator unless the file says otherwise.
const STAKE: f64 = 1_000.0;

keys! {
    /// The `network` section: size and placement of the network.
    pub struct Network: Default {
        /// How many validators there are; their uids follow the miners'.
        validators: u32 [Integer(1..=256)] = 1,
        /// TAO staked by each validator; the last one repeats; none: 1,000 each.
        stakes: Vec<f64> [OneOrMany(&TAO)] = [],
        /// When a block closes: after each step, which repeats, or by the clock.
        block_time: BlockTime = "per_step",
        /// A metagraph, `.json` or `.parquet`, that the subnet starts from.
        metagraph: Option<String>,
        /// The chain's rules: without limits, of 2023, or of 2026.
        chain: ChainPreset = "small",
        /// Which of these rules are other numbers.
        hyperparameters: Hyperparameters = {},
        /// Axons in one miner process.
        axons_per_process: u32 [Integer(1..=4_096)] = 1,
        /// Miners that differ from the dendrite pool's; a later entry overrides an earlier one.
        miners: Vec<MinerGroup> = [],
        /// Validators that are not honest; a later entry overrides an earlier one.
        validator_groups: Vec<ValidatorGroup> = [],
        /// What happens to a node that dies by itself or hangs.
        restart: RestartPolicies = {},
        /// Time that a node has from its start until it answers.
        ready_timeout: f64 [Duration(0.1..=3_600.0)] = 60,
        /// Time without an answer to health checks after which a node counts as hung.
        hang_timeout: f64 [Duration(0.1..=3_600.0)] = 30,
        /// Shrinks every drawn delay and every deadline alike.
        time_scale: f64 [Number(0.001..=1.0)] = 1,
        /// Write the identity of each acknowledged event beside the logs.
        record_acknowledged: bool = false,
    }
}

impl Network {
    /// TAO staked by the validator of this index, counted from 0.
    pub fn stake_of(&self, index: u32) -> f64 {
        let stake = self.stakes.get(index as usize).or(self.stakes.last());
        stake.copied().unwrap_or(STAKE)
    }

    /// The hyperparameters that are other numbers than the preset's, by their names: those that the file gives, and in
    /// a small network the lengths of an epoch, which the component of the chain has.
    pub fn changed_hyperparameters(&self, chain: &DummySubtensorArgs) -> BTreeMap<String, u64> {
        let mut changed = match self.chain {
            ChainPreset::Small => ["tempo", "validator_epoch_length"]
                .map(|name| (name.to_owned(), chain.epoch_length))
                .into(),
            ChainPreset::Classic | ChainPreset::Today => BTreeMap::new(),
        };
        changed.extend(self.hyperparameters.given());
        changed
    }
}

keys! {
    /// Rules of the chain, by the chain's names.
    pub struct Hyperparameters: Default Eq {
        /// Blocks between two epochs, the epoch's own not counted; 0: no epoch ever.
        tempo: Option<u64>,
        /// Minted each block until half of all TAO is issued, then half of it, and so on; rao.
        block_emission: Option<u64>,
        /// Share of the stake that makes a consensus, 65,535 is all.
        kappa: Option<u16>,
        /// Blocks without new weights after which a validator does not count; `classic` and `small`.
        activity_cutoff: Option<u64>,
        /// The activity cutoff in thousandths of the tempo; `today` alone.
        activity_cutoff_factor: Option<u32> [Integer(0..=1_000_000)],
        /// Most neurons with a validator permit.
        max_allowed_validators: Option<u16>,
        /// Stake below which a neuron counts as without any, and may not set weights; `today` alone; rao.
        stake_threshold: Option<u64>,
        /// Share of the old bonds in the new, millionths.
        bonds_moving_average: Option<u32> [Integer(0..=1_000_000)],
        /// How far bonds follow the clipped weights rather than the weights as set, 65,535 is fully; `today` alone.
        bonds_penalty: Option<u16>,
        /// Whether bonds move by pair, as in Yuma 3; `today` alone.
        yuma3_on: Option<bool>,
        /// Whether each pair has a rate of its own, where `yuma3_on`.
        liquid_alpha_on: Option<bool>,
        /// The smallest share of new bonds under liquid alpha, 65,535 is all.
        alpha_low: Option<u16>,
        /// The largest share of new bonds under liquid alpha, 65,535 is all.
        alpha_high: Option<u16>,
        /// How steep liquid alpha is between the two, hundredths, at most 32,767.
        alpha_sigmoid_steepness: Option<u16> [Integer(0..=32_767)],
        /// Blocks between two settings of weights by a validator; the validators keep it.
        validator_epoch_length: Option<u64>,
        /// Share of the smallest weights that validators leave out; 65,535 is 1; the validators keep it.
        validator_exclude_quantile: Option<u16>,
        /// Fewest weights that may be set at once.
        min_allowed_weights: Option<u16>,
        /// Largest share of one weight among those set together; 65,535 is all.
        max_weight_limit: Option<u16>,
        /// Blocks that must lie between two settings of weights by one hotkey.
        weights_set_rate_limit: Option<u64>,
        /// Smallest version key with which weights may be set; 0: any.
        weights_version_key: Option<u64>,
        /// Whether weights are committed to first and revealed later, and cannot be set at once.
        commit_reveal_weights_enabled: Option<bool>,
        /// Epochs from a commitment to its reveal.
        commit_reveal_period: Option<u64>,
        /// Blocks that must lie between two announcements of an axon by one hotkey.
        serving_rate_limit: Option<u64>,
        /// Blocks that must lie between two moves of stake by one coldkey.
        tx_rate_limit: Option<u64>,
        /// Least stake that a nominator may have with a hotkey; rao.
        nominator_min_required_stake: Option<u64>,
        /// What a delegate keeps of its nominators' dividends if it does not say, and at most; 65,535 is all.
        default_take: Option<u16>,
        /// Most neurons.
        max_allowed_uids: Option<u32> [Integer(1..=65_536)],
        /// Blocks after its registration in which a neuron is not replaced while others can be.
        immunity_period: Option<u64>,
        /// Neurons past their immunity that are kept, so that not all newcomers replace them; `today` alone.
        min_non_immune_uids: Option<u16>,
        /// Whether anybody can register.
        network_registration_allowed: Option<bool>,
        /// Whether a hotkey can register by itself and for nothing.
        network_free_registration_allowed: Option<bool>,
        /// Most registrations in a block.
        max_registrations_per_block: Option<u16>,
        /// Registrations that are meant for an interval, 1 or more; three times as many are its most.
        target_registrations_per_interval: Option<u16> [Integer(1..=65_535)],
        /// Blocks after which registrations are counted anew, and the price adjusted; 0: each block.
        adjustment_interval: Option<u64>,
        /// The price of a registration at first; rao.
        burn: Option<u64>,
        /// The lowest price; rao.
        min_burn: Option<u64>,
        /// The highest price; rao.
        max_burn: Option<u64>,
        /// Blocks in which the price falls by half, 0: it does not; `today` alone.
        burn_half_life: Option<u16>,
        /// What each registration makes of the price, percent, 100 or more; `today` alone.
        burn_increase: Option<u16> [Integer(100..=65_535)],
    }
}

impl Hyperparameters {
    /// Those that are given, by their names; a switch is 1 where it is on and 0 where it is off, as the chain has it.
    pub fn given(&self) -> BTreeMap<String, u64> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Rule {
            Switch(bool),
            Number(u64),
        }
        let named = serde_json::to_value(self).and_then(serde_json::from_value);
        let named: BTreeMap<String, Rule> =
            named.expect("every field is a switch, a natural number or left out");
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
    /// Sets of the chain's rules by name.
    pub enum ChainPreset {
        /// For a small network of a laboratory: nothing is limited.
        Small = "small",
        /// As the real chain had them in 2023.
        Classic = "classic",
        /// As the real chain has them in 2026.
        Today = "today",
    }
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

impl Described for BlockTime {
    const KIND: Kind = Kind::Or("per_step", &Kind::Duration(0.01..=3_600.0));
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

keys! {
    /// A group of miners and how they behave.
    pub struct MinerGroup {
        /// The miners of the group.
        uids: Uids,
        /// What it does with a call; left out: as the dendrite pool says.
        behaviour: Option<BehaviourSpec>,
        /// What the behaviour is laid over, the uppermost first; below the last is an honest miner.
        over: Vec<BehaviourSpec> [OneOrMany(&BehaviourSpec::KIND)] = [],
        /// Delay of each call to it.
        latency: Option<Latency>,
    }
}

keys! {
    /// A group of validators and what they set weights by.
    pub struct ValidatorGroup {
        /// The validators of the group, counted from 0.
        validators: Uids [UidSet(Whose::ValidatorIndex)],
        /// What it sets weights by.
        behaviour: ValidatorBehaviour,
    }
}

keys! {
    /// What happens to a node that dies by itself or hangs, by role.
    pub struct RestartPolicies: Default Copy Eq {
        /// The chain.
        subtensor: RestartPolicy = "restart",
        /// Validators.
        validators: RestartPolicy = "restart",
        /// Miners.
        miners: RestartPolicy = "leave",
    }
}

choice! {
    /// What happens to a node that dies by itself, hangs, or is not ready in time; in the last two cases it is killed
    /// first.
    pub enum RestartPolicy {
        /// It is started again, from its state where it has one; after five restarts of it the run fails.
        Restart = "restart",
        /// It stays dead. Without the chain or without any validator the run fails.
        Leave = "leave",
        /// The run fails.
        Fail = "fail",
    }
}
