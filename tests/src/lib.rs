//! What tests of the whole system share: a working directory in which the real programs run experiments, and a look at
//! the processes that come of it.
//!
//! Nothing here knows how the programs work inside. They are started from the folder of release binaries, and what they
//! did is read from their output, their exit status, the run directory and the kernel's table of processes.

mod laboratory;

pub use laboratory::{Ended, Going, Laboratory, acknowledged, duckdb, rows};
pub use mirror_test_support::{Process, eventually, logging_below, within};
