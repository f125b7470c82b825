//! `LongestMessageGatingModel`: prefers the uids with the longest completions.

use super::{GatingModel, Question, ResponseLength};

/// Scores of 1 for the `n` uids whose last completions were the longest, and 0 for the rest and for uids without a
/// completion. Of equal lengths, the lower uid is preferred.
pub(super) struct LongestMessageGatingModel {
    /// Length of the last completion in characters, by uid.
    lengths: Vec<u32>,
    n: usize,
}

impl LongestMessageGatingModel {
    pub(super) fn new(num_nodes: usize, n: usize) -> Self {
        Self {
            lengths: vec![0; num_nodes],
            n,
        }
    }
}

impl GatingModel for LongestMessageGatingModel {
    fn scores(&mut self, _question: &Question<'_>) -> Vec<f32> {
        let mut longest_first: Vec<usize> = (0..self.lengths.len())
            .filter(|uid| self.lengths[*uid] > 0)
            .collect();
        longest_first.sort_by_key(|uid| std::cmp::Reverse(self.lengths[*uid]));
        let mut scores = vec![0.0; self.lengths.len()];
        for uid in longest_first.into_iter().take(self.n) {
            scores[uid] = 1.0;
        }
        scores
    }

    fn observe(&mut self, lengths: &[ResponseLength]) {
        for ResponseLength { uid, length } in lengths {
            if let Some(known) = self.lengths.get_mut(*uid as usize) {
                *known = *length;
            }
        }
    }
}
