//! `mirror-proxy`: the process that passes connections on by rules.

use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_node::run(mirror_proxy::serve)
}
