//! What neurons earn at an epoch: the stake-weighted mean of the weights that permitted validators give them. It stands
//! in the place of Yuma consensus, whose name for its result it has.

use std::sync::Arc;

use crate::Neuron;

/// The incentive of each neuron, by uid; the largest is 65,535, and all are 0 where no permitted validator with stake
/// has set a weight.
///
/// A validator's row counts by the shares of its weights in their sum. Shares and products are integers with 32 and 64
/// bits after the point, rounded down, so that the order of summing changes nothing.
pub(crate) fn incentive(neurons: &[Arc<Neuron>]) -> Vec<u16> {
    let validators = || neurons.iter().filter(|neuron| neuron.validator_permit);
    let total_stake: u128 = validators().map(|validator| u128::from(validator.stake.0)).sum();
    let mut means = vec![0_u128; neurons.len()];
    for validator in validators() {
        let row_sum: u128 = validator
            .weights
            .iter()
            .map(|weight| u128::from(weight.weight))
            .sum();
        let stake_share = share(validator.stake.0.into(), total_stake);
        for weight in validator.weights.iter() {
            if let Some(mean) = means.get_mut(weight.uid.index()) {
                *mean += stake_share * share(weight.weight.into(), row_sum);
            }
        }
    }
    let largest = means.iter().copied().max().unwrap_or(0);
    let upscale = |mean: u128| (mean * u128::from(u16::MAX)).checked_div(largest).unwrap_or(0) as u16;
    means.into_iter().map(upscale).collect()
}

/// `part / whole` with 32 bits after the point, rounded down; of nothing, 0.
fn share(part: u128, whole: u128) -> u128 {
    (part << 32).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use mirror_identity::PublicKey;

    use super::*;
    use crate::{Block, Rao, Uid, Weight};

    fn neuron(stake: u64, validator_permit: bool, weights: &[(u16, u16)]) -> Arc<Neuron> {
        Arc::new(Neuron {
            hotkey: PublicKey::from_bytes([0; 32]),
            coldkey: PublicKey::from_bytes([0; 32]),
            stake: Rao(stake),
            axon: None,
            validator_permit,
            last_update: Block(0),
            block_at_registration: Block(0),
            incentive: 0,
            weights: weights
                .iter()
                .map(|&(uid, weight)| Weight {
                    uid: Uid(uid),
                    weight,
                })
                .collect(),
        })
    }

    #[track_caller]
    fn check(neurons: &[Arc<Neuron>], expected: &[u16]) {
        assert_eq!(incentive(neurons), expected);
    }

    #[test]
    fn each_row_counts_by_its_validators_stake() {
        // Stake 3:1; rows (1/2, 1/2) and (0, 1): means 3/8 and 5/8, so 3/5 of 65,535 beside 65,535.
        check(
            &[
                neuron(0, false, &[]),
                neuron(0, false, &[]),
                neuron(300, true, &[(0, 65_535), (1, 65_535)]),
                neuron(100, true, &[(1, 65_535)]),
            ],
            &[39_321, 65_535, 0, 0],
        );
    }

    #[test]
    fn rows_without_permit_or_stake_do_not_count() {
        check(
            &[
                neuron(0, false, &[]),
                neuron(900, false, &[(1, 65_535)]),
                neuron(0, true, &[(1, 65_535)]),
                neuron(1, true, &[(0, 65_535)]),
            ],
            &[65_535, 0, 0, 0],
        );
    }

    #[test]
    fn nobody_earns_where_nobody_gives() {
        check(&[], &[]);
        check(
            &[neuron(5, true, &[]), neuron(5, true, &[(0, 0), (1, 0)])],
            &[0, 0],
        );
    }

    #[test]
    fn the_largest_stakes_and_rows_do_not_overflow() {
        let row: Vec<(u16, u16)> = (0..=u16::MAX).map(|uid| (uid, u16::MAX)).collect();
        let validator = neuron(u64::MAX, true, &row);
        let neurons: Vec<_> = (0..32).map(|_| Arc::clone(&validator)).collect();
        check(&neurons, &[u16::MAX; 32]);
    }
}
