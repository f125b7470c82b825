//! `SequentialGatingModel`: a frozen random embedding, LSTM layers, and a linear layer that gives the scores.

use mirror_spec::SequentialGatingArgs;
use tch::Tensor;

use super::BuildContext;
use super::trained::{Network, TrainedGatingModel};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use crate::training::{Learning, Trained};
use crate::transformer::layers::{Linear, embed};
use crate::weights::{Init, Weights};

/// Name of the frozen parameter.
const EMBEDDING: &str = "embedding.weight";

pub(crate) struct Sequential {
    /// Frozen: [vocabulary, width].
    embedding: Tensor,
    layers: Vec<Lstm>,
    linear: Linear,
}

/// One LSTM layer, with the names and the order of PyTorch.
struct Lstm {
    /// Weight from input to hidden, weight from hidden to hidden, and the bias of each.
    parameters: [Tensor; 4],
    /// Initial state of zeros: [1, 1, hidden].
    nothing: Tensor,
}

/// Widths of the network.
pub(crate) struct Widths<'a> {
    pub(crate) vocabulary: i64,
    pub(crate) embedding: i64,
    pub(crate) hidden: &'a [u32],
    pub(crate) outputs: i64,
}

pub(super) fn build(
    args: &SequentialGatingArgs,
    context: &BuildContext,
) -> Result<TrainedGatingModel<Sequential>, ModelError> {
    let tokenizer = Tokenizer::read(args.tokenizer_name.as_ref())?;
    let widths = Widths {
        vocabulary: tokenizer.vocabulary(),
        embedding: args.embedding_dim.into(),
        hidden: &args.hidden_size,
        outputs: args.num_uids.unwrap_or(context.num_nodes).into(),
    };
    let (network, learning) = Sequential::take(&widths, context.drawn())?;
    let trained = Trained::new(context.sgd, learning).with_frozen(EMBEDDING, &network.embedding);
    Ok(TrainedGatingModel::new(
        tokenizer,
        network,
        trained,
        context.num_nodes as usize,
    ))
}

impl Sequential {
    /// Takes the parameters of the network. Those of layer k are named `lstm.weight_ih_l{k}` and so on, as in an
    /// `nn.LSTM` of several layers, or `lstm.{k}.weight_ih_l0` and so on, as in a list of `nn.LSTM`.
    pub(crate) fn take(widths: &Widths<'_>, mut weights: Weights) -> Result<(Self, Learning), ModelError> {
        let deviation = 1.0;
        let embedding = weights.take(
            EMBEDDING,
            &[widths.vocabulary, widths.embedding],
            Init::Normal { deviation },
        )?;
        let mut weights = weights.learning();
        let mut inputs = widths.embedding;
        let mut layers = Vec::new();
        for (number, hidden) in widths.hidden.iter().enumerate() {
            let hidden = i64::from(*hidden);
            let init = Init::linear(hidden);
            let mut take = |part: &str, shape: &[i64]| {
                let apart = format!("lstm.{number}.{part}_l0");
                let stacked = format!("lstm.{part}_l{number}");
                let name = if weights.contains(&apart) { apart } else { stacked };
                weights.take(&name, shape, init)
            };
            let parameters = [
                take("weight_ih", &[4 * hidden, inputs])?,
                take("weight_hh", &[4 * hidden, hidden])?,
                take("bias_ih", &[4 * hidden])?,
                take("bias_hh", &[4 * hidden])?,
            ];
            layers.push(Lstm {
                nothing: Tensor::zeros([1, 1, hidden], (embedding.kind(), embedding.device())),
                parameters,
            });
            inputs = hidden;
        }
        let size = [inputs, widths.outputs];
        let linear = Linear::with_bias(&mut weights, "linear", size, Init::linear(inputs))?;
        let network = Self {
            embedding,
            layers,
            linear,
        };
        Ok((network, weights.take_learning()))
    }
}

impl Network for Sequential {
    fn scores(&self, tokens: &[i64]) -> Tensor {
        let tokens = Tensor::from_slice(tokens).to_device(self.embedding.device());
        // Shape: [tokens, 1, width]. The first dimension is the time step.
        let mut states = embed(&self.embedding, &tokens).unsqueeze(1);
        for layer in &self.layers {
            let beginning = [&layer.nothing, &layer.nothing];
            let parameters = layer.parameters.each_ref();
            let (outputs, _, _) = states.lstm(&beginning, &parameters, true, 1, 0.0, true, false, false);
            states = outputs;
        }
        self.linear.forward(&states.select(0, -1).squeeze_dim(0))
    }

    /// Returns the scores of the initial state of the last layer.
    fn scores_of_nothing(&self) -> Tensor {
        self.linear.of_zeros()
    }
}
