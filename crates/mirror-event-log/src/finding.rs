//! Counts of what was left out, by reason.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Number of places that are kept for each reason.
const PLACES: usize = 3;

/// A reason why a line was left out or read only in part, or a remark about the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    TooLong,
    NotUtf8,
    NotJson,
    Unended,
    TooLarge,
    NeitherFormat,
    OtherCells,
    NoEvent,
    /// The field or column of this name has another form than it should.
    Field(&'static str),
    RewardsLength,
    RepeatedUid,
    ForeignUid,
    TooManyValidators,
    StepTooLarge,
    Damaged,
    CompletionsLength,
    CompletionsOrder,
    NoBest,
    OtherMessage,
    StepsBeginAgain,
}

impl Reason {
    /// Returns the words that follow the count.
    fn words(self, count: u64) -> String {
        let many = count != 1;
        let lines = if many { "lines" } else { "line" };
        let events = if many { "events" } else { "event" };
        match self {
            Self::TooLong => format!("{lines} left out: longer than 16 MiB"),
            Self::NotUtf8 => format!("{lines} left out: not UTF-8"),
            Self::NotJson => format!("{lines} left out: not a JSON object"),
            Self::Unended => format!("last {lines} left out: incomplete"),
            Self::TooLarge => {
                format!("{lines} left out: lists of more than 65,536 values, or nested too deeply")
            }
            Self::NeitherFormat => {
                format!("{lines} left out: neither a JSON object nor the header of a CSV file of events")
            }
            Self::OtherCells => {
                format!("{lines} left out: not the start of a row with the columns of the header")
            }
            Self::NoEvent => {
                format!("{lines} left out: no event (it has `uids` or `all_uids`, and `prompt` or `message`)")
            }
            Self::Field(name) => format!("{events} left out: `{name}` cannot be read with certainty"),
            Self::RewardsLength => format!("{events} left out: `rewards` and `uids` have different lengths"),
            Self::RepeatedUid => format!("{events} left out: a uid occurs twice in a list"),
            Self::ForeignUid => format!("{events} left out: a uid of `uids` is not in `all_uids`"),
            Self::TooManyValidators => format!("{events} left out: more than 1,024 validators"),
            Self::StepTooLarge => format!("{events} left out: the step is too large"),
            Self::Damaged => {
                let files = if many { "files are" } else { "file is" };
                format!("compressed {files} cut off or damaged: only the complete lines were read")
            }
            Self::CompletionsLength => format!(
                "{events} read without completions: `all_completions` has neither the length of `all_uids` nor that \
                 of `uids`"
            ),
            Self::CompletionsOrder => format!(
                "{events} read without completions: `uids` and `all_uids` have the same length but different orders, \
                 so that `all_completions` could belong to either"
            ),
            Self::NoBest => {
                format!("{events} read without a best completion: `completion` is that of no successful call")
            }
            Self::OtherMessage => {
                format!("{events} read with `prompt` as the message: `message` is different")
            }
            Self::StepsBeginAgain => {
                let times = if many { "times" } else { "time" };
                format!("{times}, the steps do not ascend: the steps from there on were numbered onwards")
            }
        }
    }
}

/// The number of times that something was left out for one reason. It is displayed as one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Number of lines, events or files.
    pub count: u64,
    /// The reason, in words that follow the count.
    pub reason: String,
    /// The first places, as `file:line`, at most three.
    pub places: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, at {}", self.count, self.reason, self.places.join(", "))?;
        if self.count > self.places.len() as u64 {
            write!(f, ", …")?;
        }
        Ok(())
    }
}

/// The findings so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    by_reason: BTreeMap<Reason, (u64, Vec<String>)>,
}

impl Findings {
    /// Counts one more line of `file`.
    pub(crate) fn add(&mut self, reason: Reason, file: &str, line: u64) {
        let (count, places) = self.by_reason.entry(reason).or_default();
        *count += 1;
        if places.len() < PLACES {
            places.push(format!("{file}:{line}"));
        }
    }

    /// Returns the findings in the order of the reasons.
    pub(crate) fn list(&self) -> Vec<Finding> {
        let finding = |(reason, (count, places)): (&Reason, &(u64, Vec<String>))| Finding {
            count: *count,
            reason: reason.words(*count),
            places: places.clone(),
        };
        self.by_reason.iter().map(finding).collect()
    }
}
