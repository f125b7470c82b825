//! The command line, and the coordinator that runs an experiment: it starts the node binaries and never links them.

pub mod command;
pub mod coordinator;
pub mod expectations;
pub mod sentences;
