//! The protocol contracts in Rust: messages and services generated from `proto/`, and their codec.

pub mod codec;
pub mod protocol;
mod words;

/// The axon service of Bittensor's text-prompting neurons.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, reason = "generated code")]
pub mod bittensor {
    tonic::include_proto!("_");
}

/// The services of Mirror Neuron.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, reason = "generated code")]
pub mod mirror {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("mirror.v1");
    }
}
