//! `mirror-validator`: a validator as a process. The only binary that links libtorch.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    if words.next_if(|first| first == "check-models").is_some() {
        return mirror_validator::check_models::main(words);
    }
    mirror_node::run(mirror_validator::serve)
}
