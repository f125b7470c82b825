//! `RandomRewardModel`: random rewards, independent of the completion.

use mirror_seed::Seed;
use mirror_spec::RandomRewardArgs;

use super::{Candidate, RewardModel};
use crate::value;

/// Draws one reward per call, so that a reward does not depend on the other completions.
pub(super) struct RandomRewardModel {
    args: RandomRewardArgs,
    stream: Seed,
}

impl RandomRewardModel {
    pub(super) fn new(args: RandomRewardArgs, seed: Seed) -> Self {
        Self {
            args,
            stream: value::stream(&seed, &args.distribution),
        }
    }
}

impl RewardModel for RandomRewardModel {
    fn rewards(&mut self, candidates: &[Candidate<'_>]) -> Vec<f32> {
        let draw = |candidate: &Candidate<'_>| {
            let mut generator = self.stream.about_call("reward", &candidate.call).generator();
            value::sample(&self.args.distribution, &mut generator)
        };
        candidates.iter().map(draw).collect()
    }
}
