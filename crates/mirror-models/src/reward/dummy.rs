//! `DummyRewardModel`: counts over the text of the completion.

use mirror_spec::{DummyReward, DummyRewardArgs};

use super::{Candidate, RewardModel};

/// Counts characters, the characters of the longest word, or words.
pub(super) struct DummyRewardModel {
    args: DummyRewardArgs,
}

impl DummyRewardModel {
    pub(super) fn new(args: DummyRewardArgs) -> Self {
        Self { args }
    }
}

impl RewardModel for DummyRewardModel {
    fn rewards(&mut self, candidates: &[Candidate<'_>]) -> Vec<f32> {
        let count = |text: &str| match self.args.reward_type {
            DummyReward::QuestionLength => text.chars().count(),
            DummyReward::LongestWord => text
                .split_whitespace()
                .map(|word| word.chars().count())
                .max()
                .unwrap_or(0),
            DummyReward::NumWords => text.split_whitespace().count(),
        };
        candidates
            .iter()
            .map(|candidate| count(candidate.completion) as f32)
            .collect()
    }
}
