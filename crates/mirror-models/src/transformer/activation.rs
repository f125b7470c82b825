//! Activation functions, with the names that Hugging Face's transformers uses.

use tch::Tensor;

use super::config::Config;
use crate::error::ModelError;

/// An element-wise function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Gelu,
    /// Gelu in its approximation with a hyperbolic tangent.
    GeluTanh,
    /// Gelu clamped to -10..=10.
    Gelu10,
    QuickGelu,
    Laplace,
    Linear,
    Mish,
    Relu,
    Relu2,
    Relu6,
    Sigmoid,
    Silu,
    Tanh,
}

const NAMES: &[(&str, Activation)] = &[
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_10", Activation::Gelu10),
    ("quick_gelu", Activation::QuickGelu),
    ("laplace", Activation::Laplace),
    ("linear", Activation::Linear),
    ("mish", Activation::Mish),
    ("relu", Activation::Relu),
    ("relu2", Activation::Relu2),
    ("relu6", Activation::Relu6),
    ("sigmoid", Activation::Sigmoid),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
];

impl Activation {
    /// Returns the activation that `config.json` specifies under `key`.
    ///
    /// # Errors
    /// Returns an error if the activation is not supported.
    pub(super) fn of(config: &Config, key: &str, default: &'static str) -> Result<Self, ModelError> {
        let word = config.word(key, default)?;
        let named = NAMES.iter().find(|(name, _)| *name == word);
        named.map(|(_, activation)| *activation).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            config.refused(key, format!("the supported values are {}", known.join(", ")))
        })
    }

    pub(super) fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Gelu => x.gelu("none"),
            Self::GeluTanh => x.gelu("tanh"),
            Self::Gelu10 => x.gelu("none").clamp(-10.0, 10.0),
            Self::QuickGelu => x * (x * 1.702).sigmoid(),
            // The error function, shifted and scaled to approximate the square of relu.
            Self::Laplace => {
                ((x - std::f64::consts::FRAC_1_SQRT_2) / (0.282_095 * std::f64::consts::SQRT_2)).erf() * 0.5
                    + 0.5
            }
            Self::Linear => x.shallow_clone(),
            Self::Mish => x.mish(),
            Self::Relu => x.relu(),
            Self::Relu2 => x.relu().square(),
            Self::Relu6 => x.relu6(),
            Self::Sigmoid => x.sigmoid(),
            Self::Silu => x.silu(),
            Self::Tanh => x.tanh(),
        }
    }
}
