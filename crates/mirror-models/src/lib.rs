//! Gating models, which choose the uids to query, and reward models, which score the completions. This is the only
//! crate that links libtorch, so the validator is the only program that does.
//!
//! To add a model, add its arguments to `mirror_spec`, one file to this crate, and one line to the registry of its kind
//! ([`gating::build`] or [`reward::build`]).

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
