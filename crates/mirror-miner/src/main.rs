//! `mirror-miner`: the miner process, with one or more axons.

use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_node::run(mirror_miner::serve)
}
