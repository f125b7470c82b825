//! The terminal that output goes to: its width.

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
