//! Checks that no program prints with a macro that panics when the line cannot be written.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The macros that panic.
const PANICKING: [&str; 4] = ["eprintln!(", "eprint!(", "println!(", "print!("];

/// The crate whose functions only tests call.
const OF_TESTS: &str = "crates/mirror-test-support/";

/// Checks the sources of all programs and libraries of the checkout in `root`.
///
/// # Errors
///
/// Returns an error that lists every line with such a macro.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut git = Command::new("git");
    let listed = crate::output(git.args(["ls-files", "crates/*/src/*.rs"]).current_dir(root))?;
    let mut found = Vec::new();
    for file in listed.lines().filter(|file| !file.starts_with(OF_TESTS)) {
        let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
        found.extend(panicking_lines(&text).map(|number| format!("{file}:{number}")));
    }
    ensure!(
        found.is_empty(),
        "these lines panic if their output cannot be written: use `message!` of mirror-output, or write to standard \
         output and return the error\n  {}",
        found.join("\n  ")
    );
    Ok(())
}

/// Returns the numbers of the lines that call a panicking macro, from 1.
fn panicking_lines(text: &str) -> impl Iterator<Item = usize> {
    let calls = |line: &str| {
        let code = line.trim_start();
        !code.starts_with("//")
            && code
                .split(|letter: char| letter.is_whitespace() || letter == '{')
                .any(|word| PANICKING.iter().any(|name| word.starts_with(name)))
    };
    let lines = text.lines().zip(1..);
    lines
        .filter(move |(line, _)| calls(line))
        .map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_of_panicking_macros_are_found() {
        let text = "eprintln!(\"a\");\n// println!(\"b\");\nwriteln!(out)?;\nif a {println!()}\nmessage!(\"d\");\n  print!(\"e\")";
        assert_eq!(panicking_lines(text).collect::<Vec<_>>(), [1, 4, 6]);
    }

    #[test]
    fn the_programs_of_this_checkout_have_none() {
        check(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")))
            .expect("no program prints with these macros");
    }
}
