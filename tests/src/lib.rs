//! What tests of the whole system share: a working directory in which the real programs run experiments, and a look at
//! the processes that come of it.
//!
//! Nothing here knows how the programs work inside. They are started from the folder of release binaries, and what they
//! did is read from their output, their exit status, the run directory and the kernel's table of processes.

mod test_env;

pub use mirror_test_support::{Process, eventually, logging_below, within};
pub use test_env::{Output, RunningCommand, TestEnv, acknowledged, duckdb, rows};
