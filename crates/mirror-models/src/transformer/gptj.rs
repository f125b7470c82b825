//! GPT-J: rotary positions, with attention and multilayer perceptron in parallel.

use tch::{Kind, Tensor};

use super::activation::Activation;
use super::config::Config;
use super::layers::{Attention, LayerNorm, Linear, Mask, Mlp, Projections, embed, positions};
use super::{Architecture, Dimensions, Tokens};
use crate::error::ModelError;
use crate::weights::Weights;

pub(super) struct GptJ {
    words: Tensor,
    blocks: Vec<Block>,
    last_norm: LayerNorm,
    /// Number of leading elements of each head that are rotated. Even.
    rotated: i64,
}

struct Block {
    norm: LayerNorm,
    projections: Projections,
    attention: Attention,
    output: Linear,
    mlp: Mlp,
}

impl GptJ {
    pub(super) fn read(config: &Config, weights: &mut Weights) -> Result<(Self, Dimensions), ModelError> {
        let vocabulary = config.count(&["vocab_size"], 50_400)?;
        let places = config.count(&["max_position_embeddings", "n_positions"], 2_048)?;
        let width = config.count(&["hidden_size", "n_embd"], 4_096)?;
        let layers = config.count(&["num_hidden_layers", "n_layer"], 28)?;
        let heads = config.count(&["num_attention_heads", "n_head"], 16)?;
        let inner = config.optional_count(&["n_inner"])?.unwrap_or(4 * width);
        let activation = Activation::of(config, "activation_function", "gelu_new")?;
        let epsilon = config.size("layer_norm_epsilon", 1e-5)?;
        let head_width = config.head_width(width, heads, "n_head")?;
        let rotated = match config.optional_count(&["rotary_dim"])? {
            Some(rotated) => rotated,
            // `null` rotates the whole width, which is valid only for a single head.
            None if config.mentions("rotary_dim") => width,
            None => 64,
        };
        if rotated % 2 != 0 || rotated > head_width {
            let expected = format!("expected an even number up to {head_width}, the width of a head");
            return Err(config.refused("rotary_dim", expected));
        }
        let init = config.init()?;

        let block = |layer: i64, weights: &mut Weights| -> Result<Block, ModelError> {
            let name = |part: &str| format!("h.{layer}.{part}");
            let mut projection = |part| Linear::without_bias(weights, &name(part), [width, width], init);
            let projections = Projections {
                query: projection("attn.q_proj")?,
                key: projection("attn.k_proj")?,
                value: projection("attn.v_proj")?,
            };
            let output = projection("attn.out_proj")?;
            let mlp = Mlp {
                up: Linear::with_bias(weights, &name("mlp.fc_in"), [width, inner], init)?,
                activation,
                down: Linear::with_bias(weights, &name("mlp.fc_out"), [inner, width], init)?,
            };
            Ok(Block {
                norm: LayerNorm::take(weights, &name("ln_1"), width, epsilon)?,
                projections,
                attention: Attention {
                    heads,
                    scale: 1.0 / (head_width as f64).sqrt(),
                },
                output,
                mlp,
            })
        };
        let model = Self {
            words: weights.take("wte.weight", &[vocabulary, width], init)?,
            blocks: (0..layers)
                .map(|layer| block(layer, weights))
                .collect::<Result<_, _>>()?,
            last_norm: LayerNorm::take(weights, "ln_f", width, epsilon)?,
            rotated,
        };
        let dimensions = Dimensions {
            width,
            positions: places,
            vocabulary,
        };
        Ok((model, dimensions))
    }
}

/// Sines and cosines of the angles of every position: [positions, rotated / 2] each.
struct Rotation {
    sines: Tensor,
    cosines: Tensor,
}

impl Rotation {
    /// Computes the angles of `count` positions. All steps use single precision, as in transformers, because the
    /// precision affects the angles of late positions.
    fn of(count: i64, rotated: i64, like: &Tensor) -> Self {
        let pairs = Tensor::arange_start_step(0, rotated, 2, (Kind::Int64, like.device()));
        let exponents = pairs.to_kind(Kind::Float) / rotated as f64;
        let frequencies = Tensor::pow_scalar(10_000.0, &exponents).reciprocal();
        let angles = positions(count, like).to_kind(Kind::Float).outer(&frequencies);
        Self {
            sines: angles.sin().to_kind(like.kind()),
            cosines: angles.cos().to_kind(like.kind()),
        }
    }

    /// Rotates each pair of adjacent elements in the leading part of every head by the angle of its position.
    fn turn(&self, heads: &Tensor) -> Tensor {
        let rotated = 2 * self.sines.size()[1];
        let pairs = heads.narrow(-1, 0, rotated).unflatten(-1, [-1, 2]);
        let (first, second) = (pairs.select(-1, 0), pairs.select(-1, 1));
        let turned = Tensor::stack(
            &[
                &first * &self.cosines - &second * &self.sines,
                &second * &self.cosines + &first * &self.sines,
            ],
            -1,
        )
        .flatten(-2, -1);
        let rest = heads.size()[3] - rotated;
        if rest == 0 {
            return turned;
        }
        Tensor::cat(&[turned, heads.narrow(-1, rotated, rest)], -1)
    }
}

impl Architecture for GptJ {
    fn states(&self, tokens: &Tokens) -> Tensor {
        let mut states = embed(&self.words, &tokens.ids);
        let rotation = Rotation::of(tokens.longest(), self.rotated, &states);
        for block in &self.blocks {
            let normal = block.norm.forward(&states);
            let mut heads = block.projections.heads(&normal, &block.attention);
            heads.query = rotation.turn(&heads.query);
            heads.key = rotation.turn(&heads.key);
            let gathered = block.attention.attend(&heads, &Mask::Causal);
            states = block.output.forward(&gathered) + &states;
            states = block.mlp.forward(&normal) + &states;
        }
        states
    }

    fn finish(&self, states: &Tensor) -> Tensor {
        self.last_norm.forward(states)
    }
}
