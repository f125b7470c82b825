//! Lines on standard error that may be lost.
//!
//! `eprintln!` panics if the line cannot be written, for example because the reader of a pipe has ended or because the
//! disk with the log is full. A message must not end the process that it is about, so every program of this workspace
//! writes messages with [`message!`]. Clippy refuses `eprintln!` and `println!`.

use std::fmt;
use std::io::{Write, stderr};

/// Writes a line to standard error, with the arguments of [`format!`]. A line that cannot be written is lost.
#[macro_export]
macro_rules! message {
    ($($arguments:tt)*) => {
        $crate::write_line(::std::format_args!($($arguments)*))
    };
}

/// Writes a line to standard error. A line that cannot be written is lost.
pub fn write_line(line: fmt::Arguments<'_>) {
    // The line is written at once, so that lines of several threads do not mix.
    let _lost = stderr().write_all(format!("{line}\n").as_bytes());
}
