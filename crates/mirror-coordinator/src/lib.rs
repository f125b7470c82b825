//! The coordinator: starts an experiment's network of nodes, records their reports, keeps them alive, breaks them on
//! schedule, and shuts them down in order.

mod certificates;
pub mod chain;
mod data;
mod fault;
mod health;
mod joined;
pub mod metagraphs;
mod models;
mod network_spec;
mod node_ops;
mod orchestrator;
mod outside;
mod planned;
mod progress;
mod report_service;
pub mod resume;
mod run_control;
pub mod telemetry;
mod traces;
mod uid_assignment;

pub use certificates::{ChainClient, operator};
pub use data::{LocalInputs, Network, Prepared, find_local, prepare};
pub use models::{BUILTIN_TOKENIZER, model_folder};
pub use orchestrator::{Ends, Finished, Options, base_of, run};
pub use planned::{PlannedKind, PlannedNetwork, PlannedNode};
pub use run_control::{ControlFile, ReadFault};
pub use traces::{fault_with_traces, with_traces};
