//! Pairs of uids that give the same completions in the same forward, and the faster uid of each pair.

use super::frequent::key;
use crate::forwards::{Collect, Forward};

/// Maximum number of uids that are compared with each other.
pub(crate) const MAX_UIDS: usize = 1_024;

/// Maximum number of answers of one forward that are compared with each other.
const MAX_ANSWERS: usize = 64;

/// Pairs of uids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sharing {
    /// Number of uids that fit in the tables, a power of two.
    size: usize,
    pairs: Vec<Pair>,
    /// Whether a uid was too large, or a forward had too many answers.
    pub(crate) incomplete: bool,
    answers: Vec<(u32, u64, f64)>,
}

/// Counts of the forwards of two uids. The fields of a pair belong to the first uid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Number of forwards in which both succeeded.
    pub(crate) together: u32,
    /// Number of those in which their completions were equal.
    pub(crate) equal: u32,
    /// Number of those in which the first uid was faster.
    pub(crate) first: u32,
}

impl Sharing {
    /// Returns what `one` and `other` did together.
    pub(crate) fn pair(&self, one: u32, other: u32) -> Pair {
        let (one, other) = (one as usize, other as usize);
        if one < self.size && other < self.size {
            self.pairs[one * self.size + other]
        } else {
            Pair::default()
        }
    }

    fn make_room(&mut self, uid: usize) {
        let size = (uid + 1).next_power_of_two();
        let mut pairs = vec![Pair::default(); size * size];
        for row in 0..self.size {
            let old = &self.pairs[row * self.size..(row + 1) * self.size];
            pairs[row * size..row * size + self.size].copy_from_slice(old);
        }
        (self.size, self.pairs) = (size, pairs);
    }
}

impl Collect for Sharing {
    fn add(&mut self, forward: &Forward<'_>) {
        let mut answers = std::mem::take(&mut self.answers);
        answers.clear();
        for call in forward.calls().filter(super::super::forwards::Call::is_success) {
            let uid = call.uid() as usize;
            if uid >= MAX_UIDS || answers.len() == MAX_ANSWERS {
                self.incomplete = true;
                continue;
            }
            if uid >= self.size {
                self.make_room(uid);
            }
            let latency = call.latency().unwrap_or(f64::INFINITY);
            answers.push((call.uid(), key(call.completion()), latency));
        }
        for &(one, text, latency) in &answers {
            for &(other, other_text, other_latency) in &answers {
                if one == other {
                    continue;
                }
                let pair = &mut self.pairs[one as usize * self.size + other as usize];
                pair.together += 1;
                if text == other_text {
                    pair.equal += 1;
                    pair.first += u32::from(latency < other_latency);
                }
            }
        }
        self.answers = answers;
    }
}
