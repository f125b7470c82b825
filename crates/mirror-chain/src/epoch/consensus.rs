//! The consensus of the validators: for each neuron, the weight that is supported by enough stake.

use super::I32F32;
use super::matrix::{Matrix, normalised};
use crate::Uid;

/// Returns the stake-weighted median of each column: the smallest weight such that the stake of all validators that
/// give at most this weight exceeds the minority, which is all stake minus `kappa`. A validator without an entry gives
/// 0. A validator without stake does not count.
pub(super) fn weighted_median(weights: &Matrix, active_stake: &[I32F32], kappa: I32F32) -> Vec<I32F32> {
    let voters: Vec<usize> = (0..active_stake.len())
        .filter(|&uid| active_stake[uid] > I32F32::ZERO)
        .collect();
    let stakes = normalised(voters.iter().map(|&uid| active_stake[uid]).collect());
    let all: I32F32 = stakes.iter().copied().sum();
    let mut columns = Columns::new(weights, &voters);
    for (&voter, &stake) in voters.iter().zip(&stakes) {
        for &(uid, weight) in &weights.rows[voter] {
            if weight > I32F32::ZERO {
                columns.push(uid, Vote { weight, stake });
            }
        }
    }
    let tally = Tally {
        voters: voters.len(),
        all,
        minority: all - kappa,
    };
    columns.iter_mut().map(|votes| tally.median(votes)).collect()
}

/// The weight that a validator with stake gives to a neuron, more than 0.
#[derive(Debug, Clone, Copy)]
struct Vote {
    weight: I32F32,
    stake: I32F32,
}

/// The votes of all columns, one column after the other.
struct Columns {
    votes: Vec<Vote>,
    /// Position of the next vote of each column. Once all votes are added, the end of the column.
    ends: Vec<usize>,
}

impl Columns {
    /// Allocates room for the weights of the voters.
    fn new(weights: &Matrix, voters: &[usize]) -> Self {
        let mut ends = vec![0; weights.rows.len()];
        let given = voters.iter().flat_map(|&voter| &weights.rows[voter]);
        for &(uid, weight) in given {
            ends[uid.index()] += usize::from(weight > I32F32::ZERO);
        }
        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        let nothing = Vote {
            weight: I32F32::ZERO,
            stake: I32F32::ZERO,
        };
        Self {
            votes: vec![nothing; total],
            ends,
        }
    }

    fn push(&mut self, uid: Uid, vote: Vote) {
        let end = &mut self.ends[uid.index()];
        self.votes[*end] = vote;
        *end += 1;
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut [Vote]> {
        let mut begin = 0;
        let mut rest = self.votes.as_mut_slice();
        self.ends.iter().map(move |&end| {
            let (column, others) = std::mem::take(&mut rest).split_at_mut(end - begin);
            rest = others;
            begin = end;
            column
        })
    }
}

/// The values that are the same for all neurons.
struct Tally {
    voters: usize,
    all: I32F32,
    minority: I32F32,
}

impl Tally {
    fn median(&self, mut votes: &mut [Vote]) -> I32F32 {
        // The stake of the validators that give less than any of the remaining votes.
        let mut less = self.all - stake(votes);
        if votes.len() < self.voters && less > self.minority {
            return I32F32::ZERO;
        }
        let mut largest = I32F32::ZERO;
        while let Some(pivot) = votes.get(votes.len() / 2).map(|vote| vote.weight) {
            let (below, others) = partition(votes, |vote| vote.weight < pivot);
            let up_to_below = less + stake(below);
            if up_to_below > self.minority && !below.is_empty() {
                votes = below;
                continue;
            }
            let (at, above) = partition(others, |vote| vote.weight == pivot);
            largest = pivot;
            less = up_to_below + stake(at);
            if less > self.minority {
                break;
            }
            votes = above;
        }
        // If no stake exceeds the minority, the median is the largest weight.
        largest
    }
}

fn stake(votes: &[Vote]) -> I32F32 {
    votes.iter().map(|vote| vote.stake).sum()
}

/// Moves the votes for which `holds` is true to the front. Returns them and the other votes. The loop has no branch per
/// vote, which the processor could not predict.
fn partition(votes: &mut [Vote], holds: impl Fn(&Vote) -> bool) -> (&mut [Vote], &mut [Vote]) {
    let mut front = 0;
    for next in 0..votes.len() {
        let goes_to_front = holds(&votes[next]);
        votes.swap(front, next);
        front += usize::from(goes_to_front);
    }
    votes.split_at_mut(front)
}
