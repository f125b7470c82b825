//! The layers from which all architectures are built.

use tch::{Kind, Tensor};

use super::activation::Activation;
use crate::error::ModelError;
use crate::weights::{Init, Weights};

/// A linear layer over the last dimension.
pub(crate) struct Linear {
    weight: Tensor,
    /// [outputs]
    bias: Option<Tensor>,
    order: Order,
}

/// Order of the dimensions of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// [outputs, inputs], as in `nn.Linear`.
    OutputsFirst,
    /// [inputs, outputs], as in GPT-2.
    InputsFirst,
}

impl Linear {
    /// Takes a layer like `nn.Linear`. If the layer is drawn from `init`, its bias is drawn from `init.of_bias()`.
    pub(crate) fn with_bias(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [i64; 2],
        init: Init,
    ) -> Result<Self, ModelError> {
        let mut layer = Self::without_bias(weights, name, [inputs, outputs], init)?;
        layer.bias = Some(weights.take(&format!("{name}.bias"), &[outputs], init.of_bias())?);
        Ok(layer)
    }

    /// Takes a layer like `nn.Linear` without a bias.
    pub(crate) fn without_bias(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [i64; 2],
        init: Init,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[outputs, inputs], init)?,
            bias: None,
            order: Order::OutputsFirst,
        })
    }

    /// Takes a layer like the convolution of width 1 of GPT-2.
    pub(super) fn inputs_first(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [i64; 2],
        init: Init,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[inputs, outputs], init)?,
            bias: Some(weights.take(&format!("{name}.bias"), &[outputs], init.of_bias())?),
            order: Order::InputsFirst,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        match self.order {
            Order::OutputsFirst => x.linear(&self.weight, self.bias.as_ref()),
            Order::InputsFirst => x.linear(&self.weight.tr(), self.bias.as_ref()),
        }
    }

    /// Returns the output for an input of zeros: [outputs].
    pub(crate) fn of_zeros(&self) -> Tensor {
        let inputs = match self.order {
            Order::OutputsFirst => self.weight.size()[1],
            Order::InputsFirst => self.weight.size()[0],
        };
        self.forward(&Tensor::zeros(
            [inputs],
            (self.weight.kind(), self.weight.device()),
        ))
    }
}

/// Layer normalisation over the last dimension.
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    pub(super) fn take(
        weights: &mut Weights,
        name: &str,
        width: i64,
        epsilon: f64,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[width], Init::Ones)?,
            bias: weights.take(&format!("{name}.bias"), &[width], Init::Zeros)?,
            epsilon,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(
            self.weight.size(),
            Some(&self.weight),
            Some(&self.bias),
            self.epsilon,
            false,
        )
    }
}

/// A multilayer perceptron: a linear layer to the inner width, an activation, and a linear layer back.
pub(super) struct Mlp {
    pub(super) up: Linear,
    pub(super) activation: Activation,
    pub(super) down: Linear,
}

impl Mlp {
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        self.down.forward(&self.activation.apply(&self.up.forward(x)))
    }
}

/// The positions that a position attends to.
pub(super) enum Mask {
    /// All positions.
    None,
    /// The position itself and all earlier ones.
    Causal,
    /// A tensor that is added to the scores, or a boolean tensor that is true for the attended positions.
    Tensor(Tensor),
}

/// Multi-head attention.
pub(super) struct Attention {
    pub(super) heads: i64,
    /// Factor of the attention scores.
    pub(super) scale: f64,
}

/// Queries, keys and values by head: [batch, heads, positions, head width] each.
pub(super) struct Heads {
    pub(super) query: Tensor,
    pub(super) key: Tensor,
    pub(super) value: Tensor,
}

/// Separate linear layers for queries, keys and values.
pub(super) struct Projections {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
}

impl Projections {
    pub(super) fn heads(&self, x: &Tensor, attention: &Attention) -> Heads {
        let heads = |map: &Linear| {
            map.forward(x)
                .unflatten(-1, [attention.heads, -1])
                .transpose(1, 2)
        };
        Heads {
            query: heads(&self.query),
            key: heads(&self.key),
            value: heads(&self.value),
        }
    }
}

impl Attention {
    /// Splits a tensor of concatenated queries, keys and values, [batch, positions, 3·width], into heads.
    pub(super) fn heads(&self, side_by_side: &Tensor) -> Heads {
        let parts = side_by_side
            .unflatten(-1, [3, self.heads, -1])
            .permute([2, 0, 3, 1, 4]);
        Heads {
            query: parts.select(0, 0),
            key: parts.select(0, 1),
            value: parts.select(0, 2),
        }
    }

    /// Returns the attention output of each position: [batch, positions, width].
    pub(super) fn attend(&self, heads: &Heads, mask: &Mask) -> Tensor {
        let (mask, is_causal) = match mask {
            Mask::None => (None, false),
            Mask::Causal => (None, true),
            Mask::Tensor(mask) => (Some(mask), false),
        };
        let gathered = Tensor::scaled_dot_product_attention(
            &heads.query,
            &heads.key,
            &heads.value,
            mask,
            0.0,
            is_causal,
            self.scale,
            false,
        );
        gathered.transpose(1, 2).flatten(2, 3)
    }
}

/// Looks up the rows of an embedding table.
pub(crate) fn embed(table: &Tensor, ids: &Tensor) -> Tensor {
    Tensor::embedding(table, ids, -1, false, false)
}

/// Returns the numbers from 0 to `count - 1`, on the device of `like`.
pub(super) fn positions(count: i64, like: &Tensor) -> Tensor {
    Tensor::arange(count, (Kind::Int64, like.device()))
}
