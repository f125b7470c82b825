//! Gating models choose whom to ask, reward models judge what came back. Only this crate, and so only the validator,
//! links libtorch.
//!
//! A new model is its arguments in `mirror_spec`, one file here, and one line in the registry of its kind
//! ([`gating::build`], [`reward::build`]).

pub mod builtin;
pub mod check;
mod error;
pub mod gating;
mod json;
pub mod reward;
pub mod sentences;
pub mod softmax;
pub mod tokenizer;
pub mod torch;
pub mod training;
pub mod transformer;
pub mod value;
pub mod weights;

pub use error::ModelError;
