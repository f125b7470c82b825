//! A program for tests that prints 100 MB without a newline, where a node prints its listen address.

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
