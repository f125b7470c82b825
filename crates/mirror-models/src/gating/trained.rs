//! What the gating models that learn have in common: tokens in, scores out, and a step of gradient descent.

use mirror_seed::CallId;
use tch::Tensor;

use super::{GatingModel, Question, TrainingExample};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use crate::training::{self, Trained};

/// From the tokens of a question to a score for each uid.
pub(crate) trait Network: Send {
    /// With gradients to the parameters that learn. There is a token at least.
    fn scores(&self, tokens: &[i64]) -> Tensor;

    /// The scores of a question without a token.
    fn scores_of_nothing(&self) -> Tensor;
}

/// A network with its tokenizer and its parameters.
pub(crate) struct TrainedGatingModel<N> {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) network: N,
    pub(crate) trained: Trained,
    num_nodes: i64,
    /// Scores of the question that was scored last, with the graph that leads to them. Gone after a step, which changes
    /// the parameters under it.
    last: Option<(CallId, Tensor)>,
    truncated: u32,
}

impl<N: Network> TrainedGatingModel<N> {
    pub(crate) fn new(tokenizer: Tokenizer, network: N, trained: Trained, num_nodes: usize) -> Self {
        Self {
            tokenizer,
            network,
            trained,
            num_nodes: num_nodes as i64,
            last: None,
            truncated: 0,
        }
    }

    /// Scores with their graph: [outputs].
    pub(crate) fn graph(&mut self, text: &str) -> Result<Tensor, ModelError> {
        let encoded = self.tokenizer.encode(text)?;
        self.truncated += u32::from(encoded.truncated);
        Ok(if encoded.ids.is_empty() {
            self.network.scores_of_nothing()
        } else {
            self.network.scores(&encoded.ids)
        })
    }

    /// A text that the tokenizer has no tokens for, as an axon may make one up, is scored as if it was empty.
    fn graph_of_any(&mut self, text: &str) -> Tensor {
        self.graph(text).unwrap_or_else(|error| {
            tracing::warn!(%error, "a question without tokens");
            self.network.scores_of_nothing()
        })
    }
}

impl<N: Network> GatingModel for TrainedGatingModel<N> {
    fn scores(&mut self, question: &Question<'_>) -> Vec<f32> {
        let graph = self.graph_of_any(question.text);
        let scores = numbers(&graph.narrow(0, 0, self.num_nodes));
        self.last = Some((question.forward, graph));
        scores
    }

    fn backward(&mut self, example: &TrainingExample<'_>) -> Option<f32> {
        if example.uids.is_empty() {
            return None;
        }
        let graph = match self.last.take() {
            Some((forward, graph)) if forward == example.question.forward => graph,
            _ => self.graph_of_any(example.question.text),
        };
        let loss = training::loss(&graph, example.uids, example.rewards);
        self.trained.step(&loss);
        Some(loss.double_value(&[]) as f32)
    }

    fn trained(&mut self) -> Option<&mut Trained> {
        Some(&mut self.trained)
    }

    fn take_truncated(&mut self) -> u32 {
        std::mem::take(&mut self.truncated)
    }
}

/// The numbers of a tensor of one dimension.
pub(crate) fn numbers(tensor: &Tensor) -> Vec<f32> {
    let mut numbers = vec![0.0; tensor.numel()];
    tensor
        .detach()
        .to_kind(tch::Kind::Float)
        .copy_data(&mut numbers, tensor.numel());
    numbers
}
