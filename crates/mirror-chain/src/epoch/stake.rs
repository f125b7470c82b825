//! Active neurons, shares of stake, and validator permits.

use super::matrix::normalised;
use super::{I32F32, Neuron, Rules, Today};
use crate::Rao;

/// Returns, by uid, whether the neuron set weights within the activity cutoff.
pub(super) fn activity(neurons: &[Neuron<'_>], rules: &Rules) -> Vec<bool> {
    neurons
        .iter()
        .map(|neuron| neuron.last_update.0.saturating_add(rules.activity_cutoff) >= rules.block.0)
        .collect()
}

/// Returns, by uid, the share of all stake. Today's variant ignores stake below the threshold, except the owner's.
pub(super) fn stake_shares(neurons: &[Neuron<'_>], today: Option<&Today>) -> Vec<I32F32> {
    let counts = |uid: usize, stake: Rao| {
        today.is_none_or(|today| {
            stake >= today.stake_threshold || today.owner.is_some_and(|owner| owner.index() == uid)
        })
    };
    let stakes: Vec<u64> = neurons
        .iter()
        .enumerate()
        .map(|(uid, neuron)| {
            if counts(uid, neuron.stake) {
                neuron.stake.0
            } else {
                0
            }
        })
        .collect();
    let sum = stakes.iter().sum();
    stakes
        .into_iter()
        .map(|stake| I32F32::ratio(stake, sum))
        .collect()
}

/// Returns, by uid, whether the neuron may validate in this epoch: the stored permits, and today also the owner.
pub(super) fn permits(neurons: &[Neuron<'_>], today: Option<&Today>) -> Vec<bool> {
    let stored = neurons.iter().map(|neuron| neuron.validator_permit).collect();
    with_owner(stored, today)
}

/// Returns, by uid, whether the neuron may validate in the next epoch: the neurons with the most stake, of equal stakes
/// the later uids. Today no neuron without stake gets a permit, and the owner always does.
pub(super) fn next_permits(stake: &[I32F32], most: u16, today: Option<&Today>) -> Vec<bool> {
    let mut by_stake: Vec<usize> = (0..stake.len()).collect();
    by_stake.sort_by_key(|&uid| stake[uid]);
    let mut permits: Vec<bool> = stake
        .iter()
        .map(|&share| today.is_none() || share != I32F32::ZERO)
        .collect();
    for &uid in &by_stake[..stake.len().saturating_sub(most.into())] {
        permits[uid] = false;
    }
    with_owner(permits, today)
}

fn with_owner(mut permits: Vec<bool>, today: Option<&Today>) -> Vec<bool> {
    if let Some(owner) = today.and_then(|today| today.owner) {
        permits[owner.index()] = true;
    }
    permits
}

/// Returns, by uid, the share of the stake of all neurons that are active and have a permit.
pub(super) fn active_stake(stake: &[I32F32], active: &[bool], permits: &[bool]) -> Vec<I32F32> {
    let masked = stake
        .iter()
        .zip(active.iter().zip(permits))
        .map(
            |(&share, (&active, &permitted))| {
                if active && permitted { share } else { I32F32::ZERO }
            },
        );
    normalised(masked.collect())
}
