//! Benchmarks. Each measures the network beside a reference, both in the same run and in turns, and prints the ratio:
//! what a machine does to both cancels out, what it does to one number alone does not. Nothing here asserts a time.
//!
//! | benchmark | what is measured | reference |
//! |---|---|---|
//! | `axon_calls` | calls through the validator's dendrite pool to miner processes | bare tonic, as many processes |
//! | `training_steps` | steps of `mirror run` with all that a step does | the same two fan-outs in bare tonic, nothing else |
//! | `processes` | memory and start of many miner processes, and runs of many | bare tonic, as many processes |
//! | `long_run` | CPU time and memory of a step, from the first to the last of 200,000 events, a half at a time | the run's own mean |
//! | `set_weights` | signed weights, taken by the chain's node and durable | bare tonic with messages of the same size |
//! | `models` | training steps and rewards in libtorch | PyTorch's eager mode of the same version |
//! | `model_memory` | memory of a validator with each model, over 10,000 steps | the run's own mean |
//! | `epoch` | an epoch of the chain, by number of weights | the time that the real chain's own code took on such a machine |

pub mod bare;
pub mod figures;
pub mod network;
pub mod process;
pub mod run;

/// The contract of the reference.
mod echo {
    #![allow(unreachable_pub, clippy::pedantic, reason = "generated")]
    tonic::include_proto!("mirror.bench");
}
