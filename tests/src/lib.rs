//! Shared code of the tests of the whole system: a working directory in which the real programs run experiments, and
//! access to their processes.
//!
//! Nothing here depends on how the programs work internally. They are started from the folder of release binaries, and
//! their results are read from their output, their exit status, the run directory and the kernel's process table.

pub mod fake_cluster;
mod test_env;

pub use mirror_test_support::{Process, eventually, logging_below, within};
pub use test_env::{Output, RunningCommand, TestEnv, acknowledged, duckdb, rows};
