//! `mirror-validator`: the validator process. It is the only binary that links libtorch.

use std::process::ExitCode;

use mirror_validator::read_texts::{self, TextReport};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    if words.next_if(|first| first == "check-models").is_some() {
        return mirror_validator::check_models::main(words);
    }
    if let Some(report) = words.peek().and_then(|first| TextReport::named(first)) {
        return read_texts::main(report, words.skip(1));
    }
    mirror_node::run(mirror_validator::serve)
}
