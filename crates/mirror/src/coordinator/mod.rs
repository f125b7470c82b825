//! The coordinator: turns an experiment into a network of nodes, takes in what they report, keeps them alive, breaks them
//! on schedule, and ends them in order.

mod blueprint;
mod conductor;
mod crew;
mod data;
mod intake;
mod models;
mod progress;
mod schedule;
pub mod standing;

pub use conductor::{Finished, Options, base_of, run};
pub use data::{Network, Prepared, prepare};
