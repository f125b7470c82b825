//! What validators agree on: by neuron, the weight that enough stake stands behind.

use super::I32F32;
use super::matrix::{Matrix, normalised};
use crate::Uid;

/// By column, the median of the weights by stake: the smallest weight such that the stake of those who give no more
/// than it is above the minority, `kappa` short of all. A validator without an entry gives 0, one without stake has no
/// say.
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

/// What a validator with stake gives a neuron, more than 0.
#[derive(Debug, Clone, Copy)]
struct Vote {
    weight: I32F32,
    stake: I32F32,
}

/// The votes by column, one column after the other.
struct Columns {
    votes: Vec<Vote>,
    /// Where the next vote of each column goes; once all are there, where the column ends.
    ends: Vec<usize>,
}

impl Columns {
    /// Room for the weights of the voters.
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

/// What is the same for all neurons.
struct Tally {
    voters: usize,
    all: I32F32,
    minority: I32F32,
}

impl Tally {
    fn median(&self, mut votes: &mut [Vote]) -> I32F32 {
        // The stake of those who give less than any of the votes at hand.
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
        // Where nobody's stake is above the minority, the largest weight.
        largest
    }
}

fn stake(votes: &[Vote]) -> I32F32 {
    votes.iter().map(|vote| vote.stake).sum()
}

/// The votes of which something holds, moved to the front, and the others. Without a branch for each vote, which the
/// processor could only guess.
fn partition(votes: &mut [Vote], holds: impl Fn(&Vote) -> bool) -> (&mut [Vote], &mut [Vote]) {
    let mut front = 0;
    for next in 0..votes.len() {
        let goes_to_front = holds(&votes[next]);
        votes.swap(front, next);
        front += usize::from(goes_to_front);
    }
    votes.split_at_mut(front)
}
