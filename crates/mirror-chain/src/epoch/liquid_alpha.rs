//! Liquid alpha: a separate rate for each pair of neurons, which depends on the distances between weight, bond and
//! consensus.

use super::matrix::{Entry, Matrix, row_within};
use super::{I32F32, LiquidAlpha};

/// Moves bonds towards weights, each at a separate rate. A neuron keeps a bond only if the weights have an entry for
/// it, even if the entry is 0.
///
/// Subtensor computes a rate for every pair of uids. This function computes it only for pairs with a weight, because no
/// other rate is used.
pub(super) fn moved(
    weights: &Matrix,
    bonds: &Matrix,
    consensus: &[I32F32],
    parameters: LiquidAlpha,
) -> Matrix {
    let sigmoid = Sigmoid::new(parameters);
    // The bonds of one row by uid, each with its value in the computation of the rate.
    let mut ranges = vec![BondRange::default(); consensus.len()];
    let mut rates = Vec::new();
    let rows = weights.rows.iter().zip(&bonds.rows).map(|(weights, bonds)| {
        for ((uid, bond), seen) in in_sight(bonds) {
            ranges[uid.index()] = BondRange { bond, seen };
        }
        let distances = in_sight(weights)
            .map(|((uid, _), seen)| distance(consensus[uid.index()], seen, ranges[uid.index()].seen));
        rates.clear();
        rates.extend(distances);
        sigmoid.rates_of(&mut rates);
        let moved = weights.iter().zip(&rates).filter_map(|(&(uid, weight), &rate)| {
            let kept = (I32F32::ONE - rate).times(ranges[uid.index()].bond);
            let bond = (kept + rate.times(weight)).min(I32F32::ONE);
            (bond > I32F32::ZERO).then_some((uid, bond))
        });
        let moved = row_within(weights.len(), moved);
        for &(uid, _) in bonds {
            ranges[uid.index()] = BondRange::default();
        }
        moved
    });
    Matrix { rows: rows.collect() }
}

#[derive(Debug, Clone, Copy, Default)]
struct BondRange {
    bond: I32F32,
    seen: I32F32,
}

/// Returns each entry with the value that Subtensor uses for it in the computation of the rate. Subtensor walks the row
/// once along rising uids. It therefore skips an entry that follows one with a higher uid, and uses 0 for it.
fn in_sight(row: &[Entry]) -> impl Iterator<Item = (Entry, I32F32)> {
    row.iter().scan(None, |highest, &(uid, value)| {
        let passed_over = *highest > Some(uid);
        *highest = (*highest).max(Some(uid));
        Some(((uid, value), if passed_over { I32F32::ZERO } else { value }))
    })
}

/// Returns the distance of a pair, 0..=1. If the weight is at least the bond (buying), it is the excess of the weight
/// over the consensus. Otherwise (selling), it is the excess of the bond over the weight.
fn distance(consensus: I32F32, weight: I32F32, bond: I32F32) -> I32F32 {
    let distance = if weight >= bond {
        weight - consensus
    } else {
        bond - weight
    };
    distance.clamp(I32F32::ZERO, I32F32::ONE)
}

/// The function from distances to rates.
struct Sigmoid {
    low: I32F32,
    high: I32F32,
    /// The factor of the exponent.
    slope: I32F32,
    /// The rate at distance 0. Every pair whose weight was clipped and whose bond does not exceed its weight has this
    /// rate.
    at_zero: I32F32,
}

/// Number of rates that are computed together.
const AT_ONCE: usize = 4;

impl Sigmoid {
    fn new(parameters: LiquidAlpha) -> Self {
        let mut sigmoid = Self {
            low: I32F32::from_u16_share(parameters.low),
            high: I32F32::from_u16_share(parameters.high),
            slope: I32F32::whole(parameters.steepness.into()).over(I32F32::whole(-100)),
            at_zero: I32F32::ZERO,
        };
        [sigmoid.at_zero] = sigmoid.at([I32F32::ZERO]);
        sigmoid
    }

    /// Replaces each distance by its rate.
    fn rates_of(&self, distances: &mut [I32F32]) {
        let (together, rest) = distances.as_chunks_mut::<AT_ONCE>();
        for distances in together {
            *distances = if distances.iter().all(|&distance| distance == I32F32::ZERO) {
                [self.at_zero; AT_ONCE]
            } else {
                self.at(*distances)
            };
        }
        for distance in rest {
            [*distance] = self.at([*distance]);
        }
    }

    fn at<const N: usize>(&self, distances: [I32F32; N]) -> [I32F32; N] {
        let exponents = distances.map(|distance| self.slope.times(distance - I32F32::HALF));
        I32F32::exp_within_20(exponents).map(|exponential| {
            let sigmoid = (I32F32::ONE + exponential).inverse();
            (self.low + sigmoid.times(self.high - self.low)).clamp(self.low, self.high)
        })
    }
}
