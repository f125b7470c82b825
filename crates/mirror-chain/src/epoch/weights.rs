//! The weights that count in an epoch.

use super::matrix::{Entry, Matrix, row_within};
use super::{I32F32, Neuron, Today};
use crate::{Block, Uid, Weight};

/// Returns the weights that count, normalised so that each row sums to 1. They are the weights of validators with a
/// permit, except for themselves, for neurons that were registered before the weights were set and, today with
/// commit-reveal, not after they were committed. Today the owner's weight for itself also counts.
pub(super) fn counted_weights(neurons: &[Neuron<'_>], permits: &[bool], today: Option<&Today>) -> Matrix {
    let owner = today.and_then(|today| today.owner);
    let commits = today.and_then(|today| today.commits.as_deref());
    let rows = neurons.iter().enumerate().map(|(from, neuron)| {
        if !permits[from] {
            return Vec::new();
        }
        let committed = commits.and_then(|commits| commits[from]);
        row_normalised(neuron.weights, |to| {
            let registered = neurons[to.index()].block_at_registration;
            let for_itself = to.index() == from && owner != Some(to);
            !for_itself && neuron.last_update > registered && !knew_too_little(committed, registered)
        })
    });
    Matrix { rows: rows.collect() }
}

/// Returns whether the weights were committed before the neuron that receives them was registered.
fn knew_too_little(committed: Option<Block>, registered: Block) -> bool {
    committed.is_some_and(|committed| committed < registered)
}

/// Returns the counted weights as shares of their sum, or zeros if the sum is 0.
fn row_normalised(weights: &[Weight], counts: impl Fn(Uid) -> bool) -> Vec<Entry> {
    let counted = || weights.iter().filter(|weight| counts(weight.uid));
    let sum = counted().map(|weight| u64::from(weight.weight)).sum();
    let share = |weight: &Weight| (weight.uid, I32F32::ratio(weight.weight.into(), sum));
    row_within(weights.len(), counted().map(share))
}

/// Reduces weights above the consensus to the consensus. Leaves out weights above a consensus of 0.
pub(super) fn clipped(weights: &Matrix, consensus: &[I32F32]) -> Matrix {
    let clip = |&(uid, weight): &Entry| {
        let limit = consensus[uid.index()];
        match weight > limit {
            true if limit == I32F32::ZERO => None,
            true => Some((uid, limit)),
            false => Some((uid, weight)),
        }
    };
    let rows = weights.rows.iter();
    Matrix {
        rows: rows
            .map(|row| row_within(row.len(), row.iter().filter_map(clip)))
            .collect(),
    }
}

/// Returns the weights from which bonds are made: the weights as set if `penalty` is 0, the clipped weights if it is 1,
/// and otherwise weights in between, ordered by uid and without zeros.
pub(super) fn penalised(weights: Matrix, clipped: Matrix, consensus: &[I32F32], penalty: I32F32) -> Matrix {
    if penalty == I32F32::ZERO {
        return weights;
    }
    if penalty == I32F32::ONE {
        return clipped;
    }
    let mut between = weights.map(|_, uid, weight| {
        let clipped = weight.min(consensus[uid.index()]);
        weight + penalty.times(clipped - weight)
    });
    for row in &mut between.rows {
        row.retain(|&(_, weight)| weight > I32F32::ZERO);
        row.sort_unstable_by_key(|&(uid, _)| uid);
    }
    between
}
