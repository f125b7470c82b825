//! The hyperparameters of the subnet: its rules, as named numbers.

use serde::{Deserialize, Serialize};

use crate::Rao;

/// Maximum number of neurons in a subnet, because a uid has 16 bits.
pub const MAX_UIDS: u32 = 65_536;

/// The set of rules that applies where those of the real chain have changed: the algorithm of the epoch, which neuron
/// is replaced when the subnet is full, how the price of a registration changes, and what happens to the stake of a
/// replaced neuron.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleSet {
    /// The rules of June 2023, Subtensor 0.0.1.
    Classic,
    /// The rules of June 2026.
    Today,
}

/// The value of a hyperparameter, which is published as a number.
trait Value: Sized {
    fn number(self) -> u64;

    /// Converts a number to a value. `None` if the number is out of range.
    fn of_number(number: u64) -> Option<Self>;
}

macro_rules! hyperparameters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)+) => {
        /// The rules of the subnet. Each is read and set as a number under the name of its field, which is Subtensor's
        /// name if it has one.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Hyperparameters {
            $($(#[$doc])* pub $name: $type,)+
        }

        impl Hyperparameters {
            /// Names of the hyperparameters, in the order of the fields.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// Returns all hyperparameters by name, in the order of [`NAMES`](Self::NAMES).
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.number())),+].into_iter()
            }

            /// Returns a copy in which the named hyperparameter has another value. Does not check whether the values
            /// are consistent.
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
    /// The set of rules that applies: 0 for classic, 1 for today.
    rule_set: RuleSet,
    /// Number of blocks between two epochs, excluding the block of the epoch; 0 disables epochs.
    tempo: u64,
    /// Amount minted in each block until half of all TAO is issued, then half of it, and so on.
    block_emission: Rao,
    /// Share of the stake that defines the consensus, 65,535 is all: the consensus for a neuron is the largest weight
    /// that this share of the stake supports.
    kappa: u16,
    /// Number of blocks without new weights after which a validator is inactive.
    activity_cutoff: u64,
    /// The activity cutoff of [`Today`](RuleSet::Today), in thousandths of the tempo.
    activity_cutoff_factor: u32,
    /// Maximum number of neurons with a validator permit.
    max_allowed_validators: u16,
    /// Stake below which a neuron counts as having none and may not set weights; [`Today`](RuleSet::Today) only.
    stake_threshold: Rao,
    /// Share of the old bonds in the new ones, in millionths.
    bonds_moving_average: u64,
    /// The share to which bonds follow the clipped weights instead of the weights as set; 65,535 is fully.
    /// [`Today`](RuleSet::Today) only.
    bonds_penalty: u16,
    /// Whether each bond moves separately, as in Yuma 3; [`Today`](RuleSet::Today) only.
    yuma3_on: bool,
    /// Whether each pair has a separate rate, if [`yuma3_on`](Self::yuma3_on).
    liquid_alpha_on: bool,
    /// The smallest share of new bonds under liquid alpha; 65,535 is all.
    alpha_low: u16,
    /// The largest share of new bonds under liquid alpha; 65,535 is all.
    alpha_high: u16,
    /// Steepness of liquid alpha between the two, in hundredths, at most 32,767.
    alpha_sigmoid_steepness: u16,
    /// Number of blocks between two settings of weights by a validator. The chain publishes it, and validators apply
    /// it.
    validator_epoch_length: u64,
    /// Share of the smallest weights that validators leave out; 65,535 is 1. The chain publishes it, and validators
    /// apply it.
    validator_exclude_quantile: u16,
    /// Minimum number of weights that may be set together.
    min_allowed_weights: u16,
    /// Maximum share of one weight among those set together; 65,535 is all.
    max_weight_limit: u16,
    /// Minimum number of blocks between two settings of weights by one hotkey.
    weights_set_rate_limit: u64,
    /// Minimum version key with which weights may be set; 0 allows any.
    weights_version_key: u64,
    /// Whether weights are committed first and revealed later, and cannot be set directly.
    commit_reveal_weights_enabled: bool,
    /// Number of epochs from a commitment to its reveal.
    commit_reveal_period: u64,
    /// Minimum number of blocks between two announcements of an axon by one hotkey.
    serving_rate_limit: u64,
    /// Minimum number of blocks between two moves of stake by one coldkey.
    tx_rate_limit: u64,
    /// Minimum stake of a nominator with a hotkey.
    nominator_min_required_stake: Rao,
    /// Default and maximum share of its nominators' dividends that a delegate keeps; 65,535 is all.
    default_take: u16,
    /// Maximum number of neurons, 1..=[`MAX_UIDS`].
    max_allowed_uids: u32,
    /// Number of blocks after its registration in which a neuron is not replaced while others can be.
    immunity_period: u64,
    /// Number of neurons past their immunity that are kept, so that newcomers do not replace all of them;
    /// [`Today`](RuleSet::Today) only.
    min_non_immune_uids: u16,
    /// Whether registration is allowed at all.
    network_registration_allowed: bool,
    /// Whether a hotkey can register itself without a price. The real chain requires proof of work for this.
    network_free_registration_allowed: bool,
    /// Maximum number of registrations in a block.
    max_registrations_per_block: u16,
    /// Target number of registrations in an interval, 1 or more. The maximum is three times as many.
    target_registrations_per_interval: u16,
    /// Number of blocks after which the count of registrations restarts and the price is adjusted; 0 for each block.
    adjustment_interval: u64,
    /// The initial price of a registration.
    burn: Rao,
    /// The minimum price.
    min_burn: Rao,
    /// The maximum price.
    max_burn: Rao,
    /// Number of blocks in which the price falls by half, 0 for never; [`Today`](RuleSet::Today) only.
    burn_half_life: u16,
    /// The price after a registration in percent of the previous price, 100 or more; [`Today`](RuleSet::Today) only.
    burn_increase: u16,
}

/// The reason for which a hyperparameter has no effect, given the values of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unused {
    /// Only this rule set reads it, and the other one is in force.
    ReadBy(RuleSet),
    /// It is read only if the hyperparameter of this name is 1, and that is 0.
    Needs(&'static str),
}

/// The error returned when a hyperparameter cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HyperparameterError {
    /// No hyperparameter has this name.
    #[error("there is no hyperparameter `{name}`; expected one of: {}", Hyperparameters::NAMES.join(", "))]
    UnknownName {
        /// The unknown name.
        name: String,
    },
    /// The value is out of bounds.
    #[error("the hyperparameter `{name}` cannot be {value}: the value is out of bounds")]
    ValueNotInBounds {
        /// Name of the hyperparameter.
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
    /// Sets the named hyperparameter. After an error, nothing has changed.
    ///
    /// # Errors
    /// Returns [`HyperparameterError`] if the name is unknown, or if the value is out of bounds or inconsistent with
    /// the other values.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), HyperparameterError> {
        let changed = self.clone().with(name, value)?;
        if !changed.is_sound() {
            return Err(out_of_bounds(name, value));
        }
        *self = changed;
        Ok(())
    }

    /// Returns a copy in which the named hyperparameters have other values. Only a [`Genesis`](crate::Genesis) checks
    /// whether the values are consistent.
    pub fn with_all<'a>(
        self,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Result<Self, HyperparameterError> {
        let mut values = values.into_iter();
        values.try_fold(self, |rules, (name, value)| rules.with(name, value))
    }

    /// Rules for a small network in a laboratory: those of 2023, but limits apply only through the width of the
    /// numbers, a registration costs nothing, and an epoch runs about every 100 blocks.
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

    /// The rules of Subtensor 0.0.1, June 2023, as in its runtime. Rules that it did not have are today's.
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

    /// Returns whether every number is within its bounds, on its own and relative to the others.
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

    /// Returns why the hyperparameter of this name has no effect, given the values of the others, whatever calls the
    /// chain receives. `None` if it can have an effect.
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

    /// Returns the number of blocks without new weights after which a validator is inactive.
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
    fn published_values_can_be_set() {
        for preset in [
            Hyperparameters::SMALL,
            Hyperparameters::CLASSIC,
            Hyperparameters::TODAY,
        ] {
            assert!(preset.is_sound());
            let mut copy = Hyperparameters::CLASSIC;
            for (name, value) in preset.entries() {
                copy.set(name, value)
                    .expect("the values of a valid preset can be set one by one");
            }
            assert_eq!(copy, preset);
        }
    }

    #[test]
    fn values_out_of_bounds_are_refused_and_change_nothing() {
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
        // Each alone would be inconsistent with the old value of the other.
        let rules = Hyperparameters::CLASSIC.with_all([("alpha_high", 30_000), ("alpha_low", 10_000)]);
        let rules = rules.expect("the values are in range");
        assert!(rules.is_sound());
        assert_eq!((rules.alpha_low, rules.alpha_high), (10_000, 30_000));
    }

    #[test]
    fn the_activity_cutoff_of_today_depends_on_the_tempo() {
        assert_eq!(Hyperparameters::TODAY.effective_activity_cutoff(), 5_000);
        let mut rules = Hyperparameters::TODAY;
        rules.tempo = 72;
        // 72 * 13.889 = 1000.008
        assert_eq!(rules.effective_activity_cutoff(), 1_000);
        assert_eq!(Hyperparameters::SMALL.effective_activity_cutoff(), 5_000);
    }
}
