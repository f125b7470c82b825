//! The rules of the subnet, as numbers with names.

use serde::{Deserialize, Serialize};

use crate::Rao;

/// Most neurons that a subnet can have: a uid has 16 bits.
pub const MAX_UIDS: u32 = 65_536;

/// Which of the real chain's two sets of rules holds where they differ: the body of the epoch, who is replaced when
/// the subnet is full, how the price of a registration moves, and what becomes of the stake of a neuron that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleSet {
    /// Of June 2023, Subtensor 0.0.1.
    Classic,
    /// Of June 2026.
    Today,
}

/// What a hyperparameter holds, as the number that is told of it.
trait Value: Sized {
    fn number(self) -> u64;

    /// `None` where the number is none of these values.
    fn of_number(number: u64) -> Option<Self>;
}

macro_rules! hyperparameters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)+) => {
        /// The rules of the subnet. A number is told and set by its name here, which is Subtensor's where it has one.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Hyperparameters {
            $($(#[$doc])* pub $name: $type,)+
        }

        impl Hyperparameters {
            /// The names, in the order of the fields.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// All of them by name, in the order of [`NAMES`](Self::NAMES).
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.number())),+].into_iter()
            }

            /// The same but for the one of this name. Whether they go together is not looked at.
            fn with(mut self, name: &str, value: u64) -> Result<Self, HyperparameterError> {
                match name {
                    $(stringify!($name) => {
                        let value = <$type>::of_number(value).ok_or_else(|| out_of_bounds(name, value))?;
                        self.$name = value;
                    })+
                    _ => return Err(HyperparameterError::UnknownName { name: name.to_owned() }),
                }
                Ok(self)
            }
        }
    };
}

hyperparameters! {
    /// Whose rules hold: 0 classic, 1 today.
    rule_set: RuleSet,
    /// Blocks between two epochs, the epoch's own not counted; 0: no epoch ever.
    tempo: u64,
    /// Minted each block until half of all TAO is issued, then half of it, and so on.
    block_emission: Rao,
    /// Share of the stake that makes a consensus, 65,535 is all: of a neuron's weights it is the largest that so much
    /// of the stake gives.
    kappa: u16,
    /// Blocks without new weights after which a validator does not count.
    activity_cutoff: u64,
    /// [`Today`](RuleSet::Today) counts the cutoff in thousandths of the tempo, and this many.
    activity_cutoff_factor: u32,
    /// Most neurons with a validator permit.
    max_allowed_validators: u16,
    /// Stake below which a neuron counts as without any, and may not set weights; [`Today`](RuleSet::Today) alone.
    stake_threshold: Rao,
    /// Share of the old bonds in the new, millionths.
    bonds_moving_average: u64,
    /// How far bonds follow the clipped weights rather than the weights as set, 65,535 is fully;
    /// [`Today`](RuleSet::Today) alone.
    bonds_penalty: u16,
    /// Whether bonds move by pair, as in Yuma 3; [`Today`](RuleSet::Today) alone.
    yuma3_on: bool,
    /// Whether each pair has a rate of its own, where [`yuma3_on`](Self::yuma3_on).
    liquid_alpha_on: bool,
    /// The smallest share of new bonds under liquid alpha, 65,535 is all.
    alpha_low: u16,
    /// The largest share of new bonds under liquid alpha, 65,535 is all.
    alpha_high: u16,
    /// How steep liquid alpha is between the two, hundredths, at most 32,767.
    alpha_sigmoid_steepness: u16,
    /// Blocks between two settings of weights by a validator. The chain tells it, the validators keep it.
    validator_epoch_length: u64,
    /// Share of the smallest weights that validators leave out; 65,535 is 1. The chain tells it, the validators keep
    /// it.
    validator_exclude_quantile: u16,
    /// Fewest weights that may be set at once.
    min_allowed_weights: u16,
    /// Largest share of one weight among those set together; 65,535 is all.
    max_weight_limit: u16,
    /// Blocks that must lie between two settings of weights by one hotkey.
    weights_set_rate_limit: u64,
    /// Smallest version key with which weights may be set; 0: any.
    weights_version_key: u64,
    /// Whether weights are committed to first and revealed later, and cannot be set at once.
    commit_reveal_weights_enabled: bool,
    /// Epochs from a commitment to its reveal.
    commit_reveal_period: u64,
    /// Blocks that must lie between two announcements of an axon by one hotkey.
    serving_rate_limit: u64,
    /// Blocks that must lie between two moves of stake by one coldkey.
    tx_rate_limit: u64,
    /// Least stake that a nominator may have with a hotkey.
    nominator_min_required_stake: Rao,
    /// What a delegate keeps of its nominators' dividends if it does not say, and at most; 65,535 is all.
    default_take: u16,
    /// Most neurons, 1..=[`MAX_UIDS`].
    max_allowed_uids: u32,
    /// Blocks after its registration in which a neuron is not replaced while others can be.
    immunity_period: u64,
    /// Neurons past their immunity that are kept, so that not all newcomers replace them; [`Today`](RuleSet::Today)
    /// alone.
    min_non_immune_uids: u16,
    /// Whether anybody can register.
    network_registration_allowed: bool,
    /// Whether a hotkey can register by itself and for nothing. The real chain asks for work there.
    network_free_registration_allowed: bool,
    /// Most registrations in a block.
    max_registrations_per_block: u16,
    /// Registrations that are meant for an interval, 1 or more; three times as many are its most.
    target_registrations_per_interval: u16,
    /// Blocks after which registrations are counted anew, and the price adjusted; 0: each block.
    adjustment_interval: u64,
    /// The price of a registration at first.
    burn: Rao,
    /// The lowest price.
    min_burn: Rao,
    /// The highest price.
    max_burn: Rao,
    /// Blocks in which the price falls by half, 0: it does not; [`Today`](RuleSet::Today) alone.
    burn_half_life: u16,
    /// What each registration makes of the price, percent, 100 or more; [`Today`](RuleSet::Today) alone.
    burn_increase: u16,
}

/// Why a hyperparameter has no effect beside the values of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unused {
    /// Only this set of rules reads it, and the other one holds.
    ReadBy(RuleSet),
    /// It is read only where the hyperparameter of this name is 1, and it is 0.
    Needs(&'static str),
}

/// A hyperparameter that cannot be what it should be set to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HyperparameterError {
    /// There is none of this name.
    #[error("there is no hyperparameter `{name}`, but: {}", Hyperparameters::NAMES.join(", "))]
    UnknownName {
        /// The name given.
        name: String,
    },
    /// The value is outside of what it can be.
    #[error("the hyperparameter `{name}` cannot be {value}")]
    ValueNotInBounds {
        /// Its name.
        name: String,
        /// The value given.
        value: u64,
    },
}

fn out_of_bounds(name: &str, value: u64) -> HyperparameterError {
    HyperparameterError::ValueNotInBounds {
        name: name.to_owned(),
        value,
    }
}

impl Hyperparameters {
    /// Gives the one of this name another value. Nothing has changed after an error.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), HyperparameterError> {
        let changed = self.clone().with(name, value)?;
        if !changed.is_sound() {
            return Err(out_of_bounds(name, value));
        }
        *self = changed;
        Ok(())
    }

    /// The same but for those of these names. Only a [`Genesis`](crate::Genesis) looks at whether they go together.
    pub fn with_all<'a>(
        self,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Result<Self, HyperparameterError> {
        let mut values = values.into_iter();
        values.try_fold(self, |rules, (name, value)| rules.with(name, value))
    }

    /// Rules for a small network of a laboratory: those of 2023, but that nothing is limited except by the width of the
    /// numbers, that a registration costs nothing, and that an epoch comes each 100 blocks.
    pub const SMALL: Self = Self {
        tempo: 100,
        validator_epoch_length: 100,
        min_allowed_weights: 1,
        max_weight_limit: u16::MAX,
        serving_rate_limit: 0,
        tx_rate_limit: 0,
        max_allowed_uids: MAX_UIDS,
        network_free_registration_allowed: true,
        max_registrations_per_block: u16::MAX,
        target_registrations_per_interval: u16::MAX,
        burn: Rao(0),
        min_burn: Rao(0),
        ..Self::CLASSIC
    };

    /// The rules of Subtensor 0.0.1, June 2023, as its runtime had them; what that had not is as it is today.
    pub const CLASSIC: Self = Self {
        rule_set: RuleSet::Classic,
        tempo: 99,
        block_emission: Rao(Rao::TAO),
        kappa: 32_767,
        activity_cutoff: 5_000,
        activity_cutoff_factor: 13_889,
        max_allowed_validators: 128,
        stake_threshold: Rao(0),
        bonds_moving_average: 900_000,
        bonds_penalty: u16::MAX,
        yuma3_on: false,
        liquid_alpha_on: false,
        alpha_low: 45_875,
        alpha_high: 58_982,
        alpha_sigmoid_steepness: 1_000,
        validator_epoch_length: 100,
        validator_exclude_quantile: 0,
        min_allowed_weights: 1_024,
        max_weight_limit: 1_000,
        weights_set_rate_limit: 0,
        weights_version_key: 0,
        commit_reveal_weights_enabled: false,
        commit_reveal_period: 1,
        serving_rate_limit: 50,
        tx_rate_limit: 1_000,
        nominator_min_required_stake: Rao(0),
        default_take: 11_796,
        max_allowed_uids: 4_096,
        immunity_period: 4_096,
        min_non_immune_uids: 10,
        network_registration_allowed: true,
        network_free_registration_allowed: false,
        max_registrations_per_block: 1,
        target_registrations_per_interval: 2,
        adjustment_interval: 100,
        burn: Rao(Rao::TAO),
        min_burn: Rao(Rao::TAO),
        max_burn: Rao(100 * Rao::TAO),
        burn_half_life: 360,
        burn_increase: 126,
    };

    /// The rules of June 2026.
    pub const TODAY: Self = Self {
        rule_set: RuleSet::Today,
        tempo: 360,
        max_weight_limit: u16::MAX,
        weights_set_rate_limit: 100,
        commit_reveal_weights_enabled: true,
        nominator_min_required_stake: Rao(100_000_000),
        max_allowed_uids: 256,
        burn: Rao(100_000_000),
        min_burn: Rao(500_000),
        ..Self::CLASSIC
    };

    /// Whether every number is within its bounds, alone and beside the others.
    pub fn is_sound(&self) -> bool {
        (1..=MAX_UIDS).contains(&self.max_allowed_uids)
            && self.target_registrations_per_interval > 0
            && self.burn_increase >= 100
            && self.min_burn <= self.max_burn
            && self.bonds_moving_average <= 1_000_000
            && self.alpha_low <= self.alpha_high
            && i16::try_from(self.alpha_sigmoid_steepness).is_ok()
            && u64::from(self.activity_cutoff_factor) <= 1_000_000
    }

    /// Why the hyperparameter of this name has no effect on the chain beside the others, whatever is asked of the chain.
    /// `None` if it can have one.
    pub fn unused(&self, name: &str) -> Option<Unused> {
        let is_today = self.rule_set == RuleSet::Today;
        match name {
            "activity_cutoff" if is_today => Some(Unused::ReadBy(RuleSet::Classic)),
            "activity_cutoff_factor"
            | "stake_threshold"
            | "bonds_penalty"
            | "yuma3_on"
            | "liquid_alpha_on"
            | "alpha_low"
            | "alpha_high"
            | "alpha_sigmoid_steepness"
            | "min_non_immune_uids"
            | "burn_half_life"
            | "burn_increase"
                if !is_today =>
            {
                Some(Unused::ReadBy(RuleSet::Today))
            }
            "liquid_alpha_on" | "alpha_low" | "alpha_high" | "alpha_sigmoid_steepness" if !self.yuma3_on => {
                Some(Unused::Needs("yuma3_on"))
            }
            "alpha_low" | "alpha_high" | "alpha_sigmoid_steepness" if !self.liquid_alpha_on => {
                Some(Unused::Needs("liquid_alpha_on"))
            }
            "commit_reveal_period" if !self.commit_reveal_weights_enabled => {
                Some(Unused::Needs("commit_reveal_weights_enabled"))
            }
            _ => None,
        }
    }

    /// Blocks without new weights after which a validator does not count.
    pub fn effective_activity_cutoff(&self) -> u64 {
        match self.rule_set {
            RuleSet::Classic => self.activity_cutoff,
            RuleSet::Today => {
                let thousandths = u128::from(self.tempo) * u128::from(self.activity_cutoff_factor);
                u64::try_from(thousandths / 1_000).unwrap_or(u64::MAX)
            }
        }
    }
}

impl Value for u64 {
    fn number(self) -> u64 {
        self
    }

    fn of_number(number: u64) -> Option<Self> {
        Some(number)
    }
}

impl Value for u32 {
    fn number(self) -> u64 {
        self.into()
    }

    fn of_number(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Value for u16 {
    fn number(self) -> u64 {
        self.into()
    }

    fn of_number(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Value for bool {
    fn number(self) -> u64 {
        self.into()
    }

    fn of_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Value for Rao {
    fn number(self) -> u64 {
        self.0
    }

    fn of_number(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

impl Value for RuleSet {
    fn number(self) -> u64 {
        match self {
            Self::Classic => 0,
            Self::Today => 1,
        }
    }

    fn of_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Classic),
            1 => Some(Self::Today),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_can_be_set() {
        for preset in [
            Hyperparameters::SMALL,
            Hyperparameters::CLASSIC,
            Hyperparameters::TODAY,
        ] {
            assert!(preset.is_sound());
            let mut copy = Hyperparameters::CLASSIC;
            for (name, value) in preset.entries() {
                copy.set(name, value)
                    .expect("a sound preset's values can be set one by one");
            }
            assert_eq!(copy, preset);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let mut rules = Hyperparameters::SMALL;
        for (name, value) in [
            ("max_allowed_uids", 0),
            ("max_allowed_uids", 65_537),
            ("yuma3_on", 2),
            ("rule_set", 2),
            ("kappa", 65_536),
            ("target_registrations_per_interval", 0),
            ("burn_increase", 99),
            ("min_burn", u64::MAX),
            ("alpha_low", 65_535),
            ("alpha_sigmoid_steepness", 32_768),
            ("bonds_moving_average", 1_000_001),
        ] {
            let refused = HyperparameterError::ValueNotInBounds {
                name: name.to_owned(),
                value,
            };
            assert_eq!(rules.set(name, value), Err(refused));
        }
        assert!(matches!(
            rules.set("Tempo", 1),
            Err(HyperparameterError::UnknownName { .. })
        ));
        assert_eq!(rules, Hyperparameters::SMALL);
    }

    #[test]
    fn several_are_changed_in_any_order() {
        // Each alone would stand above the other's old value.
        let rules = Hyperparameters::CLASSIC.with_all([("alpha_high", 30_000), ("alpha_low", 10_000)]);
        let rules = rules.expect("they are in range");
        assert!(rules.is_sound());
        assert_eq!((rules.alpha_low, rules.alpha_high), (10_000, 30_000));
    }

    #[test]
    fn the_cutoff_of_today_follows_the_tempo() {
        assert_eq!(Hyperparameters::TODAY.effective_activity_cutoff(), 5_000);
        let mut rules = Hyperparameters::TODAY;
        rules.tempo = 72;
        // 72 * 13.889 = 1000.008
        assert_eq!(rules.effective_activity_cutoff(), 1_000);
        assert_eq!(Hyperparameters::SMALL.effective_activity_cutoff(), 5_000);
    }
}
