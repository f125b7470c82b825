//! A program for tests that writes 100 MB without a line in it where a node says where it listens.

use std::io::{Write, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let megabyte = vec![b'x'; 1_000_000];
    for _ in 0..100 {
        if stdout().write_all(&megabyte).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
