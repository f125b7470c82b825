//! `mirror-miner`: one axon or many, as a process.

use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_node::run(mirror_miner::serve)
}
