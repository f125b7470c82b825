//! Checks the width of comments and prose: at most [`WIDTH`] characters per line.
//!
//! rustfmt does not wrap comments. Tables, code and lines with a URL are exempt.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Maximum number of characters of a line.
const WIDTH: usize = 120;

/// Checks the Rust files and the Markdown pages of the checkout in `root`.
///
/// # Errors
///
/// Returns an error that lists each line that is too long.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut git = Command::new("git");
    let listed = crate::output(git.args(["ls-files", "*.rs", "*.md"]).current_dir(root))?;
    let mut wide = Vec::new();
    for file in listed.lines() {
        let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
        let is_page = Path::new(file)
            .extension()
            .is_some_and(|extension| extension == "md");
        let lines = if is_page {
            too_wide(&text, |line| !line.starts_with(['|', '#', '<']))
        } else {
            too_wide(&text, |line| line.starts_with("//") && !is_row(line))
        };
        wide.extend(lines.into_iter().map(|line| format!("{file}:{line}")));
    }
    ensure!(
        wide.is_empty(),
        "these lines have more than {WIDTH} characters; break them:\n  {}",
        wide.join("\n  ")
    );
    Ok(())
}

/// Returns whether a comment is a row of a table.
fn is_row(comment: &str) -> bool {
    comment.trim_start_matches(['/', '!', ' ']).starts_with('|')
}

/// Returns the numbers, from 1, of the lines outside blocks of code that are too wide and for which `is_prose` returns
/// true. `is_prose` receives the line without its indentation.
fn too_wide(text: &str, is_prose: impl Fn(&str) -> bool) -> Vec<usize> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.trim_start();
        if content.trim_start_matches(['/', '!', ' ']).starts_with("```") {
            in_code = !in_code;
        }
        let is_wide = line.chars().count() > WIDTH && !in_code && !line.contains("://");
        if is_wide && is_prose(content) {
            found.push(number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_prose_is_found_and_code_tables_and_addresses_are_not() {
        let long = "word ".repeat(30);
        let text = format!("{long}\n| {long} |\n```\n{long}\n```\nhttps://{long}\nshort\n    {long}\n");
        assert_eq!(too_wide(&text, |line| !line.starts_with('|')), [1, 8]);
    }

    #[test]
    fn width_is_counted_in_characters() {
        let exact = "é".repeat(WIDTH);
        assert_eq!(too_wide(&exact, |_| true), Vec::<usize>::new());
        assert_eq!(too_wide(&format!("{exact}é"), |_| true), [1]);
    }
}
