//! `RandomGatingModel`: random scores, drawn for each question or only once.

use mirror_seed::Seed;
use mirror_spec::{RandomGatingArgs, Value};

use super::{GatingModel, Question};
use crate::value;

/// Random scores, which serve as the control of an experiment with gating.
pub(super) struct RandomGatingModel {
    value: Value,
    seed: Seed,
    num_nodes: usize,
}

impl RandomGatingModel {
    pub(super) fn new(args: RandomGatingArgs, seed: Seed, num_nodes: usize) -> Self {
        let value = if args.frozen {
            Value::FrozenRandomValue(args.distribution)
        } else {
            Value::RandomValue(args.distribution)
        };
        Self {
            value,
            seed,
            num_nodes,
        }
    }
}

impl GatingModel for RandomGatingModel {
    fn scores(&mut self, question: &Question<'_>) -> Vec<f32> {
        value::numbers(&self.value, self.num_nodes, &self.seed, &question.forward)
    }
}
