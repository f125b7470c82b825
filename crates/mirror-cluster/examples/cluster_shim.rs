//! The shim as a separate program for tests. In the project it is a command of `mirror`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_cluster::shim::main(
        std::env::args_os()
            .skip_while(|argument| argument != "--")
            .skip(1),
    )
}
