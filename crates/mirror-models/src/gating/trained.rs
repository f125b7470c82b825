//! Common implementation of the gating models that learn: tokens in, scores out, and steps of gradient descent.

use mirror_seed::CallId;
use tch::Tensor;

use super::{GatingModel, Question, TrainingExample};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use crate::training::{self, Trained};

/// A network that maps the tokens of a question to a score for each uid.
pub(crate) trait Network: Send {
    /// Returns the scores, with gradients to the trained parameters. `tokens` contains at least one token.
    fn scores(&self, tokens: &[i64]) -> Tensor;

    /// Returns the scores of a question without tokens.
    fn scores_of_nothing(&self) -> Tensor;
}

/// A network with its tokenizer and its trained parameters.
pub(crate) struct TrainedGatingModel<N> {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) network: N,
    pub(crate) trained: Trained,
    num_nodes: i64,
    /// The last scored question and its scores with their computation graph. `None` after a training step, because the
    /// step changes the parameters of the graph.
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

    /// Returns the scores of a text with their computation graph: [outputs].
    pub(crate) fn graph(&mut self, text: &str) -> Result<Tensor, ModelError> {
        let encoded = self.tokenizer.encode(text)?;
        self.truncated += u32::from(encoded.truncated);
        Ok(if encoded.ids.is_empty() {
            self.network.scores_of_nothing()
        } else {
            self.network.scores(&encoded.ids)
        })
    }

    /// Returns the scores of a text. A text that the tokenizer cannot encode, which an axon may produce, is scored as
    /// an empty one.
    fn graph_of_any(&mut self, text: &str) -> Tensor {
        self.graph(text).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot encode a question; it is scored as an empty text");
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

/// Returns the elements of a one-dimensional tensor.
pub(crate) fn numbers(tensor: &Tensor) -> Vec<f32> {
    let mut numbers = vec![0.0; tensor.numel()];
    tensor
        .detach()
        .to_kind(tch::Kind::Float)
        .copy_data(&mut numbers, tensor.numel());
    numbers
}
