//! Registrations: the price, the limits, and the neuron that a newcomer replaces.

use std::sync::Arc;

use mirror_identity::{Coldkey, Hotkey};
use serde::{Deserialize, Serialize};

use crate::state::State;
use crate::{Block, DispatchError, Hyperparameters, MAX_UIDS, Neuron, Rao, RuleSet, Uid};

/// The price of a registration, and the counts of registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registrations {
    pub(crate) burn: Rao,
    pub(crate) this_block: u64,
    pub(crate) this_interval: u64,
    /// Block in which the interval began.
    pub(crate) since: Block,
}

/// The neuron with the lowest score so far.
struct Candidate {
    score: u16,
    uid: Uid,
}

impl Registrations {
    pub(crate) fn new(rules: &Hyperparameters, genesis: Block) -> Self {
        Self {
            burn: rules.burn,
            this_block: 0,
            this_interval: 0,
            since: genesis,
        }
    }

    /// Begins a block: resets the counts and adjusts the price.
    pub(crate) fn begin_block(&mut self, rules: &Hyperparameters, block: Block) {
        self.this_block = 0;
        let burn = match rules.rule_set {
            RuleSet::Classic => self.burn,
            RuleSet::Today => decayed(self.burn, rules.burn_half_life),
        };
        self.set_burn(burn, rules);
        if block.0.saturating_sub(self.since.0) < rules.adjustment_interval {
            return;
        }
        if rules.rule_set == RuleSet::Classic {
            let target = u128::from(rules.target_registrations_per_interval);
            let seen = u128::from(self.this_interval) + target;
            let burn = (u128::from(self.burn.0) * seen).checked_div(2 * target);
            let burn = burn.and_then(|burn| u64::try_from(burn).ok());
            self.set_burn(Rao(burn.unwrap_or(u64::MAX)), rules);
        }
        self.this_interval = 0;
        self.since = block;
    }

    fn check_caps(&self, rules: &Hyperparameters) -> Result<(), DispatchError> {
        if self.this_block >= rules.max_registrations_per_block.into() {
            return Err(DispatchError::TooManyRegistrationsThisBlock);
        }
        if self.this_interval >= 3 * u64::from(rules.target_registrations_per_interval) {
            return Err(DispatchError::TooManyRegistrationsThisInterval);
        }
        Ok(())
    }

    fn count(&mut self) {
        self.this_block += 1;
        self.this_interval += 1;
    }

    fn raise_burn(&mut self, rules: &Hyperparameters) {
        if rules.rule_set == RuleSet::Today {
            let raised = u128::from(self.burn.0) * u128::from(rules.burn_increase) / 100;
            self.set_burn(Rao(u64::try_from(raised).unwrap_or(u64::MAX)), rules);
        }
    }

    fn set_burn(&mut self, burn: Rao, rules: &Hyperparameters) {
        self.burn = burn.max(rules.min_burn).min(rules.max_burn);
    }
}

impl State {
    /// Registers a hotkey without a price.
    pub(crate) fn register(
        &mut self,
        hotkey: Hotkey,
        coldkey: Coldkey,
        block: Block,
    ) -> Result<(), DispatchError> {
        if !self.rules.network_free_registration_allowed {
            return Err(DispatchError::RegistrationDisabled);
        }
        self.check_registration(&hotkey)?;
        self.check_owner(&hotkey, &coldkey)?;
        let place = self.place(block)?;
        self.settle(hotkey, coldkey, place, block);
        self.registrations.count();
        Ok(())
    }

    /// Registers a hotkey for the current price.
    pub(crate) fn burned_register(
        &mut self,
        hotkey: Hotkey,
        coldkey: Coldkey,
        block: Block,
    ) -> Result<(), DispatchError> {
        self.check_registration(&hotkey)?;
        let price = self.registrations.burn;
        if !self.accounts.can_withdraw(&coldkey, price) {
            return Err(DispatchError::NotEnoughBalanceToStake);
        }
        self.check_owner(&hotkey, &coldkey)?;
        let place = self.place(block)?;
        let paid = self.accounts.withdraw(&coldkey, price);
        self.accounts
            .burn(paid.ok_or(DispatchError::NotEnoughBalanceToStake)?);
        self.settle(hotkey, coldkey, place, block);
        self.registrations.count();
        self.registrations.raise_burn(&self.rules);
        Ok(())
    }

    fn check_registration(&self, hotkey: &Hotkey) -> Result<(), DispatchError> {
        if !self.rules.network_registration_allowed {
            return Err(DispatchError::RegistrationDisabled);
        }
        self.registrations.check_caps(&self.rules)?;
        if self.uids.contains_key(hotkey) {
            return Err(DispatchError::AlreadyRegistered);
        }
        Ok(())
    }

    /// Checks that the hotkey has no other owner. A hotkey keeps its first owner permanently.
    pub(crate) fn check_owner(&self, hotkey: &Hotkey, coldkey: &Coldkey) -> Result<(), DispatchError> {
        match self.owners.get(hotkey) {
            Some(owner) if owner != coldkey => Err(DispatchError::NonAssociatedColdKey),
            _ => Ok(()),
        }
    }

    /// Returns the next free uid, or that of the neuron that a newcomer replaces.
    pub(crate) fn place(&self, block: Block) -> Result<Uid, DispatchError> {
        let neurons = self.neurons.len() as u64;
        if neurons < self.rules.max_allowed_uids.min(MAX_UIDS).into() {
            return Ok(Uid(neurons as u16));
        }
        let replaced = match self.rules.rule_set {
            RuleSet::Classic => self.least_score(block),
            RuleSet::Today => self.least_emission(block),
        };
        replaced.ok_or(DispatchError::NoNeuronIdAvailable)
    }

    pub(crate) fn settle(&mut self, hotkey: Hotkey, coldkey: Coldkey, place: Uid, block: Block) {
        self.owners.entry(hotkey).or_insert(coldkey);
        let mut newcomer = Neuron::registered(hotkey, coldkey, block);
        if let Some(place) = self.neurons.get_mut(place.index()) {
            let gone = place.hotkey;
            if self.rules.rule_set == RuleSet::Classic {
                // This score ensures that every neuron is replaced once before any is replaced a second time.
                newcomer.pruning_score = u16::MAX;
            }
            *place = Arc::new(newcomer);
            self.forget(gone);
        } else {
            self.neurons.push(Arc::new(newcomer));
        }
        self.uids.insert(hotkey, place);
        // A hotkey that was registered earlier may have stake.
        self.restake(hotkey);
    }

    /// Removes the data that only a neuron has. The chain of 2023 returns the stake, and today's leaves it with the
    /// hotkey.
    fn forget(&mut self, gone: Hotkey) {
        self.uids.remove(&gone);
        self.commits.remove(&gone);
        self.last_served.forget(&gone);
        self.metadata.forget(&gone);
        if self.rules.rule_set == RuleSet::Classic {
            self.accounts.unstake_all(gone);
        }
    }

    fn is_immune(&self, neuron: &Neuron, block: Block) -> bool {
        block.0.saturating_sub(neuron.block_at_registration.0) < self.rules.immunity_period
    }

    /// Returns the neuron to replace under the rules of 2023: the one with the lowest score past its immunity, of equal
    /// scores the last. If all are immune (or all others have the maximum score), it is the immune one with the lowest
    /// score, of equal scores the first.
    fn least_score(&self, block: Block) -> Option<Uid> {
        let none = || Candidate {
            score: u16::MAX,
            uid: Uid(0),
        };
        let (mut mortal, mut immune) = (none(), none());
        for (uid, neuron) in (0..=u16::MAX).map(Uid).zip(&self.neurons) {
            let score = neuron.pruning_score;
            if self.is_immune(neuron, block) {
                if score < immune.score {
                    immune = Candidate { score, uid };
                }
            } else if score <= mortal.score {
                mortal = Candidate { score, uid };
            }
        }
        let least = if mortal.score == u16::MAX { immune } else { mortal };
        self.neurons.get(least.uid.index()).map(|_| least.uid)
    }

    /// Returns the neuron to replace under today's rules: the one with the lowest emission past its immunity, then the
    /// earliest registration, then the lowest uid. If too few would remain past their immunity, an immune one is chosen
    /// by the same order. The owner's hotkey is never replaced.
    fn least_emission(&self, block: Block) -> Option<Uid> {
        let owner = self.owner_uid();
        let candidates = (0..=u16::MAX)
            .map(Uid)
            .zip(&self.neurons)
            .filter(|(uid, _)| Some(*uid) != owner);
        let (immune, mortal): (Vec<_>, Vec<_>) =
            candidates.partition(|(_, neuron)| self.is_immune(neuron, block));
        let spare = mortal.len() > usize::from(self.rules.min_non_immune_uids);
        let among = if spare { mortal } else { immune };
        let least = among
            .into_iter()
            .min_by_key(|(uid, neuron)| (neuron.emission, neuron.block_at_registration, *uid));
        least.map(|(uid, _)| uid)
    }
}

/// Returns the price after the decay of one block. The factor, with 32 bits after the point, is the largest that halves
/// the price within the half-life.
fn decayed(burn: Rao, half_life: u16) -> Rao {
    if half_life == 0 {
        return burn;
    }
    let factor = decay_factor(half_life);
    Rao(((u128::from(burn.0) * u128::from(factor)) >> 32) as u64)
}

/// Returns the largest factor below 1 whose power by the half-life is at most one half, with 32 bits after the point.
fn decay_factor(half_life: u16) -> u64 {
    const ONE: u64 = 1 << 32;
    let (mut low, mut high) = (0, ONE);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if power(middle, half_life) <= ONE / 2 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Returns a power of a factor of at most 1, with 32 bits after the point, each product rounded down.
fn power(factor: u64, mut exponent: u16) -> u64 {
    let product = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 32) as u64;
    let (mut square, mut power) = (factor, 1 << 32);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = product(power, square);
        }
        square = product(square, square);
        exponent >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rule_set: RuleSet) -> Hyperparameters {
        Hyperparameters {
            rule_set,
            adjustment_interval: 10,
            target_registrations_per_interval: 2,
            burn: Rao(1_000_000),
            min_burn: Rao(300_000),
            max_burn: Rao(2_500_000),
            burn_half_life: 360,
            burn_increase: 126,
            ..Hyperparameters::CLASSIC
        }
    }

    #[test]
    fn the_classic_price_depends_on_the_registrations_of_the_interval() {
        // The price is burn * (seen + 2) / 4, within its bounds: 3/2 with 4 seen, 1/2 with none.
        let rules = rules(RuleSet::Classic);
        let mut registrations = Registrations::new(&rules, Block(0));
        let mut after = |seen, block| {
            registrations.this_interval = seen;
            registrations.begin_block(&rules, Block(block));
            registrations.burn.0
        };
        assert_eq!(after(4, 9), 1_000_000);
        assert_eq!(after(4, 10), 1_500_000);
        assert_eq!(after(2, 20), 1_500_000);
        assert_eq!(after(6, 30), 2_500_000);
        assert_eq!(after(0, 40), 1_250_000);
        assert_eq!(after(0, 50), 625_000);
        assert_eq!(after(0, 60), 312_500);
        assert_eq!(after(0, 70), 300_000);
    }

    #[test]
    fn the_price_of_today_halves_within_the_half_life() {
        let rules = Hyperparameters {
            min_burn: Rao(0),
            ..rules(RuleSet::Today)
        };
        let mut registrations = Registrations::new(&rules, Block(0));
        for block in 1..=360 {
            registrations.begin_block(&rules, Block(block));
        }
        // The price is rounded down once in each of the 360 blocks.
        assert!((499_000..=500_000).contains(&registrations.burn.0));
        registrations.burn = Rao(100);
        registrations.raise_burn(&rules);
        assert_eq!(registrations.burn, Rao(126));
    }

    #[test]
    fn the_decay_factor_is_the_largest_that_halves() {
        for half_life in [1, 2, 10, 360, u16::MAX] {
            let factor = decay_factor(half_life);
            assert!(power(factor, half_life) <= 1 << 31);
            assert!(power(factor + 1, half_life) > 1 << 31);
        }
    }
}
