//! The terminal or pipe that output goes to: its width, and whether its reader has closed it.

use terminal_size::{Width, terminal_size_of};

/// Width where standard output is no terminal and `COLUMNS` does not state one.
const DEFAULT_WIDTH: usize = 80;

/// The number of characters that a line of a table may have: unlimited for a `wide` table, or else the width of the
/// terminal, `COLUMNS`, or 80.
pub(super) fn width(wide: bool) -> usize {
    if wide {
        return usize::MAX;
    }
    if let Some((Width(width), _)) = terminal_size_of(std::io::stdout()) {
        return width.into();
    }
    let columns = std::env::var("COLUMNS").ok();
    columns
        .and_then(|columns| columns.parse().ok())
        .unwrap_or(DEFAULT_WIDTH)
}

/// Returns text from another program as a terminal may receive it: control characters other than a line break and a
/// tab are escaped, because a terminal takes them for commands.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() && !matches!(letter, '\n' | '\t') {
            printable.extend(letter.escape_default());
        } else {
            printable.push(letter);
        }
    }
    printable
}

/// Returns whether an error means that the reader of the output closed it early, as `head` does.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    let of_io = |cause: &(dyn std::error::Error + 'static)| {
        let of_json = cause.downcast_ref::<serde_json::Error>();
        let of_json = of_json.and_then(serde_json::Error::io_error_kind);
        of_json.or_else(|| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind))
    };
    error
        .chain()
        .any(|cause| of_io(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

/// The result of printing something, without the error that the reader has closed the output.
///
/// # Errors
///
/// Returns every other error.
pub(super) fn unless_closed(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    match printed {
        Err(error) if is_closed(&error) => Ok(()),
        printed => printed,
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\tb\nü"), "a\tb\nü");
        assert_eq!(printable("\u{1b}[2J\u{7}\r\u{9b}"), "\\u{1b}[2J\\u{7}\\r\\u{9b}");
    }
}
