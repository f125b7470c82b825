//! Shared code of the test suites of several crates. Nothing here is part of a program.

pub mod certificates;
pub mod coordinator;
pub mod launch;
pub mod loopback;
mod processes;
mod python;
mod small_disk;
mod waiting;

pub use processes::{Process, descendants, logging_below};
pub use python::Python;
pub use small_disk::SmallDisk;
pub use waiting::{eventually, within};
