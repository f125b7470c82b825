//! Tables for a terminal: as many columns as its width has room for, the most important ones first.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, LineStyle, Table};

/// A column of a [`TerminalTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalColumn {
    /// The heading. A heading of several words takes two lines.
    pub title: &'static str,
    /// The side on which the cells are aligned.
    pub alignment: Alignment,
    /// The importance of the column: where the table is too wide, columns with the highest number are left out first.
    /// Columns with 0 always stay.
    pub rank: u8,
}

/// The side on which the cells of a column are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alignment {
    /// For text.
    Left,
    /// For numbers.
    Right,
}

/// A table of text cells.
#[derive(Debug)]
pub struct TerminalTable {
    columns: Vec<TerminalColumn>,
    rows: Vec<Vec<String>>,
}

impl TerminalTable {
    /// Creates a table without rows.
    pub fn new(columns: impl IntoIterator<Item = TerminalColumn>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, with one cell for each column.
    pub fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Returns whether the table has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in lines of at most `width` characters, as long as the columns of rank 0 allow it.
    pub fn fitted(&self, width: usize) -> String {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        loop {
            let text = self.drawn(&shown);
            let is_too_wide = text.lines().any(|line| line.chars().count() > width);
            let least = (0..shown.len()).max_by_key(|&place| self.columns[shown[place]].rank);
            match least {
                Some(place) if is_too_wide && self.columns[shown[place]].rank > 0 => {
                    shown.remove(place);
                }
                _ => return text,
            }
        }
    }

    fn drawn(&self, shown: &[usize]) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING.header_separator(LineStyle::none().fill('─').junction('─')));
        table.set_header(shown.iter().map(|&column| two_lines(self.columns[column].title)));
        for (drawn, &column) in table.column_iter_mut().zip(shown) {
            drawn.set_cell_alignment(match self.columns[column].alignment {
                Alignment::Left => CellAlignment::Left,
                Alignment::Right => CellAlignment::Right,
            });
            drawn.set_padding((0, 2));
        }
        for row in &self.rows {
            table.add_row(shown.iter().map(|&column| row[column].as_str()));
        }
        table.trim_fmt()
    }
}

/// A heading with its last word on a second line.
fn two_lines(title: &str) -> String {
    match title.rsplit_once(' ') {
        Some((first, last)) => format!("{first}\n{last}"),
        None => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TerminalTable {
        let column = |title, rank| TerminalColumn {
            title,
            alignment: Alignment::Right,
            rank,
        };
        let mut table = TerminalTable::new([column("uid", 0), column("calls", 2), column("mean reward", 1)]);
        table.push(["0", "1,234", "0.5000"].map(str::to_owned));
        table
    }

    #[test]
    fn the_least_important_columns_are_left_out_first() {
        let headings = |width: usize| {
            let text = table().fitted(width);
            ["uid", "calls", "mean"].map(|title| text.contains(title))
        };
        let whole = table().fitted(usize::MAX);
        let width = whole.lines().map(|line| line.chars().count()).max();
        let width = width.expect("a table has lines");
        assert_eq!(headings(width), [true, true, true]);
        assert_eq!(headings(width - 1), [true, false, true]);
        assert_eq!(headings(8), [true, false, false]);
        assert_eq!(headings(0), [true, false, false]);
    }
}
