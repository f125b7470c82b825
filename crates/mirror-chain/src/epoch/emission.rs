//! Who is paid what, and who would be missed least.

use super::I32F32;
use super::matrix::{normalised, over_sum};
use crate::Rao;

/// The split of an epoch's emission, by uid. Each is rounded down by itself.
pub(super) struct Emission {
    /// For what was given to it.
    pub(super) server: Vec<Rao>,
    /// For what it gave.
    pub(super) validator: Vec<Rao>,
    /// Both, as one share of all.
    pub(super) combined: Vec<Rao>,
    /// The shares that `combined` was made from.
    pub(super) shares: Vec<I32F32>,
}

/// Half for incentive and half for dividends; where nobody earns either, all by stake: active, or else any.
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

/// By uid, its share of the emission, the largest being 65,535; who has the lowest is replaced first.
pub(super) fn pruning_scores(shares: &[I32F32]) -> Vec<u16> {
    let largest = shares.iter().copied().max().unwrap_or_default();
    let all = I32F32::whole(u16::MAX.into());
    shares
        .iter()
        .map(|share| share.times(all).over(largest).round_to_u16())
        .collect()
}
