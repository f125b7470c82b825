//! The picture of a trace: a line per span, with a bar at its place in the time of the trace.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use crate::duration::duration_text;
use crate::trace::{Place, Span, Trace};

/// Number of siblings of one name that are shown without folding.
const SIBLINGS: usize = 8;

/// Number of siblings of a folded group that are shown: the slowest, and those that failed or that a fault affected.
const SLOWEST: usize = 5;
const MARKED: usize = 10;

/// Least and greatest number of columns of a text.
const LEAST_WIDTH: usize = 40;
const GREATEST_WIDTH: usize = 200;

/// Greatest indentation, so that the names in deep trees can be read.
const INDENTATION: usize = 10;

/// Whether many similar siblings are shown as one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// Of many siblings with one name, only the slowest and the marked ones are shown.
    Similar,
    /// Every span is shown.
    None,
}

/// The lines of a picture.
#[derive(Debug)]
pub struct Waterfall<'trace> {
    trace: &'trace Trace,
    lines: Vec<Line>,
}

/// One line of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A span.
    Span {
        /// Index in [`Trace::spans`].
        span: usize,
        /// Number of ancestors.
        depth: usize,
    },
    /// Siblings that are not shown, with all below them.
    Folded {
        /// Number of ancestors.
        depth: usize,
        /// Name of the siblings.
        name: String,
        /// Number of siblings.
        count: usize,
        /// Shortest and longest duration in nanoseconds.
        durations: (i64, i64),
    },
}

/// One line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextLine {
    /// The text, without control characters and without a line break.
    pub text: String,
    /// Mark of the line.
    pub tone: Tone,
}

/// Mark of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A span without marks.
    Plain,
    /// A span that a fault affected.
    Faulty,
    /// A span that failed.
    Error,
    /// A span whose place in the tree is not known, or a duplicate.
    Misplaced,
    /// Siblings that are not shown.
    Folded,
}

/// Columns of the parts of a line.
#[derive(Debug, Clone, Copy)]
struct Widths {
    line: usize,
    label: usize,
    duration: usize,
    bar: usize,
}

impl<'trace> Waterfall<'trace> {
    /// Returns the picture of a trace.
    pub fn of(trace: &'trace Trace, folding: Folding) -> Self {
        let mut lines = Vec::new();
        let mut stack = Vec::new();
        push_siblings(trace, trace.roots(), 0, folding, &mut stack);
        while let Some(line) = stack.pop() {
            if let Line::Span { span, depth } = line {
                let children = &trace.spans()[span].children;
                push_siblings(trace, children, depth + 1, folding, &mut stack);
            }
            lines.push(line);
        }
        Self { trace, lines }
    }

    /// Returns the lines, each parent before its children.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Returns the picture as text of at most `width` columns, which is limited to 40..=200. A span that is marked has
    /// a further line for each reason.
    pub fn text(&self, width: usize) -> impl Iterator<Item = TextLine> + '_ {
        let line = width.clamp(LEAST_WIDTH, GREATEST_WIDTH);
        let spans = || {
            self.lines.iter().filter_map(|line| match line {
                Line::Span { span, depth } => Some((&self.trace.spans()[*span], *depth)),
                Line::Folded { .. } => None,
            })
        };
        let durations = spans().map(|(span, _)| length(&duration_text(span.duration)));
        let duration = durations.max().unwrap_or_default();
        let labels = spans().map(|(span, depth)| length(&self.label(span, depth)));
        let label = labels.max().unwrap_or_default().min(line * 2 / 5);
        let widths = Widths {
            line,
            label,
            duration,
            bar: line.saturating_sub(label + duration + 2).max(1),
        };
        self.lines.iter().flat_map(move |line| self.texts(line, widths))
    }

    /// Returns the text of one line, and the lines with the remarks on its span.
    fn texts(&self, line: &Line, widths: Widths) -> Vec<TextLine> {
        match line {
            Line::Span { span, depth } => {
                let span = &self.trace.spans()[*span];
                let label = shortened(&self.label(span, *depth), widths.label);
                let duration = duration_text(span.duration);
                let bar = self.bar(span, widths.bar);
                let remarks = remarks(span);
                let mut texts = vec![TextLine {
                    text: format!("{label:0$} {duration:>1$} {bar}", widths.label, widths.duration),
                    tone: remarks.first().map_or(Tone::Plain, |(tone, _)| *tone),
                }];
                texts.extend(remarks.into_iter().map(|(tone, remark)| TextLine {
                    text: shortened(&format!("{}^ {remark}", indentation(*depth)), widths.line),
                    tone,
                }));
                texts
            }
            Line::Folded {
                depth,
                name,
                count,
                durations: (shortest, longest),
            } => {
                let (shortest, longest) = (duration_text(*shortest), duration_text(*longest));
                let (indentation, name) = (indentation(*depth), printable(name));
                let text = format!("{indentation}{count} more {name}, {shortest} to {longest}");
                vec![TextLine {
                    text: shortened(&text, widths.line),
                    tone: Tone::Folded,
                }]
            }
        }
    }

    /// Returns the name of a span, with the uid of a call, and with the node where it differs from that of the parent.
    fn label(&self, span: &Span, depth: usize) -> String {
        let mut label = indentation(depth) + &printable(&span.row.name);
        if let Some(uid) = span.row.uid.filter(|_| span.is_call()) {
            label.extend([" uid ", &uid.to_string()]);
        }
        let node_above = span.parent.map(|parent| &self.trace.spans()[parent].row.node);
        if node_above != Some(&span.row.node) {
            label.extend([" @", &printable(&span.row.node)]);
        }
        label
    }

    fn bar(&self, span: &Span, width: usize) -> String {
        let (first, last) = self.trace.extent().unwrap_or_default();
        let total = (last - first).max(1) as f64;
        let column = |time: i64| (time - first) as f64 / total * width as f64;
        let start = (column(span.start).floor() as usize).min(width - 1);
        let end = (column(span.end()).ceil() as usize).clamp(start + 1, width);
        let block = if span.duration == 0 { "|" } else { "█" };
        " ".repeat(start) + &block.repeat(end - start)
    }
}

/// Pushes the lines of siblings on a stack, the first one last, after the lines that stand for hidden siblings.
fn push_siblings(trace: &Trace, siblings: &[usize], depth: usize, folding: Folding, stack: &mut Vec<Line>) {
    let spans = trace.spans();
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    if folding == Folding::Similar {
        for sibling in siblings {
            groups
                .entry(&spans[*sibling].row.name)
                .or_default()
                .push(*sibling);
        }
    }
    groups.retain(|_, group| group.len() > SIBLINGS);
    let mut hidden = HashSet::new();
    for (name, mut group) in groups {
        group.sort_by_key(|index| Reverse(spans[*index].duration));
        let rest = group.split_off(SLOWEST);
        let is_marked = |index: &usize| !remarks(&spans[*index]).is_empty();
        let (marked, mut folded): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_marked);
        folded.extend(marked.into_iter().skip(MARKED));
        let durations = || folded.iter().map(|index| spans[*index].duration);
        if let (Some(shortest), Some(longest)) = (durations().min(), durations().max()) {
            stack.push(Line::Folded {
                depth,
                name: name.to_owned(),
                count: folded.len(),
                durations: (shortest, longest),
            });
        }
        hidden.extend(folded);
    }
    let shown = siblings.iter().rev().filter(|sibling| !hidden.contains(*sibling));
    stack.extend(shown.map(|span| Line::Span { span: *span, depth }));
}

/// Returns the remarks on a span, an error first.
fn remarks(span: &Span) -> Vec<(Tone, String)> {
    let mut remarks = Vec::new();
    if let Some(error) = &span.row.error {
        remarks.push((Tone::Error, format!("error: {}", printable(error))));
    }
    if let Some(rules) = span.row.rules.as_ref().filter(|rules| !rules.is_empty()) {
        remarks.push((Tone::Faulty, format!("faults: {}", printable(rules))));
    }
    let place = match &span.place {
        Place::Root | Place::Child => None,
        Place::MissingParent => Some("the parent of this span is missing".to_owned()),
        Place::KilledParent { node } => Some(format!(
            "the parent of this span is missing: {} ended abnormally",
            printable(node)
        )),
        Place::Cycle => Some("this span is its own ancestor according to the table".to_owned()),
    };
    remarks.extend(place.map(|text| (Tone::Misplaced, text)));
    if span.is_duplicate {
        let text = "an earlier span of the trace has the same id".to_owned();
        remarks.push((Tone::Misplaced, text));
    }
    remarks
}

fn indentation(depth: usize) -> String {
    " ".repeat(depth.min(INDENTATION))
}

/// Returns text without control characters, line breaks and tabs, which are escaped.
fn printable(text: &str) -> String {
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

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Returns text of at most `width` characters.
fn shortened(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}
