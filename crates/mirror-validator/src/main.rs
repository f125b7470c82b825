//! `mirror-validator`: a validator as a process. The only binary that links libtorch.

use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_node::run(mirror_validator::serve)
}
