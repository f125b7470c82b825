//! The contracts as Rust: messages and services generated from `proto/`, and nothing else.

#![allow(clippy::pedantic, missing_docs, unreachable_pub, reason = "generated code")]

/// The axon service that Bittensor's text-prompting neurons speak.
pub mod bittensor {
    tonic::include_proto!("_");
}

/// Mirror Neuron's own services.
pub mod mirror {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("mirror.v1");
    }
}
