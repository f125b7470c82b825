//! GPT-2.

use tch::Tensor;

use super::activation::Activation;
use super::config::Config;
use super::layers::{Attention, LayerNorm, Linear, Mask, Mlp, embed, positions};
use super::{Architecture, Dimensions, Tokens};
use crate::error::ModelError;
use crate::weights::Weights;

pub(super) struct Gpt2 {
    words: Tensor,
    places: Tensor,
    blocks: Vec<Block>,
    last_norm: LayerNorm,
}

struct Block {
    attention_norm: LayerNorm,
    queries_keys_values: Linear,
    attention: Attention,
    output: Linear,
    mlp_norm: LayerNorm,
    mlp: Mlp,
}

impl Gpt2 {
    pub(super) fn read(config: &Config, weights: &mut Weights) -> Result<(Self, Dimensions), ModelError> {
        let vocabulary = config.count(&["vocab_size"], 50_257)?;
        let places = config.count(&["max_position_embeddings", "n_positions"], 1_024)?;
        let width = config.count(&["hidden_size", "n_embd"], 768)?;
        let layers = config.count(&["num_hidden_layers", "n_layer"], 12)?;
        let heads = config.count(&["num_attention_heads", "n_head"], 12)?;
        let inner = config.optional_count(&["n_inner"])?.unwrap_or(4 * width);
        let activation = Activation::of(config, "activation_function", "gelu_new")?;
        let epsilon = config.size("layer_norm_epsilon", 1e-5)?;
        let head_width = config.head_width(width, heads, "n_head")?;
        let by_width = config.switch("scale_attn_weights", true)?;
        let by_layer = config.switch("scale_attn_by_inverse_layer_idx", false)?;
        let init = config.init()?;

        let block = |layer: i64, weights: &mut Weights| -> Result<Block, ModelError> {
            let name = |part: &str| format!("h.{layer}.{part}");
            let mut scale = 1.0;
            if by_width {
                scale /= (head_width as f64).sqrt();
            }
            if by_layer {
                scale /= (layer + 1) as f64;
            }
            let mut linear = |part, size| Linear::inputs_first(weights, &name(part), size, init);
            let queries_keys_values = linear("attn.c_attn", [width, 3 * width])?;
            let output = linear("attn.c_proj", [width, width])?;
            let mlp = Mlp {
                up: linear("mlp.c_fc", [width, inner])?,
                activation,
                down: linear("mlp.c_proj", [inner, width])?,
            };
            Ok(Block {
                attention_norm: LayerNorm::take(weights, &name("ln_1"), width, epsilon)?,
                queries_keys_values,
                attention: Attention { heads, scale },
                output,
                mlp_norm: LayerNorm::take(weights, &name("ln_2"), width, epsilon)?,
                mlp,
            })
        };
        let model = Self {
            words: weights.take("wte.weight", &[vocabulary, width], init)?,
            places: weights.take("wpe.weight", &[places, width], init)?,
            blocks: (0..layers)
                .map(|layer| block(layer, weights))
                .collect::<Result<_, _>>()?,
            last_norm: LayerNorm::take(weights, "ln_f", width, epsilon)?,
        };
        let dimensions = Dimensions {
            width,
            positions: places,
            vocabulary,
        };
        Ok((model, dimensions))
    }
}

impl Architecture for Gpt2 {
    fn states(&self, tokens: &Tokens) -> Tensor {
        let places = embed(&self.places, &positions(tokens.longest(), &tokens.ids));
        let mut states = embed(&self.words, &tokens.ids) + places;
        for block in &self.blocks {
            let normal = block.attention_norm.forward(&states);
            let heads = block.attention.heads(&block.queries_keys_values.forward(&normal));
            // Padding follows the tokens of a sequence, so the causal mask also excludes it.
            let gathered = block.attention.attend(&heads, &Mask::Causal);
            states = block.output.forward(&gathered) + &states;
            let normal = block.mlp_norm.forward(&states);
            states = block.mlp.forward(&normal) + &states;
        }
        states
    }

    fn finish(&self, states: &Tensor) -> Tensor {
        self.last_norm.forward(states)
    }
}
