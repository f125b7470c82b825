//! The binary of the chain's node.

use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_node::run(mirror_subtensor::serve)
}
