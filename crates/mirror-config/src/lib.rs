//! Reads an experiment file into a [`mirror_spec::Experiment`] and reports every problem of the file with its position.
//!
//! The text is parsed into a tree with positions (`tree`). Overrides are applied to the tree (`overrides`), misspelt
//! keys are reported and corrected (`spelling`), and shorthands are rewritten to one form (`forms`). The tree is then
//! validated against the tables of keys that `mirror-spec` declares (`check`) and against the rules between values
//! (`rules`).

mod check;
mod describe;
mod example;
mod forms;
mod json_schema;
mod load;
mod overrides;
mod problem;
pub mod reference;
mod rules;
mod spelling;
mod tree;
mod yaml;

pub use describe::{components, in_words, need_in_words, without_links};
pub use example::{example, placed};
pub use json_schema::json_schema;
pub use load::{Loaded, load, load_with, parse, parse_with};
pub use problem::{Place, Problem, Problems, Severity};
pub use spelling::{did_you_mean, suggest};
pub use yaml::{fault_to_yaml, to_yaml};
