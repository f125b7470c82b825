//! The coordinator: turns an experiment into a network of nodes, takes in what they report, keeps them alive, breaks them
//! on schedule, and ends them in order.

mod blueprint;
pub mod chain;
mod conductor;
mod crew;
mod data;
mod health;
mod intake;
pub mod metagraphs;
mod models;
mod progress;
pub mod resume;
mod roster;
mod schedule;

pub use conductor::{Finished, Options, base_of, run};
pub use data::{Network, Prepared, prepare};
pub use models::model_folder;
