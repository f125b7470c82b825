//! `ConstantGatingModel`: scores that do not depend on the text of the question.

use mirror_seed::Seed;
use mirror_spec::ConstantGatingArgs;

use super::{GatingModel, Question};
use crate::value;

/// Scores from a value by uid. A plain number gives every uid the same score.
pub(super) struct ConstantGatingModel {
    args: ConstantGatingArgs,
    seed: Seed,
    num_nodes: usize,
}

impl ConstantGatingModel {
    pub(super) fn new(args: ConstantGatingArgs, seed: Seed, num_nodes: usize) -> Self {
        Self {
            args,
            seed,
            num_nodes,
        }
    }
}

impl GatingModel for ConstantGatingModel {
    fn scores(&mut self, question: &Question<'_>) -> Vec<f32> {
        value::numbers(&self.args.value, self.num_nodes, &self.seed, &question.forward)
    }
}
