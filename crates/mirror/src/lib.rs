//! The command line. `mirror-coordinator` starts the programs of the nodes; this crate does not link them.

mod agents_file;
pub mod command;
pub mod expectations;
pub mod sentences;
mod text_models;
