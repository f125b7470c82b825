//! A waterfall as text for a terminal.

use std::iter;

use unicode_width::UnicodeWidthChar;

use super::{Folded, Line, words};
use crate::duration;
use crate::trace::{Span, Trace};

/// The least and the greatest width of a line that is used.
const WIDTHS: (usize, usize) = (40, 200);

/// Width of the column of durations.
const DURATION_WIDTH: usize = 8;

/// Greatest number of levels that are indented. Deeper spans have the indentation of the last level.
const MAX_INDENT: usize = 12;

/// A line of text, and its importance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextLine {
    /// The text, without control characters.
    pub text: String,
    /// The importance.
    pub emphasis: Emphasis,
}

/// The importance of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emphasis {
    /// A span, or spans without lines.
    Plain,
    /// A span that a rule affected, or a remark about it.
    Rule,
    /// A span that failed, or a remark about it.
    Error,
}

/// Returns the lines of a waterfall as text with at most `width` columns, at least 40. A span with an error, a rule or
/// a missing parent has a second line that states it.
pub fn text<'a>(trace: &'a Trace, lines: &'a [Line], width: usize) -> impl Iterator<Item = TextLine> + 'a {
    let width = width.clamp(WIDTHS.0, WIDTHS.1);
    let names = lines.iter().map(|line| display_width(&label(trace, line)));
    let name_width = names.max().unwrap_or_default().clamp(12, width * 9 / 20);
    // Between the columns, and around the duration, is one space each.
    let bar_width = width - name_width - DURATION_WIDTH - 2;
    let extent = trace.extent_ns().unwrap_or_default();
    lines.iter().flat_map(move |line| {
        let label = fitted(&label(trace, line), name_width);
        let (start, end, duration) = times(trace, line);
        let bar = bar(extent, (start, end), bar_width, line);
        let gap = name_width.saturating_sub(display_width(&label));
        let text = format!("{label}{:gap$} {duration:>DURATION_WIDTH$} {bar}", "");
        let (emphasis, remark) = match line {
            Line::Span(index) => remark(&trace.spans()[*index]),
            Line::Folded(Folded { marked: 0, .. }) => (Emphasis::Plain, None),
            Line::Folded(Folded { marked, .. }) => (
                Emphasis::Rule,
                Some(format!("{marked} of them have errors or rules")),
            ),
        };
        let first = TextLine {
            text: text.trim_end().to_owned(),
            emphasis,
        };
        let second = remark.map(|remark| TextLine {
            text: fitted(&format!("{}! {remark}", indent(line.depth(trace))), width),
            emphasis,
        });
        iter::once(first).chain(second)
    })
}

/// Returns text in which control characters are escaped, because a terminal takes them for commands.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            printable.extend(letter.escape_default());
        } else {
            printable.push(letter);
        }
    }
    printable
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth.min(MAX_INDENT))
}

fn label(trace: &Trace, line: &Line) -> String {
    let indent = indent(line.depth(trace));
    match line {
        Line::Span(index) => printable(&format!("{indent}{}", words::title(&trace.spans()[*index]))),
        Line::Folded(folded) => format!(
            "{indent}{} more, {} to {}",
            folded.count,
            duration::text(folded.shortest_ns),
            duration::text(folded.longest_ns)
        ),
    }
}

/// Returns the start and the end in nanoseconds since 1970, and the duration as text.
fn times(trace: &Trace, line: &Line) -> (i64, i64, String) {
    match line {
        Line::Span(index) => {
            let span = &trace.spans()[*index];
            (span.start_ns, span.end_ns(), duration::text(span.duration_ns))
        }
        Line::Folded(folded) => (folded.start_ns, folded.end_ns, String::new()),
    }
}

/// Returns the bar of a span, at its place in the time of the trace. It has at least one character.
fn bar((from, to): (i64, i64), (start, end): (i64, i64), width: usize, line: &Line) -> String {
    let whole = i128::from(to) - i128::from(from);
    let column = |time: i64| -> usize {
        let passed = (i128::from(time) - i128::from(from)) * width as i128;
        passed
            .checked_div(whole)
            .map_or(0, |column| usize::try_from(column).unwrap_or_default())
    };
    let first = column(start).min(width - 1);
    let last = column(end).clamp(first + 1, width);
    let character = match line {
        Line::Span(_) => "█",
        Line::Folded(_) => "░",
    };
    format!("{:first$}{}", "", character.repeat(last - first))
}

/// Returns the importance of a span and the remark about it.
fn remark(span: &Span) -> (Emphasis, Option<String>) {
    let emphasis = if span.has_error() {
        Emphasis::Error
    } else if span.row.rules.is_some() {
        Emphasis::Rule
    } else {
        Emphasis::Plain
    };
    (emphasis, words::remark(span).map(|remark| printable(&remark)))
}

/// Returns the number of columns of text in a terminal.
fn display_width(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// Cuts text to a number of columns.
fn fitted(text: &str, width: usize) -> String {
    if display_width(text) <= width {
        return text.to_owned();
    }
    let mut fitted = String::new();
    let mut used = 1;
    for letter in text.chars() {
        let letter_width = letter.width().unwrap_or_default();
        if used + letter_width > width {
            break;
        }
        used += letter_width;
        fitted.push(letter);
    }
    fitted.push('…');
    fitted
}
