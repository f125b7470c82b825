//! GPT-Neo: layers with global or local attention, which is not scaled.

use serde_json::Value;
use tch::{Kind, Tensor};

use super::activation::Activation;
use super::config::Config;
use super::layers::{Attention, LayerNorm, Linear, Mask, Mlp, Projections, embed, positions};
use super::{Architecture, Dimensions, Tokens};
use crate::error::ModelError;
use crate::weights::Weights;

pub(super) struct GptNeo {
    words: Tensor,
    places: Tensor,
    blocks: Vec<Block>,
    last_norm: LayerNorm,
    /// Number of positions that local attention covers, including the current one.
    window: i64,
}

struct Block {
    reach: AttentionSpan,
    attention_norm: LayerNorm,
    projections: Projections,
    attention: Attention,
    output: Linear,
    mlp_norm: LayerNorm,
    mlp: Mlp,
}

/// Span of the attention of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttentionSpan {
    Global,
    Local,
}

impl GptNeo {
    pub(super) fn read(config: &Config, weights: &mut Weights) -> Result<(Self, Dimensions), ModelError> {
        let vocabulary = config.count(&["vocab_size"], 50_257)?;
        let places = config.count(&["max_position_embeddings"], 2_048)?;
        let width = config.count(&["hidden_size"], 2_048)?;
        let layers = config.count(&["num_hidden_layers", "num_layers"], 24)?;
        let heads = config.count(&["num_attention_heads", "num_heads"], 16)?;
        let inner = config
            .optional_count(&["intermediate_size"])?
            .unwrap_or(4 * width);
        let window = config.count(&["window_size"], 256)?;
        let activation = Activation::of(config, "activation_function", "gelu_new")?;
        let epsilon = config.size("layer_norm_epsilon", 1e-5)?;
        config.head_width(width, heads, "num_heads")?;
        let init = config.init()?;

        let block =
            |layer: usize, reach: AttentionSpan, weights: &mut Weights| -> Result<Block, ModelError> {
                let name = |part: &str| format!("h.{layer}.{part}");
                let mut projection = |part| Linear::without_bias(weights, &name(part), [width, width], init);
                let projections = Projections {
                    query: projection("attn.attention.q_proj")?,
                    key: projection("attn.attention.k_proj")?,
                    value: projection("attn.attention.v_proj")?,
                };
                let mut linear = |part, size| Linear::with_bias(weights, &name(part), size, init);
                let output = linear("attn.attention.out_proj", [width, width])?;
                let mlp = Mlp {
                    up: linear("mlp.c_fc", [width, inner])?,
                    activation,
                    down: linear("mlp.c_proj", [inner, width])?,
                };
                Ok(Block {
                    reach,
                    attention_norm: LayerNorm::take(weights, &name("ln_1"), width, epsilon)?,
                    projections,
                    attention: Attention { heads, scale: 1.0 },
                    output,
                    mlp_norm: LayerNorm::take(weights, &name("ln_2"), width, epsilon)?,
                    mlp,
                })
            };
        let blocks = reaches(config, layers)?
            .into_iter()
            .enumerate()
            .map(|(layer, reach)| block(layer, reach, weights))
            .collect::<Result<_, _>>()?;
        let model = Self {
            words: weights.take("wte.weight", &[vocabulary, width], init)?,
            places: weights.take("wpe.weight", &[places, width], init)?,
            blocks,
            last_norm: LayerNorm::take(weights, "ln_f", width, epsilon)?,
            window,
        };
        let dimensions = Dimensions {
            width,
            positions: places,
            vocabulary,
        };
        Ok((model, dimensions))
    }

    /// Returns the mask of local attention, true for the attended positions: [positions, positions].
    fn local_mask(&self, count: i64, like: &Tensor) -> Tensor {
        let back = positions(count, like).unsqueeze(1) - positions(count, like).unsqueeze(0);
        back.ge(0).logical_and(&back.lt(self.window))
    }
}

/// Returns the attention span of each layer. `attention_layers` lists the spans of all layers, and `attention_types`
/// consists of lists with a number of repetitions each. If both are present, `attention_layers` applies, as in
/// transformers.
fn reaches(config: &Config, layers: i64) -> Result<Vec<AttentionSpan>, ModelError> {
    let (key, found) = if config.mentions("attention_layers") {
        let list = config.value("attention_layers").and_then(Value::as_array);
        (
            "attention_layers",
            list.and_then(|list| list.iter().map(reach).collect()),
        )
    } else if let Some(types) = config.value("attention_types") {
        ("attention_types", repeated(types, layers))
    } else {
        let pairs =
            (0..layers).map(|layer| [AttentionSpan::Global, AttentionSpan::Local][layer as usize % 2]);
        ("attention_types", Some(pairs.collect()))
    };
    let found: Option<Vec<AttentionSpan>> = found;
    found
        .filter(|reaches| reaches.len() as i64 == layers)
        .ok_or_else(|| {
            config.refused(
                key,
                format!("expected `global` or `local` for each of {layers} layers"),
            )
        })
}

fn reach(word: &Value) -> Option<AttentionSpan> {
    match word.as_str()? {
        "global" => Some(AttentionSpan::Global),
        "local" => Some(AttentionSpan::Local),
        _ => None,
    }
}

fn repeated(types: &Value, layers: i64) -> Option<Vec<AttentionSpan>> {
    let mut all = Vec::new();
    for entry in types.as_array()? {
        let [words, times] = entry.as_array()?.as_slice() else {
            return None;
        };
        let words: Vec<AttentionSpan> = words.as_array()?.iter().map(reach).collect::<Option<_>>()?;
        for _ in 0..times.as_i64().filter(|times| *times <= layers)? {
            all.extend(&words);
        }
    }
    Some(all)
}

impl Architecture for GptNeo {
    fn states(&self, tokens: &Tokens) -> Tensor {
        let count = tokens.longest();
        let places = embed(&self.places, &positions(count, &tokens.ids));
        let mut states = embed(&self.words, &tokens.ids) + places;
        // A window that contains every token is equivalent to global attention.
        let local = if count > self.window {
            Mask::Tensor(self.local_mask(count, &tokens.ids).to_kind(Kind::Bool))
        } else {
            Mask::Causal
        };
        for block in &self.blocks {
            let mask = match block.reach {
                AttentionSpan::Global => &Mask::Causal,
                AttentionSpan::Local => &local,
            };
            let normal = block.attention_norm.forward(&states);
            let heads = block.projections.heads(&normal, &block.attention);
            states = block.output.forward(&block.attention.attend(&heads, mask)) + &states;
            let normal = block.mlp_norm.forward(&states);
            states = block.mlp.forward(&normal) + &states;
        }
        states
    }

    fn finish(&self, states: &Tensor) -> Tensor {
        self.last_norm.forward(states)
    }
}
