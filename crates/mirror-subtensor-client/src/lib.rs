//! Client of the subtensor, the node that runs the chain.
//!
//! [`SubtensorClient`] sends requests and retries them while the subtensor is unreachable. [`Metagraph`] is the decoded
//! and checked form of the subtensor's message. [`transaction`] signs transactions and verifies their signatures.

mod barrier;
mod client;
mod control;
mod error;
mod hyperparameters;
mod metagraph;
mod retry;
pub mod transaction;

pub use barrier::Barrier;
pub use client::{Detail, SubtensorClient};
pub use error::RequestError;
pub use hyperparameters::{HyperparameterError, Hyperparameters};
pub use metagraph::{FieldError, Metagraph, MetagraphError, Neuron};
