//! Gating models choose whom to ask, reward models judge what came back. Only this crate, and so only the validator,
//! links libtorch.
//!
//! A new model is its arguments in `mirror_config::component`, one file here, and one line in the registry of its kind
//! ([`gating::build`], [`reward::build`]).

pub mod gating;
pub mod reward;
pub mod softmax;
pub mod torch;
pub mod value;

/// A model that this version cannot build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} cannot run in this version; those that can: {available}")]
pub struct NotBuilt {
    name: &'static str,
    available: &'static str,
}
