//! BERT, including the `MiniLM` models, which have the same architecture.

use tch::Tensor;

use super::activation::Activation;
use super::config::Config;
use super::layers::{Attention, Heads, LayerNorm, Linear, Mask, Mlp, Projections, embed, positions};
use super::{Architecture, Dimensions, Tokens};
use crate::error::ModelError;
use crate::weights::Weights;

pub(super) struct Bert {
    words: Tensor,
    /// Embeddings of absolute positions: [positions, width]. `None` if positions are relative.
    places: Option<Tensor>,
    /// Embeddings of token types: [token types, width]. All tokens of a single text have the first type.
    types: Tensor,
    norm: LayerNorm,
    blocks: Vec<Block>,
}

struct Block {
    projections: Projections,
    attention: Attention,
    distances: Option<Distances>,
    output: Linear,
    attention_norm: LayerNorm,
    mlp: Mlp,
    mlp_norm: LayerNorm,
}

/// Kind of position embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Positions {
    Absolute,
    RelativeKey,
    RelativeKeyQuery,
}

/// Embeddings of the distances between positions.
struct Distances {
    /// [2·positions - 1, head width]. The middle row is for distance 0.
    table: Tensor,
    positions: i64,
    with_keys: bool,
}

impl Bert {
    pub(super) fn read(config: &Config, weights: &mut Weights) -> Result<(Self, Dimensions), ModelError> {
        config.refuse(&["is_decoder"])?;
        let vocabulary = config.count(&["vocab_size"], 30_522)?;
        let places = config.count(&["max_position_embeddings"], 512)?;
        let width = config.count(&["hidden_size"], 768)?;
        let layers = config.count(&["num_hidden_layers"], 12)?;
        let heads = config.count(&["num_attention_heads"], 12)?;
        let inner = config.count(&["intermediate_size"], 3_072)?;
        let types = config.count(&["type_vocab_size"], 2)?;
        let activation = Activation::of(config, "hidden_act", "gelu")?;
        let epsilon = config.size("layer_norm_eps", 1e-12)?;
        let head_width = config.head_width(width, heads, "num_attention_heads")?;
        let kind = match config.word("position_embedding_type", "absolute")? {
            "absolute" => Positions::Absolute,
            "relative_key" => Positions::RelativeKey,
            "relative_key_query" => Positions::RelativeKeyQuery,
            _ => {
                let expected = "the supported values are absolute, relative_key, relative_key_query";
                return Err(config.refused("position_embedding_type", expected));
            }
        };
        let init = config.init()?;

        let block = |layer: i64, weights: &mut Weights| -> Result<Block, ModelError> {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let mut linear = |part, size| Linear::with_bias(weights, &name(part), size, init);
            let projections = Projections {
                query: linear("attention.self.query", [width, width])?,
                key: linear("attention.self.key", [width, width])?,
                value: linear("attention.self.value", [width, width])?,
            };
            let output = linear("attention.output.dense", [width, width])?;
            let mlp = Mlp {
                up: linear("intermediate.dense", [width, inner])?,
                activation,
                down: linear("output.dense", [inner, width])?,
            };
            let distances = match kind {
                Positions::Absolute => None,
                Positions::RelativeKey | Positions::RelativeKeyQuery => Some(Distances {
                    table: weights.take(
                        &name("attention.self.distance_embedding.weight"),
                        &[2 * places - 1, head_width],
                        init,
                    )?,
                    positions: places,
                    with_keys: kind == Positions::RelativeKeyQuery,
                }),
            };
            Ok(Block {
                projections,
                attention: Attention {
                    heads,
                    scale: 1.0 / (head_width as f64).sqrt(),
                },
                distances,
                output,
                attention_norm: LayerNorm::take(
                    weights,
                    &name("attention.output.LayerNorm"),
                    width,
                    epsilon,
                )?,
                mlp,
                mlp_norm: LayerNorm::take(weights, &name("output.LayerNorm"), width, epsilon)?,
            })
        };
        let places_by_number = match kind {
            Positions::Absolute => {
                Some(weights.take("embeddings.position_embeddings.weight", &[places, width], init)?)
            }
            Positions::RelativeKey | Positions::RelativeKeyQuery => None,
        };
        let model = Self {
            words: weights.take("embeddings.word_embeddings.weight", &[vocabulary, width], init)?,
            places: places_by_number,
            types: weights.take("embeddings.token_type_embeddings.weight", &[types, width], init)?,
            norm: LayerNorm::take(weights, "embeddings.LayerNorm", width, epsilon)?,
            blocks: (0..layers)
                .map(|layer| block(layer, weights))
                .collect::<Result<_, _>>()?,
        };
        let dimensions = Dimensions {
            width,
            positions: places,
            vocabulary,
        };
        Ok((model, dimensions))
    }
}

impl Distances {
    /// Returns the contribution of the distances to the attention scores: [batch, heads, positions, positions].
    fn scores(&self, heads: &Heads) -> Tensor {
        let count = heads.query.size()[2];
        let numbers = positions(count, &heads.query);
        let distances = numbers.unsqueeze(1) - numbers.unsqueeze(0) + (self.positions - 1);
        let table = embed(&self.table, &distances);
        let of_queries = Tensor::einsum("bhld,lrd->bhlr", &[&heads.query, &table], None::<i64>);
        if self.with_keys {
            of_queries + Tensor::einsum("bhrd,lrd->bhlr", &[&heads.key, &table], None::<i64>)
        } else {
            of_queries
        }
    }
}

impl Architecture for Bert {
    fn states(&self, tokens: &Tokens) -> Tensor {
        let mut states = embed(&self.words, &tokens.ids) + self.types.select(0, 0);
        if let Some(places) = &self.places {
            states = embed(places, &positions(tokens.longest(), &tokens.ids)) + &states;
        }
        states = self.norm.forward(&states);
        // Masks the padding of shorter sequences: [batch, 1, 1, longest].
        let filled = tokens.are_filled_up().then(|| {
            let there = tokens.are_there().unsqueeze(1).unsqueeze(1);
            let shape = there.size();
            let zeros = Tensor::zeros(shape.as_slice(), (states.kind(), states.device()));
            zeros.masked_fill(&there.logical_not(), f64::NEG_INFINITY)
        });
        for block in &self.blocks {
            let heads = block.projections.heads(&states, &block.attention);
            let distances = block
                .distances
                .as_ref()
                .map(|d| d.scores(&heads) * block.attention.scale);
            let mask = match (distances, &filled) {
                (None, None) => Mask::None,
                (Some(scores), None) => Mask::Tensor(scores),
                (None, Some(filled)) => Mask::Tensor(filled.shallow_clone()),
                (Some(scores), Some(filled)) => Mask::Tensor(scores + filled),
            };
            let gathered = block.output.forward(&block.attention.attend(&heads, &mask));
            states = block.attention_norm.forward(&(states + gathered));
            let inner = block.mlp.forward(&states);
            states = block.mlp_norm.forward(&(states + inner));
        }
        states
    }

    fn finish(&self, states: &Tensor) -> Tensor {
        states.shallow_clone()
    }
}
