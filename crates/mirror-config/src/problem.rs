//! The problems of a file: the place, the message and the help of each.

use std::fmt::{self, Display, Write};

use miette::{Diagnostic, GraphicalReportHandler, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;

use crate::tree::Origin;

/// Maximum number of problems that are reported for one file. The rest is only counted.
const MAX_REPORTED: usize = 100;
/// Number of characters that the plain text shows of a line on each side of the place.
const AROUND: usize = 60;

/// The severity of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be run.
    Error,
    /// The file can be run, but contains a setting without effect or an outdated form.
    Warning,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Offset in bytes from the start of the file.
    pub offset: usize,
    /// Length in bytes, at most up to the end of the line.
    pub length: usize,
}

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Severity of the problem.
    pub severity: Severity,
    /// Description of the problem.
    pub message: String,
    /// Place of the problem. `None` if it is in an override from the command line, which the message names, or in the
    /// file as a whole.
    pub place: Option<Place>,
    /// Instructions for a fix.
    pub help: Option<String>,
}

/// The problems of a file, ordered by place.
#[derive(Debug, Clone, Serialize)]
pub struct Problems {
    /// Name of the file as passed by the caller.
    pub file: String,
    /// The problems, ordered by place. Problems without a place come first.
    pub problems: Vec<Problem>,
    #[serde(skip)]
    source: NamedSource<String>,
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place?;
        Some(Box::new(std::iter::once(LabeledSpan::underline((
            place.offset,
            place.length,
        )))))
    }
}

/// Writes the number of problems: `2 errors and 1 warning in quickstart.yml`.
impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |severity| {
            self.problems
                .iter()
                .filter(|problem| problem.severity == severity)
                .count()
        };
        let counted = [
            (count(Severity::Error), "error"),
            (count(Severity::Warning), "warning"),
        ];
        let words: Vec<String> = counted
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}{}", if *count == 1 { "" } else { "s" }))
            .collect();
        let words = if words.is_empty() {
            "no problem".to_owned()
        } else {
            words.join(" and ")
        };
        write!(f, "{words} in {}", self.file)
    }
}

impl std::error::Error for Problems {}

impl Diagnostic for Problems {
    fn severity(&self) -> Option<miette::Severity> {
        Some(if self.has_errors() {
            miette::Severity::Error
        } else {
            miette::Severity::Warning
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(
            self.problems.iter().map(|problem| problem as &dyn Diagnostic),
        ))
    }
}

impl Problems {
    /// Returns whether one of the problems is an error, so that the file cannot be run.
    pub fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Formats the problems for a terminal: each place underlined with the lines around it, in colour if the terminal
    /// supports it.
    pub fn graphical(&self) -> String {
        let mut out = String::new();
        match GraphicalReportHandler::new().render_report(&mut out, self) {
            Ok(()) => out,
            // Writing to a string cannot fail, but the renderer reports a place outside the text with this error.
            Err(fmt::Error) => self.plain(),
        }
    }

    /// Formats the problems for a log or a pipe: `file:line:column: error: …`, the line with a caret under the place,
    /// and the help.
    pub fn plain(&self) -> String {
        let mut out = String::new();
        for problem in &self.problems {
            self.write_plain(&mut out, problem)
                .expect("writing to a string cannot fail");
        }
        out
    }

    fn write_plain(&self, out: &mut String, problem: &Problem) -> fmt::Result {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        match problem.place {
            None => writeln!(out, "{}: {severity}: {}", self.file, problem.message)?,
            Some(place) => {
                let (line, column) = (place.line, place.column);
                writeln!(
                    out,
                    "{}:{line}:{column}: {severity}: {}",
                    self.file, problem.message
                )?;
                let text = self.source.inner().split('\n').nth(line - 1).unwrap_or_default();
                let skipped = column.saturating_sub(1 + AROUND);
                let shown: String = text.trim_end().chars().skip(skipped).take(2 * AROUND).collect();
                let number = line.to_string();
                writeln!(out, "  {number} | {}", shown.replace('\t', " "))?;
                writeln!(
                    out,
                    "  {:1$} | {2:3$}^",
                    "",
                    number.len(),
                    "",
                    column - 1 - skipped
                )?;
            }
        }
        if let Some(help) = &problem.help {
            writeln!(out, "  help: {help}")?;
        }
        Ok(())
    }
}

/// A problem as the checks report it: with an origin that has not yet been converted to a place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    severity: Severity,
    origin: Origin,
    message: String,
    help: Option<String>,
}

impl Finding {
    pub(crate) fn error(origin: Origin, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            origin,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn warning(origin: Origin, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            origin,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Returns the problem without its place, for a text that is not part of a file.
    pub(crate) fn without_place(self) -> Problem {
        Problem {
            severity: self.severity,
            message: self.message,
            place: None,
            help: self.help,
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Returns the sort key: the place, then the severity with errors first, then the message.
    fn order(&self) -> (Option<usize>, Severity, &str) {
        let start = match self.origin {
            Origin::File { start, .. } => Some(start),
            Origin::Override { .. } | Origin::Default => None,
        };
        (start, self.severity, &self.message)
    }
}

/// Converts findings to problems with places in the text, in order. The message of a finding that is about one of
/// `overrides` names it.
pub(crate) fn place(
    file: &str,
    text: &str,
    overrides: &[(String, String)],
    findings: Vec<Finding>,
) -> Problems {
    let mut findings = findings;
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
    findings.dedup();
    let unreported = findings.split_off(findings.len().min(MAX_REPORTED));
    let lines = Lines::of(text);
    let mut problems: Vec<Problem> = findings
        .into_iter()
        .map(|finding| {
            let Finding {
                severity,
                origin,
                mut message,
                help,
            } = finding;
            if let Some(index) = origin.overridden_by()
                && let Some((path, value)) = overrides.get(index)
            {
                message = format!("override `{path}={value}`: {message}");
            }
            let place = match origin {
                Origin::File { start, end } => Some(lines.place(start, end)),
                Origin::Override { .. } | Origin::Default => None,
            };
            Problem {
                severity,
                message,
                place,
                help,
            }
        })
        .collect();
    // The problems that are left out become one problem with the highest severity among them.
    if let Some(severity) = unreported.iter().map(|finding| finding.severity).min() {
        let message = format!("{} more problems are not shown", unreported.len());
        problems.push(Problem {
            severity,
            message,
            place: None,
            help: None,
        });
    }
    let source = NamedSource::new(file, text.to_owned());
    Problems {
        file: file.to_owned(),
        problems,
        source,
    }
}

/// Converts character positions of a text to places.
struct Lines<'a> {
    text: &'a str,
    /// Index of the first character and of the first byte of each line.
    starts: Vec<(usize, usize)>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let mut starts = vec![(0, 0)];
        for (character, (byte, c)) in text.char_indices().enumerate() {
            if c == '\n' {
                starts.push((character + 1, byte + 1));
            }
        }
        Self { text, starts }
    }

    fn place(&self, start: usize, end: usize) -> Place {
        let line = self.starts.partition_point(|(first, _)| *first <= start);
        let (first_character, first_byte) = self.starts[line - 1];
        let in_line = &self.text[first_byte..]
            .split('\n')
            .next()
            .unwrap_or_default()
            .trim_end();
        let byte_of = |character: usize| {
            let inside = in_line
                .char_indices()
                .nth(character - first_character)
                .map_or(in_line.len(), |(byte, _)| byte);
            first_byte + inside
        };
        let offset = byte_of(start);
        let column = self.text[first_byte..offset].chars().count() + 1;
        Place {
            line,
            column,
            offset,
            length: byte_of(end.max(start)) - offset,
        }
    }
}
