//! The contracts as Rust: messages and services generated from `proto/`, and the codec that they travel by.

pub mod codec;
pub mod protocol;
mod words;

/// The axon service that Bittensor's text-prompting neurons speak.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, reason = "generated code")]
pub mod bittensor {
    tonic::include_proto!("_");
}

/// Mirror Neuron's own services.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, reason = "generated code")]
pub mod mirror {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("mirror.v1");
    }
}
