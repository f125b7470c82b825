//! The time of a fault: when it begins, how long it lasts, and how often it occurs.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::declare::keys;
use crate::key::{Described, Kind, Unsound};
use crate::notation::{self, Notation};
use crate::ranges::RATE;

/// Maximum number of a step or block.
const MAX_NUMBER: u64 = 1_000_000_000;

/// Minimum period after which a fault occurs again, in seconds.
const LEAST_EVERY: f64 = 0.01;

/// Maximum time from the start of the queries, in seconds: 30 days.
const MAX_SECONDS: f64 = 2_592_000.0;

/// A point in time of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Moment {
    /// Before this step of the queries begins, counted from 0.
    Step(u64),
    /// After this block has closed.
    Block(u64),
    /// Seconds since the queries began, by the clock.
    Time(f64),
}

/// A period of a run, longer than 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Span {
    /// Number of steps.
    Steps(u64),
    /// Number of blocks.
    Blocks(u64),
    /// Seconds by the clock.
    Time(f64),
}

/// The unit in which a point in time or a period is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Steps of the queries.
    Step,
    /// Blocks of the chain.
    Block,
    /// Seconds by the clock.
    Time,
}

impl Moment {
    /// Returns the unit.
    pub fn unit(self) -> Unit {
        match self {
            Self::Step(_) => Unit::Step,
            Self::Block(_) => Unit::Block,
            Self::Time(_) => Unit::Time,
        }
    }

    /// Returns the point in time that is `count` spans later. `None` if the units differ.
    pub fn after(self, count: u64, span: Span) -> Option<Self> {
        match (self, span) {
            (Self::Step(step), Span::Steps(steps)) => {
                Some(Self::Step(step.saturating_add(steps.saturating_mul(count))))
            }
            (Self::Block(block), Span::Blocks(blocks)) => {
                Some(Self::Block(block.saturating_add(blocks.saturating_mul(count))))
            }
            (Self::Time(time), Span::Time(seconds)) => Some(Self::Time(seconds.mul_add(count as f64, time))),
            _ => None,
        }
    }
}

impl Span {
    /// Returns the unit.
    pub fn unit(self) -> Unit {
        match self {
            Self::Steps(_) => Unit::Step,
            Self::Blocks(_) => Unit::Block,
            Self::Time(_) => Unit::Time,
        }
    }
}

impl Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "step {step}"),
            Self::Block(block) => write!(f, "block {block}"),
            Self::Time(seconds) => write!(f, "{seconds}s"),
        }
    }
}

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(1) => f.write_str("1 step"),
            Self::Steps(steps) => write!(f, "{steps} steps"),
            Self::Blocks(1) => f.write_str("1 block"),
            Self::Blocks(blocks) => write!(f, "{blocks} blocks"),
            Self::Time(seconds) => write!(f, "{seconds}s"),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbered = |number: Option<u64>| match number {
            Some(number) if number <= MAX_NUMBER => Ok(number),
            Some(_) => Err(format!("`{text}` is too late: the maximum is {MAX_NUMBER}")),
            None => Err(format!("`{text}` is not a number of a step or block")),
        };
        let number = |rest: &str| numbered(rest.trim().parse().ok());
        if let Some(rest) = text.strip_prefix("step ") {
            return number(rest).map(Self::Step);
        }
        if let Some(rest) = text.strip_prefix("block ") {
            return number(rest).map(Self::Block);
        }
        if let Ok(number) = text.parse::<f64>() {
            return Err(format!(
                "`{number}` has no unit: write `step {number}`, `block {number}` or `{number}s`"
            ));
        }
        match notation::seconds(text) {
            Some(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => Ok(Self::Time(seconds)),
            Some(seconds) if seconds < 0.0 => Err(format!("`{text}` is before the queries begin")),
            Some(_) => Err(format!("`{text}` is too late: the maximum is {MAX_SECONDS}s")),
            None => Err(format!(
                "`{text}` is not a point in time such as `step 80`, `block 120` or `5s`"
            )),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let suffixed = |words: [&str; 2]| words.iter().find_map(|word| text.strip_suffix(word));
        let number = |rest: &str| match rest.trim().parse::<u64>() {
            Ok(0) => Err(format!("`{text}` is too short: the minimum is 1")),
            Ok(number) if number <= MAX_NUMBER => Ok(number),
            Ok(_) => Err(format!("`{text}` is too long: the maximum is {MAX_NUMBER}")),
            Err(_) => Err(format!("`{text}` is not a number of steps or blocks")),
        };
        if let Some(rest) = suffixed(["steps", "step"]) {
            return number(rest).map(Self::Steps);
        }
        if let Some(rest) = suffixed(["blocks", "block"]) {
            return number(rest).map(Self::Blocks);
        }
        if let Ok(number) = text.parse::<f64>() {
            return Err(format!(
                "`{number}` has no unit: write `{number} steps`, `{number} blocks` or `{number}s`"
            ));
        }
        match notation::seconds(text) {
            Some(seconds) if seconds > 0.0 && seconds <= MAX_SECONDS => Ok(Self::Time(seconds)),
            Some(seconds) if seconds <= 0.0 => Err(format!("`{text}` is not longer than 0")),
            Some(_) => Err(format!("`{text}` is too long: the maximum is {MAX_SECONDS}s")),
            None => Err(format!(
                "`{text}` is not a period such as `20 steps`, `10 blocks` or `5s`"
            )),
        }
    }
}

notation::as_text!(Moment, Span);

impl Described for Moment {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "a point in time such as `step 80`, `block 120` or `5s`",
        pattern: "^(step [0-9]+|block [0-9]+|[0-9.]+ ?(us|ms|s|m|h))$",
        check: |text| text.parse::<Self>().map(drop),
        example: "step 10",
    });
}

impl Described for Span {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "a period such as `20 steps`, `10 blocks` or `5s`",
        pattern: "^([1-9][0-9]* ?(steps?|blocks?)|[0-9.]+ ?(us|ms|s|m|h))$",
        check: |text| text.parse::<Self>().map(drop),
        example: "1 step",
    });
}

keys! {
    /// The time of a fault, and its name.
    pub struct When: Default {
        /// Name of the fault in tables and plots. If absent: the kind of the fault and a hash of the nodes that it
        /// names.
        id: Option<String>,
        /// Beginning of the fault: before a step begins, after a block has closed, or a time after the queries begin.
        /// If absent: before the first step.
        at: Option<Moment>,
        /// Duration of the fault. If absent: until the end of the run.
        r#for: Option<Span>,
        /// End of the fault. With `every`: the time from which it no longer occurs.
        until: Option<Moment>,
        /// Period after which the fault occurs again, in the unit of `at`.
        every: Option<Span>,
        /// Probability of each occurrence.
        probability: f64 [RATE] = 1,
    }
}

impl When {
    /// Returns the beginning of the first occurrence of a fault that lasts so long. Without `at` it is the first moment
    /// in the unit of the other keys.
    pub(crate) fn start_of(&self, lasts: Option<Span>) -> Moment {
        let first = match (lasts, self.every) {
            (Some(Span::Blocks(_)), _) | (_, Some(Span::Blocks(_))) => Moment::Block(0),
            (_, Some(Span::Time(_))) => Moment::Time(0.0),
            _ => Moment::Step(0),
        };
        self.at.unwrap_or(first)
    }

    /// Checks the relations between the keys of a fault whose occurrences last so long.
    pub(crate) fn sound(&self, lasts: Option<Span>) -> Result<(), Unsound> {
        let unsound = |key, message: String, help: &str| {
            Err(Unsound {
                key,
                message,
                help: help.to_owned(),
            })
        };
        let start = self.start_of(lasts);
        if let Some(id) = &self.id {
            let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
            if id.len() > 64 || !id.chars().all(is_plain) {
                let message = "`id` has 1 to 64 letters, digits, `-`, `_` and `.`".to_owned();
                return unsound("id", message, "write a short name, such as `slow-start`");
            }
        }
        if let (Some(lasts), Some(_), None) = (lasts, self.until, self.every) {
            let message = format!("the fault ends twice: `for` is {lasts}, and `until` is given too");
            return unsound("until", message, "keep one of the two");
        }
        if let Some(until) = self.until {
            let is_later = match (start, until) {
                (Moment::Step(start), Moment::Step(end)) | (Moment::Block(start), Moment::Block(end)) => {
                    end > start
                }
                (Moment::Time(start), Moment::Time(end)) => end > start,
                _ => {
                    let message = format!("`until` is {until}, but the fault begins at {start}");
                    return unsound("until", message, "write both in the same unit");
                }
            };
            if !is_later {
                let message = format!("the fault ends at {until}, but it begins at {start}");
                return unsound("until", message, "write a later `until`");
            }
        }
        let mixed = match lasts.map(Span::unit) {
            Some(Unit::Step) => start.unit() != Unit::Step,
            Some(Unit::Block) => start.unit() != Unit::Block,
            Some(Unit::Time) | None => false,
        };
        if let (Some(lasts), true) = (lasts, mixed) {
            let message = format!("the fault begins at {start} and lasts {lasts}");
            return unsound(
                "for",
                message,
                "write both in the same unit, or a time such as `for: 5s`",
            );
        }
        if let Some(every) = self.every {
            if every.unit() != start.unit() {
                let message = format!("the fault begins at {start} and occurs every {every}");
                return unsound("every", message, "write both in the same unit");
            }
            if let Span::Time(seconds) = every
                && seconds < LEAST_EVERY
            {
                let message =
                    format!("the fault occurs every {every}, more often than every {LEAST_EVERY} s");
                return unsound("every", message, "write a longer period");
            }
            if let Some(lasts) = lasts.filter(|lasts| lasts.unit() != every.unit()) {
                let message = format!(
                    "the fault lasts {lasts} and occurs every {every}, so that it may overlap itself"
                );
                return unsound("for", message, "write both in the same unit");
            }
            let longer = match (lasts, every) {
                (Some(Span::Steps(lasts)), Span::Steps(every))
                | (Some(Span::Blocks(lasts)), Span::Blocks(every)) => lasts > every,
                (Some(Span::Time(lasts)), Span::Time(every)) => lasts > every,
                _ => false,
            };
            if let (Some(lasts), true) = (lasts, longer) {
                let message = format!("the fault lasts {lasts}, longer than `every`, {every}");
                return unsound("for", message, "write a shorter `for`, or remove `every`");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_and_periods_are_read_and_written() {
        for (text, moment) in [
            ("step 50", Moment::Step(50)),
            ("block 7", Moment::Block(7)),
            ("5s", Moment::Time(5.0)),
            ("80ms", Moment::Time(0.08)),
        ] {
            assert_eq!(text.parse(), Ok(moment));
            assert_eq!(moment.to_string().parse(), Ok(moment));
        }
        for (text, span) in [
            ("20 steps", Span::Steps(20)),
            ("1 step", Span::Steps(1)),
            ("10 blocks", Span::Blocks(10)),
            ("2m", Span::Time(120.0)),
        ] {
            assert_eq!(text.parse(), Ok(span));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        for text in [
            "50",
            "step",
            "step x",
            "-5s",
            "block 99999999999",
            "soon",
            "nans",
            "1e99h",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        for text in [
            "5",
            "0 steps",
            "0s",
            "-1s",
            "x steps",
            "99999999999 blocks",
            "nans",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
