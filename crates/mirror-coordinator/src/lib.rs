//! The coordinator: turns an experiment into a network of nodes, takes in what they report, keeps them alive, breaks
//! them on schedule, and ends them in order.

pub mod chain;
mod data;
mod fault;
mod health;
pub mod metagraphs;
mod models;
mod network_spec;
mod node_ops;
mod orchestrator;
mod progress;
mod report_service;
pub mod resume;
mod uid_assignment;

pub use data::{Looked, Network, Prepared, look, prepare};
pub use models::model_folder;
pub use orchestrator::{Finished, Options, base_of, run};
