//! The emission of each neuron, and the pruning scores.

use super::I32F32;
use super::matrix::{normalised, over_sum};
use crate::Rao;

/// The split of an epoch's emission, by uid. Each amount is rounded down separately.
pub(super) struct Emission {
    /// Emission for incentive.
    pub(super) server: Vec<Rao>,
    /// Emission for dividends, or for stake if no neuron earns any.
    pub(super) validator: Vec<Rao>,
    /// The total, computed from one combined share.
    pub(super) combined: Vec<Rao>,
    /// The shares from which `combined` was computed.
    pub(super) shares: Vec<I32F32>,
}

/// Splits the emission: half for incentive and half for dividends. If no neuron earns either, all of it is paid by
/// active stake, or by any stake if none is active.
pub(super) fn emission(
    rao: Rao,
    incentive: &[I32F32],
    dividends: &[I32F32],
    active_stake: &[I32F32],
    stake: &[I32F32],
) -> Emission {
    let combined: Vec<I32F32> = incentive
        .iter()
        .zip(dividends)
        .map(|(&incentive, &dividend)| incentive + dividend)
        .collect();
    let sum: I32F32 = combined.iter().copied().sum();
    let (validator, shares) = if sum == I32F32::ZERO {
        let anyone_active = active_stake.iter().any(|&share| share != I32F32::ZERO);
        let by_stake = if anyone_active { active_stake } else { stake };
        (by_stake.to_vec(), by_stake.to_vec())
    } else {
        (over_sum(dividends.to_vec(), sum), normalised(combined))
    };
    let paid = |shares: &[I32F32]| shares.iter().map(|share| Rao(share.of(rao.0))).collect();
    Emission {
        server: paid(&over_sum(incentive.to_vec(), sum)),
        validator: paid(&validator),
        combined: paid(&shares),
        shares,
    }
}

/// Returns the share of the emission of each neuron, scaled so that the largest is 65,535. The neuron with the lowest
/// score is replaced first.
pub(super) fn pruning_scores(shares: &[I32F32]) -> Vec<u16> {
    let largest = shares.iter().copied().max().unwrap_or_default();
    let all = I32F32::whole(u16::MAX.into());
    shares
        .iter()
        .map(|share| share.times(all).over(largest).round_to_u16())
        .collect()
}
