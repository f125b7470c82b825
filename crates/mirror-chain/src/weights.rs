//! The rules for setting weights, as Subtensor had them in 2023, in its order and its fixed point (32 bits after the
//! point).

use std::collections::BTreeSet;

use crate::{Block, Hyperparameters, Refusal, Uid};

/// What a neuron says another is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// The other.
    pub uid: Uid,
    /// How much; only its proportion to the setter's other weights counts.
    pub weight: u16,
}

/// Who sets weights, and when.
pub(crate) struct Setter {
    pub(crate) uid: Uid,
    pub(crate) validator_permit: bool,
    pub(crate) last_update: Block,
    /// The block in which they are set.
    pub(crate) block: Block,
}

/// The checks that need no registration.
pub(crate) fn check_lengths(uids: &[Uid], weights: &[u16], neurons: usize) -> Result<(), Refusal> {
    if uids.len() != weights.len() {
        return Err(Refusal::WeightVecNotEqualSize);
    }
    if uids.len() > neurons {
        return Err(Refusal::TooManyUids);
    }
    Ok(())
}

/// The other checks, after [`check_lengths`]; gives the row as it is stored: the largest weight upscaled to 65,535.
///
/// Weights that are all zero pass, as they do on the real chain: a row that gives nobody anything.
pub(crate) fn checked_row(
    uids: &[Uid],
    weights: &[u16],
    version_key: u64,
    setter: &Setter,
    neurons: usize,
    rules: &Hyperparameters,
) -> Result<Vec<Weight>, Refusal> {
    if version_key < rules.weights_version_key {
        return Err(Refusal::IncorrectNetworkVersionKey);
    }
    let since_last = setter.block.0.saturating_sub(setter.last_update.0);
    if setter.last_update.0 != 0 && since_last < rules.weights_set_rate_limit {
        return Err(Refusal::SettingWeightsTooFast);
    }
    let only_for_itself = uids == [setter.uid];
    if !only_for_itself && !setter.validator_permit {
        return Err(Refusal::NoValidatorPermit);
    }
    if uids.iter().collect::<BTreeSet<_>>().len() < uids.len() {
        return Err(Refusal::DuplicateUids);
    }
    if uids.iter().any(|uid| uid.index() >= neurons) {
        return Err(Refusal::InvalidUid);
    }
    if !only_for_itself && uids.len() < rules.min_allowed_weights.into() {
        return Err(Refusal::NotSettingEnoughWeights);
    }
    let upscaled = max_upscaled(weights);
    if !only_for_itself && largest_share(&upscaled) > share(rules.max_weight_limit.into(), u16::MAX.into()) {
        return Err(Refusal::MaxWeightExceeded);
    }
    let row = uids.iter().zip(upscaled);
    Ok(row.map(|(&uid, weight)| Weight { uid, weight }).collect())
}

/// Scales so that the largest is 65,535, rounding half up. Above half the range the chain multiplies by a factor that
/// was rounded down before, which shows in the last digit.
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

/// The share of the largest weight in their sum, 32 bits after the point.
fn largest_share(weights: &[u16]) -> u64 {
    let sum = weights.iter().copied().map(u64::from).sum();
    share(weights.iter().copied().max().unwrap_or(0).into(), sum)
}

/// `part / whole` with 32 bits after the point, rounded down; of nothing, 0.
fn share(part: u64, whole: u64) -> u64 {
    (part << 32).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_weight_becomes_65535() {
        // Each value is round(w * 65535 / max), by hand.
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
