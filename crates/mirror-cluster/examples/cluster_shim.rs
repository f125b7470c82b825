//! The shim as a program of its own, for tests; in the project it is a command of `mirror`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mirror_cluster::shim::main(
        std::env::args_os()
            .skip_while(|argument| argument != "--")
            .skip(1),
    )
}
