//! `ConstantRewardModel`: rewards that do not depend on the completion.

use mirror_seed::Seed;
use mirror_spec::ConstantRewardArgs;

use super::{Candidate, RewardModel};
use crate::value;

/// Rewards from a value by position among the candidates. A plain number gives every candidate the same reward.
pub(super) struct ConstantRewardModel {
    args: ConstantRewardArgs,
    seed: Seed,
}

impl ConstantRewardModel {
    pub(super) fn new(args: ConstantRewardArgs, seed: Seed) -> Self {
        Self { args, seed }
    }
}

impl RewardModel for ConstantRewardModel {
    fn rewards(&mut self, candidates: &[Candidate<'_>]) -> Vec<f32> {
        let Some(first) = candidates.first() else {
            return Vec::new();
        };
        value::numbers(
            &self.args.forward_value,
            candidates.len(),
            &self.seed,
            &first.call,
        )
    }
}
