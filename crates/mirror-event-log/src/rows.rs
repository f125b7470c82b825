//! Rows of CSV. A quoted cell may contain ends of lines.

use std::collections::VecDeque;
use std::io;

use csv::{ByteRecord, StringRecord};

use crate::lines::{LONGEST_LINE, Line, Lines};

/// Maximum number of lines of a row.
const MOST_LINES: usize = 65_536;

/// The rows of a CSV file.
///
/// A line with a stray quotation mark changes which lines form the rows after it. If the lines of a row do not form a
/// row with the cells of the header, only its first line is left out, and the row after it begins at the next line.
pub(crate) struct Rows {
    lines: Lines,
    /// Number of cells of the header.
    cells: usize,
    /// Lines that were read but belong to no row yet, with their numbers.
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// Number of the line without an end, which is the last one.
    unended: Option<u64>,
    /// The line after `waiting`, if it is not an ordinary line.
    last: Option<(u64, Line)>,
}

/// The next row of a file.
#[derive(Debug)]
pub(crate) enum Row {
    Cells(StringRecord),
    /// The line does not begin a row with the cells of the header.
    Mismatched,
    /// The last line has no end, and fewer cells than the header.
    Unended,
    TooLong,
    End,
    Damaged,
}

impl Rows {
    pub(crate) fn new(lines: Lines, cells: usize) -> Self {
        Self {
            lines,
            cells,
            waiting: VecDeque::new(),
            unended: None,
            last: None,
        }
    }

    /// Returns the next row with the number of its first line. Empty lines between rows are skipped.
    pub(crate) fn next(&mut self) -> io::Result<(u64, Row)> {
        loop {
            let (row, lines) = self.gather()?;
            let Some((number, _)) = self.waiting.front() else {
                return Ok(self.end());
            };
            let number = *number;
            let cells = row.as_deref().and_then(parse);
            let has_more = cells.as_ref().is_some_and(|cells| cells.len() > self.cells);
            let cells = cells.filter(|cells| cells.len() == self.cells);
            self.waiting.drain(..if cells.is_some() { lines } else { 1 });
            match (cells, row) {
                (Some(cells), _) => return Ok((number, Row::Cells(cells))),
                (None, Some(row)) if row.trim_ascii().is_empty() => {}
                (None, _) if self.unended == Some(number) && !has_more => return Ok((number, Row::Unended)),
                (None, _) => return Ok((number, Row::Mismatched)),
            }
        }
    }

    /// Returns the text of the row that begins at the next line, and the number of its lines. The text is `None` if a
    /// quoted cell does not end within the bounds of a row.
    fn gather(&mut self) -> io::Result<(Option<Vec<u8>>, usize)> {
        let mut row = Vec::new();
        let mut is_quoted = false;
        for lines in 0..MOST_LINES {
            if lines == self.waiting.len() && !self.read_line()? {
                break;
            }
            let (_, line) = &self.waiting[lines];
            if row.len() + line.len() > LONGEST_LINE {
                break;
            }
            if lines > 0 {
                row.push(b'\n');
            }
            row.extend_from_slice(line);
            is_quoted = line
                .iter()
                .fold(is_quoted, |is_quoted, byte| is_quoted ^ (*byte == b'"'));
            if !is_quoted {
                return Ok((Some(row), lines + 1));
            }
        }
        Ok((None, 0))
    }

    /// Adds a line to `waiting`. Returns whether there was one.
    fn read_line(&mut self) -> io::Result<bool> {
        if self.last.is_some() {
            return Ok(false);
        }
        let mut line = Vec::new();
        match self.lines.next(&mut line)? {
            ending @ (Line::Ended | Line::Unended) => {
                if ending == Line::Unended {
                    self.unended = Some(self.lines.number());
                }
                self.waiting.push_back((self.lines.number(), line));
                Ok(true)
            }
            other => {
                self.last = Some((self.lines.number(), other));
                Ok(false)
            }
        }
    }

    /// Returns the line that is not an ordinary line, after all others were read.
    fn end(&mut self) -> (u64, Row) {
        let (number, line) = self.last.take().unwrap_or((self.lines.number(), Line::End));
        let row = match line {
            Line::TooLong => Row::TooLong,
            Line::Damaged => Row::Damaged,
            Line::Ended | Line::Unended | Line::End => Row::End,
        };
        (number, row)
    }
}

/// Reads the cells of a row. `None` if the text is not UTF-8, or not exactly one row.
pub(crate) fn parse(row: &[u8]) -> Option<StringRecord> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(row.len().clamp(64, 1 << 16))
        .from_reader(row);
    let (mut cells, mut rest) = (StringRecord::new(), ByteRecord::new());
    let is_row = matches!(reader.read_record(&mut cells), Ok(true));
    let is_one = matches!(reader.read_byte_record(&mut rest), Ok(false));
    (is_row && is_one).then_some(cells)
}
