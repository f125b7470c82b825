//! Reads the traces of a run and looks one up.

use std::fmt::{self, Display};
use std::iter::Peekable;
use std::str::FromStr;

use mirror_runs::tables::{Row, SpanRow, Table};
use mirror_runs::{Rows, Run, RunError};
use thiserror::Error;

use crate::trace::{EndedNodes, Trace};

/// Minimum number of digits of the start of a trace id.
const LEAST_DIGITS: usize = 4;

/// Number of digits of a trace id.
const DIGITS: usize = 32;

/// Maximum number of traces that an error names.
const CANDIDATES: usize = 5;

/// Returns the number of spans of a run.
pub fn count(run: &Run) -> Result<u64, RunError> {
    run.row_count(&Table::named(SpanRow::TABLE).expect("spans are a table"))
}

/// Returns the traces of a run in the order of their ids. The spans of one trace are in memory at a time.
pub fn traces(run: &Run) -> Result<Traces, RunError> {
    Ok(Traces {
        groups: Groups::of(run)?,
        ended: EndedNodes::of(run)?,
    })
}

/// The traces of a run in the order of their ids.
pub struct Traces {
    groups: Groups,
    ended: EndedNodes,
}

impl Iterator for Traces {
    type Item = Result<Trace, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.groups.next()?;
        Some(rows.map(|rows| Trace::of(rows, &self.ended)))
    }
}

/// The rows of each trace of a run, in the order of their ids.
pub(crate) struct Groups {
    rows: Peekable<Rows<SpanRow>>,
}

impl Groups {
    pub(crate) fn of(run: &Run) -> Result<Self, RunError> {
        let rows = run.rows::<SpanRow>()?.peekable();
        Ok(Self { rows })
    }
}

impl Iterator for Groups {
    type Item = Result<Vec<SpanRow>, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = match self.rows.next()? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let mut group = vec![first];
        // An error ends the group and is the next item.
        while let Some(Ok(row)) = self
            .rows
            .next_if(|row| row.as_ref().is_ok_and(|row| row.trace_id == group[0].trace_id))
        {
            group.push(row);
        }
        Some(Ok(group))
    }
}

/// The name of a trace: its id or the start of it, `step:41`, or `validator-0/step:41`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The id of the trace, or at least 4 digits of its start, in lower case.
    Id(String),
    /// The step of a validator.
    Step {
        /// Name of the validator. `None` for the only validator that has this step.
        validator: Option<String>,
        /// The step.
        step: u64,
    },
}

/// Error for text that is no name of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` does not name a trace: expected a trace id or at least 4 hexadecimal digits of its start, `step:41`, or \
     `validator-0/step:41`"
)]
pub struct SelectorError(String);

/// Error for a trace that cannot be found.
#[derive(Debug, Error)]
pub enum FindError {
    /// No trace has this name.
    #[error("the run has no trace `{0}`")]
    Unknown(Selector),
    /// Several traces have this name.
    #[error("`{selector}` is ambiguous: it names {}{}", .candidates.join(", "), if *.has_more { " and others" } else { "" })]
    Ambiguous {
        /// The name.
        selector: Selector,
        /// Up to 5 of the traces.
        candidates: Vec<String>,
        /// Whether there are further traces.
        has_more: bool,
    },
    /// The table cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let error = || SelectorError(text.to_owned());
        let (validator, rest) = match text.rsplit_once('/') {
            Some((validator, rest)) => (Some(validator.to_owned()), rest),
            None => (None, text),
        };
        if let Some(step) = rest.strip_prefix("step:") {
            let step = step.parse().map_err(|_| error())?;
            return Ok(Self::Step { validator, step });
        }
        let is_id = (LEAST_DIGITS..=DIGITS).contains(&text.len())
            && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_id
            .then(|| Self::Id(text.to_ascii_lowercase()))
            .ok_or_else(error)
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Step {
                validator: None,
                step,
            } => write!(f, "step:{step}"),
            Self::Step {
                validator: Some(validator),
                step,
            } => write!(f, "{validator}/step:{step}"),
        }
    }
}

impl Selector {
    /// Returns the name of the trace with these rows if this selects it.
    fn candidate(&self, rows: &[SpanRow]) -> Option<String> {
        let id = &rows.first()?.trace_id;
        match self {
            Self::Id(start) => id.starts_with(start.as_str()).then(|| id.clone()),
            Self::Step { validator, step } => {
                // The span `step` is missing if the validator was killed.
                let mut of_step = rows
                    .iter()
                    .filter(|row| row.step == Some(*step) && matches!(row.name.as_str(), "step" | "forward"));
                let is_manual = rows.iter().any(|row| row.name == "manual");
                let row = of_step.find(|row| {
                    !is_manual && validator.as_ref().is_none_or(|validator| *validator == row.node)
                })?;
                Some(format!("{}/step:{step} ({id})", row.node))
            }
        }
    }

    /// Returns whether this selects no trace from that with these rows on, because ids ascend.
    fn is_before(&self, rows: &[SpanRow]) -> bool {
        match (self, rows.first()) {
            (Self::Id(start), Some(row)) => {
                row.trace_id > *start && !row.trace_id.starts_with(start.as_str())
            }
            _ => false,
        }
    }
}

/// Returns the trace that `selector` names.
///
/// # Errors
/// Returns an error if there is no such trace, there are several, or the table cannot be read.
pub fn find(run: &Run, selector: &Selector) -> Result<Trace, FindError> {
    let mut found = None;
    let mut candidates = Vec::new();
    let mut has_more = false;
    for rows in Groups::of(run)? {
        let rows = rows?;
        if let Some(candidate) = selector.candidate(&rows) {
            if candidates.len() == CANDIDATES {
                has_more = true;
                break;
            }
            candidates.push(candidate);
            found.get_or_insert(rows);
        } else if selector.is_before(&rows) {
            break;
        }
    }
    if candidates.len() > 1 {
        return Err(FindError::Ambiguous {
            selector: selector.clone(),
            candidates,
            has_more,
        });
    }
    let rows = found.ok_or_else(|| FindError::Unknown(selector.clone()))?;
    Ok(Trace::of(rows, &EndedNodes::of(run)?))
}
