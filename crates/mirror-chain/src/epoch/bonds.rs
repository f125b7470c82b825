//! Bonds: the shares that validators hold in neurons for having given them weight early, and the dividends on them.

use super::matrix::{Matrix, normalised, row_within};
use super::{Bond, Bonds, I32F32, Neuron, Rules, Today, Variant, liquid_alpha};
use crate::Uid;

/// The moving average that keeps all of the old bonds, in millionths.
pub(super) const WHOLE_MOVING_AVERAGE: u64 = 1_000_000;

/// The bonds after an epoch, as stored, and their dividends.
pub(super) struct BondUpdate {
    pub(super) bonds: Matrix,
    /// Share of all dividends, by uid.
    pub(super) dividends: Vec<I32F32>,
}

/// The inputs of a bond update.
pub(super) struct BondInputs<'a> {
    /// The weights from which bonds are made.
    pub(super) weights: Matrix,
    pub(super) consensus: &'a [I32F32],
    pub(super) active_stake: &'a [I32F32],
    pub(super) incentive: &'a [I32F32],
}

/// Moves the bonds according to the rules.
pub(super) fn update(neurons: &[Neuron<'_>], rules: &Rules, inputs: BondInputs<'_>) -> BondUpdate {
    let rate = moving_average_rate(rules.bonds_moving_average);
    match &rules.variant {
        Variant::Today(Today {
            bonds: Bonds::Yuma3(liquid_alpha),
            ..
        }) => {
            let stored = stored(neurons, rules, |bond, _| I32F32::from_u16_share(bond));
            let agreed = inputs.consensus.iter().any(|&weight| weight != I32F32::ZERO);
            let bonds = match liquid_alpha.filter(|_| agreed) {
                Some(parameters) => {
                    liquid_alpha::moved(&inputs.weights, &stored, inputs.consensus, parameters)
                }
                None => moving_average(&inputs.weights, &stored, rate),
            };
            yuma3_dividends(bonds, &inputs)
        }
        Variant::Classic | Variant::Today(_) => {
            let stored = stored(neurons, rules, |bond, column| I32F32::ratio(bond.into(), column));
            proportional(inputs, &stored, rate)
        }
    }
}

/// Moves the bonds, as shares of their column, towards the weights times stake of each validator.
fn proportional(inputs: BondInputs<'_>, stored: &Matrix, rate: I32F32) -> BondUpdate {
    let bought = inputs
        .weights
        .map(|from, _, weight| weight.times(inputs.active_stake[from]))
        .column_normalised();
    let bonds = moving_average(&bought, stored, rate).column_normalised();
    let dividends = normalised(bonds.row_sums_by(inputs.incentive));
    BondUpdate {
        bonds: bonds.column_upscaled(),
        dividends,
    }
}

/// Computes dividends from the stake and the shares of each column. The bonds are stored unchanged.
fn yuma3_dividends(bonds: Matrix, inputs: &BondInputs<'_>) -> BondUpdate {
    let earned = bonds.row_sums_of_column_shares_by(inputs.incentive);
    let by_stake = earned.iter().zip(inputs.active_stake);
    let dividends = normalised(by_stake.map(|(sum, &stake)| sum.times(stake)).collect());
    BondUpdate { bonds, dividends }
}

/// Returns the stored bonds that still refer to the neuron for which they were made. `number` converts each from the
/// stored value and the sum of its column.
fn stored(neurons: &[Neuron<'_>], rules: &Rules, number: impl Fn(u16, u64) -> I32F32) -> Matrix {
    let last_epoch = match &rules.variant {
        Variant::Classic => None,
        Variant::Today(today) => Some(match today.last_epoch {
            Some(block) => block.0.saturating_add(1),
            None => rules.block.0.saturating_sub(today.tempo),
        }),
    };
    let valid = |from: &Neuron<'_>, bond: &Bond| {
        let made_before = last_epoch.unwrap_or(from.last_update.0);
        made_before > neurons[bond.uid.index()].block_at_registration.0
    };
    let mut columns = vec![0_u64; neurons.len()];
    for neuron in neurons {
        for bond in neuron.bonds.iter().filter(|bond| valid(neuron, bond)) {
            columns[bond.uid.index()] += u64::from(bond.bond);
        }
    }
    let row = |neuron: &Neuron<'_>| {
        let valid = neuron.bonds.iter().filter(|bond| valid(neuron, bond));
        let numbers = valid.map(|bond| (bond.uid, number(bond.bond, columns[bond.uid.index()])));
        row_within(neuron.bonds.len(), numbers)
    };
    Matrix {
        rows: neurons.iter().map(row).collect(),
    }
}

/// Returns the rate of the moving average: the share of the new bonds.
fn moving_average_rate(kept: u64) -> I32F32 {
    I32F32::ONE - I32F32::ratio(kept, WHOLE_MOVING_AVERAGE)
}

/// Returns `rate` of the new bonds plus the rest of the old ones, each rounded down, ordered by uid and without zeros.
fn moving_average(new: &Matrix, old: &Matrix, rate: I32F32) -> Matrix {
    let kept = I32F32::ONE - rate;
    let mut sums = vec![I32F32::ZERO; new.rows.len()];
    let rows = new.rows.iter().zip(&old.rows).map(|(new, old)| {
        if new.is_empty() && old.is_empty() {
            return Vec::new();
        }
        for &(uid, value) in new {
            sums[uid.index()] = rate.times(value);
        }
        for &(uid, value) in old {
            let sum = &mut sums[uid.index()];
            *sum = *sum + kept.times(value);
        }
        let by_uid = (0..).map(Uid).zip(&mut sums);
        let taken = by_uid.map(|(uid, sum)| (uid, std::mem::take(sum)));
        row_within(
            new.len() + old.len(),
            taken.filter(|&(_, value)| value > I32F32::ZERO),
        )
    });
    Matrix { rows: rows.collect() }
}

/// Returns the bonds as the chain stores them: only rows of neurons that may validate in the next epoch. In 2023 the
/// row of a neuron without a permit before and after the epoch was left unchanged.
pub(super) fn kept(
    bonds: &Matrix,
    neurons: &[Neuron<'_>],
    next_permits: &[bool],
    variant: &Variant,
) -> Vec<Vec<Bond>> {
    let row = |((row, neuron), &permitted): ((&Vec<_>, &Neuron<'_>), &bool)| {
        if permitted {
            let stored = |&(uid, value): &(_, I32F32)| Bond {
                uid,
                bond: value.to_u16_share(),
            };
            row.iter().map(stored).collect()
        } else if *variant == Variant::Classic && !neuron.validator_permit {
            neuron.bonds.to_vec()
        } else {
            Vec::new()
        }
    };
    bonds
        .rows
        .iter()
        .zip(neurons)
        .zip(next_permits)
        .map(row)
        .collect()
}
