//! The chain's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_node::run(mirror_subtensor::serve)
}
