//! The command line. The node binaries are started, by `mirror-coordinator`, and never linked.

pub mod command;
pub mod expectations;
pub mod sentences;
