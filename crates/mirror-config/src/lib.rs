//! From an experiment file to an [`mirror_spec::Experiment`]: YAML with positions, the checks that find every problem
//! of a file at once, and the messages that tell them.
//!
//! A file's text becomes a tree that remembers positions (`tree`), takes overrides (`overrides`), has its misspelt keys
//! told and corrected (`spelling`), is brought to one way of writing (`forms`), is walked along the tables of keys that
//! `mirror-spec` declares (`check`) and held to the rules between its values (`rules`).

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

pub use describe::{components, in_words, need_in_words};
pub use example::{example, placed};
pub use json_schema::json_schema;
pub use load::{Loaded, load, load_with, parse, parse_with};
pub use problem::{Place, Problem, Problems, Severity};
pub use spelling::suggest;
pub use yaml::to_yaml;
