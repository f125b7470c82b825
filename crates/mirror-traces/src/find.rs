//! Finds one trace by the name that a person gives.

use std::fmt;
use std::str::FromStr;

use mirror_runs::tables::SpanRow;
use mirror_runs::{Run, RunError};

use crate::incidents::Incidents;
use crate::trace::Trace;
use crate::traces::Groups;

/// Least number of digits of a trace id.
const MIN_DIGITS: usize = 4;

/// Number of digits of a whole trace id.
const ALL_DIGITS: usize = 32;

/// Largest number of traces that an error names.
const MAX_CANDIDATES: usize = 5;

/// The name of a trace: its id or the start of it, or a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The first digits of the id, 4 to 32, in lower case.
    Prefix(String),
    /// The trace of a step: `step:41` or `validator-0/step:41`.
    Step {
        /// Name of the validator. `None` if the run has only one.
        validator: Option<String>,
        /// Number of the step.
        step: u64,
    },
}

/// The error of a text that names no trace.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no trace: give its id, at least the first 4 digits of it, `step:41`, or `validator-0/step:41`; \
     `mirror trace list` lists the traces"
)]
pub struct WantedError(String);

/// The reason why a trace was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The run has no such trace.
    #[error("the run has no trace `{0}`: `mirror trace list` lists its traces")]
    Unknown(Wanted),
    /// The name fits several traces.
    #[error("`{wanted}` fits {}{} traces: {}", if *further { "more than " } else { "" }, candidates.len(), candidates.join(", "))]
    Ambiguous {
        /// The name.
        wanted: Wanted,
        /// The names of up to 5 traces.
        candidates: Vec<String>,
        /// Whether there are more than these.
        further: bool,
    },
    /// The table cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl FromStr for Wanted {
    type Err = WantedError;

    fn from_str(text: &str) -> Result<Self, WantedError> {
        let error = || WantedError(text.to_owned());
        let (validator, rest) = match text.rsplit_once('/') {
            Some(("", _)) => return Err(error()),
            Some((validator, rest)) => (Some(validator.to_owned()), rest),
            None => (None, text),
        };
        if let Some(step) = rest.strip_prefix("step:") {
            let step = step.parse().map_err(|_| error())?;
            return Ok(Self::Step { validator, step });
        }
        let is_id = (MIN_DIGITS..=ALL_DIGITS).contains(&text.len())
            && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_id {
            return Err(error());
        }
        Ok(Self::Prefix(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "{prefix}"),
            Self::Step { validator, step } => {
                if let Some(validator) = validator {
                    write!(f, "{validator}/")?;
                }
                write!(f, "step:{step}")
            }
        }
    }
}

impl Wanted {
    /// Returns the name of a trace among the candidates of an error, if the trace fits.
    fn candidate(&self, rows: &[SpanRow]) -> Option<String> {
        match self {
            Self::Prefix(prefix) => {
                let id = &rows.first()?.trace_id;
                id.starts_with(prefix).then(|| id.clone())
            }
            Self::Step { validator, step } => {
                let root = rows.iter().find(|row| {
                    row.parent_id.is_none()
                        && row.name == "step"
                        && row.step == Some(*step)
                        && validator.as_ref().is_none_or(|validator| *validator == row.node)
                })?;
                Some(match validator {
                    Some(_) => root.trace_id.clone(),
                    None => format!("{}/step:{step}", root.node),
                })
            }
        }
    }

    /// Returns whether no later trace of a run can fit.
    fn is_before(&self, rows: &[SpanRow]) -> bool {
        match (self, rows.first()) {
            (Self::Prefix(prefix), Some(row)) => {
                row.trace_id.as_str() > prefix.as_str() && !row.trace_id.starts_with(prefix)
            }
            _ => false,
        }
    }
}

/// Finds a trace of a run.
///
/// # Errors
/// Returns an error if no trace or more than one fits, or if a table cannot be read.
pub fn find(run: &Run, wanted: &Wanted) -> Result<Trace, FindError> {
    let mut found = None;
    let mut candidates = Vec::new();
    let mut further = false;
    for rows in Groups::of_run(run)? {
        let rows = rows?;
        if let Some(candidate) = wanted.candidate(&rows) {
            if candidates.len() == MAX_CANDIDATES {
                further = true;
                break;
            }
            candidates.push(candidate);
            found.get_or_insert(rows);
        } else if wanted.is_before(&rows) {
            break;
        }
    }
    match found {
        None => Err(FindError::Unknown(wanted.clone())),
        Some(rows) if candidates.len() == 1 => Ok(Trace::new(rows, &Incidents::of_run(run)?)),
        Some(_) => Err(FindError::Ambiguous {
            wanted: wanted.clone(),
            candidates,
            further,
        }),
    }
}
