//! The program `mirror`: the command line and the coordinator.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    // Placements start foreign programs by `mirror shim -- PROGRAM …`; nothing else of this program may run before it.
    if arguments.next_if(|first| first == "shim").is_some() {
        return mirror_cluster::shim::main(arguments.skip(1));
    }
    mirror::command::main()
}
