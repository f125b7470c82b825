//! Benchmarks. Each compares the network with a reference. Both are measured alternately in the same run, and the ratio
//! is printed: effects of the machine on both cancel out, while those on a single number do not. No time is asserted.
//!
//! | benchmark | what is measured | reference |
//! |---|---|---|
//! | `axon_calls` | calls through the validator's dendrite pool to miner processes | bare tonic, as many processes |
//! | `signed_calls` | signatures, and signed calls of one process | bare tonic that signs and checks; bittensor 5.0.0 |
//! | `server_costs` | calls and messages of a server with bounds, and with mutual TLS | bare tonic; the server without TLS |
//! | `training_steps` | complete steps of `mirror run` | only the same two fan-outs in bare tonic |
//! | `processes` | memory and start of many miner processes, and runs with them | bare tonic, as many processes |
//! | `long_run` | CPU time and memory of a step over 200,000 events, for each half | the mean of the run |
//! | `set_weights` | signed weights, durably accepted by the chain's node | bare tonic, messages of the same size |
//! | `models` | training steps and rewards in libtorch | PyTorch's eager mode of the same version |
//! | `model_memory` | memory of a validator with each model, over 10,000 steps | the mean of the run |
//! | `faults` | delays, drops and bandwidths of rules, and the cost of a link | the same calls without rules |
//! | `proxy` | health checks through the proxy | the same checks directly |
//! | `epoch` | an epoch of the chain, by number of weights | the recorded time of the real chain's code |

pub mod bare;
pub mod caller;
pub mod figures;
pub mod network;
pub mod process;
pub mod run;

/// The protocol contract of the reference.
pub mod echo {
    #![allow(unreachable_pub, clippy::pedantic, reason = "generated")]
    tonic::include_proto!("mirror.bench");
}
