//! The experiment file: its types, defaults and ranges, the checks that find every problem of a file at once with line
//! and column, and the launch descriptions that the nodes are started with.
//!
//! A file's text becomes a tree that remembers positions (`tree`), takes overrides (`overrides`), is brought to one way
//! of writing (`forms`), is walked along the [`schema`] (`check`) and held to the rules between its values (`rules`).
//! What passed becomes an [`experiment::Experiment`].

pub mod component;
pub mod experiment;
pub mod latency;
pub mod launch;
pub mod schema;

mod check;
mod forms;
mod load;
mod notation;
mod overrides;
mod problem;
mod rules;
mod tree;
mod yaml;

pub use load::{Loaded, load, load_with, parse, parse_with};
pub use problem::{Place, Problem, Problems, Severity};
