//! The calls that set weights, with the checks of Subtensor in their order and in its fixed-point arithmetic (32 bits
//! after the point).

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use mirror_identity::Hotkey;
use serde::{Deserialize, Serialize};

use crate::commitment::Commitment;
use crate::state::State;
use crate::{Block, DispatchError, RuleSet, Uid, Weights};

/// The weight that a neuron gives to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// The uid of the other neuron.
    pub uid: Uid,
    /// The weight. Only its proportion to the other weights of the same neuron counts.
    pub weight: u16,
}

/// Whether the rate limit applies. For committed weights it was already checked when they were committed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Limited,
    Committed,
}

impl State {
    /// Sets weights directly.
    pub(crate) fn set_weights(
        &mut self,
        hotkey: &Hotkey,
        weights: &Weights,
        block: Block,
    ) -> Result<(), DispatchError> {
        if self.rules.commit_reveal_weights_enabled {
            return Err(DispatchError::CommitRevealEnabled);
        }
        let row = self.checked_row(hotkey, weights, Pace::Limited, block)?;
        let neuron = Arc::make_mut(self.neuron_mut(hotkey)?);
        neuron.weights = row;
        neuron.last_update = block;
        Ok(())
    }

    /// Commits to weights that are revealed later.
    pub(crate) fn commit_weights(
        &mut self,
        hotkey: &Hotkey,
        commitment: Commitment,
        block: Block,
    ) -> Result<(), DispatchError> {
        if !self.rules.commit_reveal_weights_enabled {
            return Err(DispatchError::CommitRevealDisabled);
        }
        let uid = *self.uids.get(hotkey).ok_or(DispatchError::NotRegistered)?;
        self.check_rate(uid, block)
            .map_err(|_| DispatchError::CommittingWeightsTooFast)?;
        let period = self.reveal_period();
        let commits = self.commits.entry(*hotkey).or_default();
        commits.commit(commitment, block, period)?;
        Arc::make_mut(self.neuron_mut(hotkey)?).last_update = block;
        Ok(())
    }

    /// Reveals committed weights. If they are refused, the commitment is kept.
    pub(crate) fn reveal_weights(
        &mut self,
        hotkey: &Hotkey,
        weights: &Weights,
        salt: &[u16],
        block: Block,
    ) -> Result<(), DispatchError> {
        if !self.rules.commit_reveal_weights_enabled {
            return Err(DispatchError::CommitRevealDisabled);
        }
        let commits = self
            .commits
            .get(hotkey)
            .ok_or(DispatchError::NoWeightsCommitFound)?;
        let commitment = Commitment::new(hotkey, self.netuid, weights, salt);
        let place = commits.revealable(commitment, block, self.reveal_period())?;
        let row = self.checked_row(hotkey, weights, Pace::Committed, block)?;
        Arc::make_mut(self.neuron_mut(hotkey)?).weights = row;
        if let Entry::Occupied(mut commits) = self.commits.entry(*hotkey) {
            commits.get_mut().forget_to(place);
            if commits.get().is_empty() {
                commits.remove();
            }
        }
        Ok(())
    }

    /// Runs all checks in the real chain's order. Returns the row as it is stored, with the largest weight upscaled to
    /// 65,535.
    ///
    /// Weights that are all zero are accepted, as on the real chain. Such a row gives no weight to any neuron.
    fn checked_row(
        &self,
        hotkey: &Hotkey,
        set: &Weights,
        pace: Pace,
        block: Block,
    ) -> Result<Arc<[Weight]>, DispatchError> {
        let Weights {
            uids,
            weights,
            version_key,
        } = set;
        let rules = &self.rules;
        if uids.len() != weights.len() {
            return Err(DispatchError::WeightVecNotEqualSize);
        }
        if uids.len() > self.neurons.len() {
            return Err(DispatchError::TooManyUids);
        }
        let uid = *self.uids.get(hotkey).ok_or(DispatchError::NotRegistered)?;
        let setter = self
            .neurons
            .get(uid.index())
            .ok_or(DispatchError::NotRegistered)?;
        if rules.rule_set == RuleSet::Today
            && setter.stake < rules.stake_threshold
            && self.owner_uid() != Some(uid)
        {
            return Err(DispatchError::NotEnoughStakeToSetWeights);
        }
        if *version_key < rules.weights_version_key {
            return Err(DispatchError::IncorrectNetworkVersionKey);
        }
        if pace == Pace::Limited {
            self.check_rate(uid, block)?;
        }
        let only_for_itself = *uids == [uid];
        if !only_for_itself && !setter.validator_permit {
            return Err(DispatchError::NoValidatorPermit);
        }
        if uids.iter().collect::<BTreeSet<_>>().len() < uids.len() {
            return Err(DispatchError::DuplicateUids);
        }
        if uids.iter().any(|uid| uid.index() >= self.neurons.len()) {
            return Err(DispatchError::InvalidUid);
        }
        if !only_for_itself && uids.len() < rules.min_allowed_weights.into() {
            return Err(DispatchError::NotSettingEnoughWeights);
        }
        let upscaled = max_upscaled(weights);
        let limit = share(rules.max_weight_limit.into(), u16::MAX.into());
        if !only_for_itself && largest_share(&upscaled) > limit {
            return Err(DispatchError::MaxWeightExceeded);
        }
        let row = uids.iter().zip(upscaled);
        Ok(row.map(|(&uid, weight)| Weight { uid, weight }).collect())
    }

    fn check_rate(&self, uid: Uid, block: Block) -> Result<(), DispatchError> {
        let setter = self
            .neurons
            .get(uid.index())
            .ok_or(DispatchError::NotRegistered)?;
        let since_last = block.0.saturating_sub(setter.last_update.0);
        if setter.last_update.0 != 0 && since_last < self.rules.weights_set_rate_limit {
            return Err(DispatchError::SettingWeightsTooFast);
        }
        Ok(())
    }
}

/// Scales the weights so that the largest is 65,535, rounding halves up. If the largest is above half the range, the
/// chain multiplies by a factor that was already rounded down, which can affect the last digit.
fn max_upscaled(weights: &[u16]) -> Vec<u16> {
    const FULL: u64 = u16::MAX as u64;
    const HALF_RANGE: u64 = 32_768;
    let largest = u64::from(weights.iter().copied().max().unwrap_or(0));
    if largest == 0 {
        return weights.to_vec();
    }
    let factor = (FULL << 32) / largest;
    let upscale = |weight: u64| {
        if largest > HALF_RANGE {
            (weight * factor + (1 << 31)) >> 32
        } else {
            (2 * weight * FULL + largest) / (2 * largest)
        }
    };
    weights
        .iter()
        .map(|&weight| upscale(weight.into()) as u16)
        .collect()
}

/// Returns the share of the largest weight in the sum of all weights, with 32 bits after the point.
fn largest_share(weights: &[u16]) -> u64 {
    let sum = weights.iter().copied().map(u64::from).sum();
    share(weights.iter().copied().max().unwrap_or(0).into(), sum)
}

/// Returns `part / whole` with 32 bits after the point, rounded down. Returns 0 if `whole` is 0.
fn share(part: u64, whole: u64) -> u64 {
    (part << 32).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_weight_becomes_65535() {
        // Each value is round(w * 65535 / max), calculated manually.
        assert_eq!(max_upscaled(&[1, 2, 4]), [16_384, 32_768, 65_535]);
        assert_eq!(max_upscaled(&[0, 65_535, 1]), [0, 65_535, 1]);
        assert_eq!(max_upscaled(&[32_769, 0]), [65_535, 0]);
        assert_eq!(max_upscaled(&[0, 0]), [0, 0]);
        assert!(max_upscaled(&[]).is_empty());
    }

    #[test]
    fn upscaling_is_within_one_of_the_exact_ratio_and_keeps_the_order() {
        for largest in [1_u16, 2, 3, 1_000, 32_767, 32_768, 32_769, 50_000, 65_534] {
            let weights: Vec<u16> = (0..=largest)
                .step_by(1 + usize::from(largest / 500))
                .chain([largest])
                .collect();
            let upscaled = max_upscaled(&weights);
            assert!(upscaled.is_sorted());
            for (weight, upscaled) in weights.iter().zip(upscaled) {
                let exact = u64::from(*weight) * 65_535;
                let difference = exact.abs_diff(u64::from(upscaled) * u64::from(largest));
                assert!(difference <= u64::from(largest));
            }
        }
    }
}
