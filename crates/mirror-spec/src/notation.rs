//! Notations for uids, steps, devices and addresses, each with a type whose serde form is the text in a file.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::ops::{Deref, RangeInclusive};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::key::{Described, Kind, MAX_UID, Whose};

/// Maximum number of characters of a text that a message quotes.
const SHOWN: usize = 64;

/// A special notation of a text.
#[derive(Debug)]
pub struct Notation {
    /// Description for messages, such as `a device: …`.
    pub what: &'static str,
    /// Regular expression for editors.
    pub pattern: &'static str,
    /// Checks a text and returns a description of the problem if it is invalid.
    pub check: fn(&str) -> Result<(), String>,
    /// A valid text.
    pub example: &'static str,
}

/// Implements the conversions between a type and its text, for serde.
macro_rules! as_text {
    ($($type:ident),*) => {
        $(
            impl From<$type> for String {
                fn from(value: $type) -> Self {
                    value.to_string()
                }
            }

            impl TryFrom<String> for $type {
                type Error = String;

                fn try_from(text: String) -> Result<Self, String> {
                    text.parse()
                }
            }
        )*
    };
}

pub(crate) use as_text;

as_text!(Uids, Device);

/// A non-empty set of uids, in the order in which the file lists them: `3`, `0-11` or `0-2,5`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uids {
    /// Inclusive ranges, which do not overlap. No range continues its predecessor.
    ranges: Vec<RangeInclusive<u32>>,
}

impl Uids {
    /// Description of the notation, for messages.
    pub const WHAT: &'static str = "uids such as `3`, `0-11` or `0-2,5`, or a list of them";
    /// Regular expression of the notation, for editors.
    pub const PATTERN: &'static str = "^(uids? )?[0-9]+(-[0-9]+)?(, ?[0-9]+(-[0-9]+)?)*$";
    /// Regular expression of a set of validator indices, for editors.
    pub const PATTERN_OF_INDICES: &'static str = "^[0-9]+(-[0-9]+)?(, ?[0-9]+(-[0-9]+)?)*$";

    /// Creates the set of the uids in these inclusive ranges.
    ///
    /// # Errors
    /// Returns a description of the problem if a uid occurs twice or there is none.
    pub fn of_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> Result<Self, String> {
        let mut joined: Vec<RangeInclusive<u32>> = Vec::new();
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            match joined.last_mut() {
                Some(last) if last.end().checked_add(1) == Some(*range.start()) => {
                    *last = *last.start()..=*range.end();
                }
                _ => joined.push(range),
            }
        }
        let mut rising = joined.clone();
        rising.sort_by_key(|range| *range.start());
        let overlap = rising.windows(2).find(|two| two[1].start() <= two[0].end());
        if let Some(two) = overlap {
            return Err(format!("uid {} is named twice", two[1].start()));
        }
        if joined.is_empty() {
            return Err("no uid is given".into());
        }
        Ok(Self { ranges: joined })
    }

    /// Parses a set of validator indices, which has the notation of uids without the word `uid`.
    ///
    /// # Errors
    /// Returns a description of the problem.
    pub fn of_indices(text: &str) -> Result<Self, String> {
        if text.starts_with("uid") {
            let shown: String = text.chars().take(SHOWN).collect();
            return Err(format!(
                "`{shown}` names uids, but validator indices are required: indices count only the validators, from 0, \
                 and the uids of validators follow those of the miners"
            ));
        }
        Self::of_ranges(ranges(
            text,
            "index",
            "a set of validator indices such as `0` or `0-2`",
        )?)
    }

    /// Returns the uids as inclusive ranges, in the order of the file.
    pub fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.ranges
    }

    /// Returns the uids in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().cloned().flatten()
    }

    /// Returns whether the set contains a uid.
    pub fn contains(&self, uid: &u32) -> bool {
        self.ranges.iter().any(|range| range.contains(uid))
    }

    /// Returns the number of uids, 1 or more.
    pub fn count(&self) -> usize {
        let sizes = self
            .ranges
            .iter()
            .map(|range| (range.end() - range.start()) as usize + 1);
        sizes.sum()
    }

    /// Returns the uid at this position, from 0. `None` beyond the last.
    pub fn get(&self, index: usize) -> Option<u32> {
        let mut left = u32::try_from(index).ok()?;
        for range in &self.ranges {
            let after_first = range.end() - range.start();
            if left <= after_first {
                return Some(range.start() + left);
            }
            left -= after_first + 1;
        }
        None
    }

    /// Returns the smallest uid.
    pub fn least(&self) -> u32 {
        let starts = self.ranges.iter().map(|range| *range.start());
        starts.min().expect("the set contains at least one uid")
    }

    /// Returns the largest uid.
    pub fn greatest(&self) -> u32 {
        let ends = self.ranges.iter().map(|range| *range.end());
        ends.max().expect("the set contains at least one uid")
    }
}

impl From<u32> for Uids {
    fn from(uid: u32) -> Self {
        Self {
            ranges: vec![uid..=uid],
        }
    }
}

impl Display for Uids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", range_text(range))?;
        }
        Ok(())
    }
}

/// Formats a range of uids as a file contains it: `3` or `0-11`.
pub fn range_text(range: &RangeInclusive<u32>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

impl FromStr for Uids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text.strip_prefix("uid ").or_else(|| text.strip_prefix("uids "));
        Self::of_ranges(ranges(
            named.unwrap_or(text),
            "uid",
            "a set of uids such as `3`, `0-11` or `0-2,5`",
        )?)
    }
}

/// Parses ranges of numbers that are separated by commas. `noun` is the name of one of the numbers in a message, `what`
/// describes the text.
fn ranges(text: &str, noun: &str, what: &str) -> Result<Vec<RangeInclusive<u32>>, String> {
    let number = |digits: &str| {
        let digits = digits.trim();
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            let shown: String = text.chars().take(SHOWN).collect();
            return Err(format!("`{shown}` is not {what}"));
        }
        let number = digits.parse::<u32>().ok().filter(|number| *number <= MAX_UID);
        number.ok_or_else(|| format!("the {noun} is too large: the maximum is {MAX_UID}"))
    };
    let range = |part: &str| {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(format!("the range `{first}-{last}` ends before it begins"));
        }
        Ok(first..=last)
    };
    text.split(',').map(range).collect()
}

impl Described for Uids {
    const KIND: Kind = Kind::UidSet(Whose::Miner);
}

/// Parses a number of steps: `5 steps` or `1 step`.
pub fn steps(text: &str) -> Option<u64> {
    let number = text.strip_suffix("steps").or_else(|| text.strip_suffix("step"))?;
    number.trim_end().parse().ok()
}

/// Parses the number of a step: `step 80`.
pub fn step(text: &str) -> Option<u64> {
    text.strip_prefix("step ")?.trim().parse().ok()
}

/// A device for tensors: `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Device(String);

impl Deref for Device {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let index = text.strip_prefix("cuda:");
        let known = matches!(text, "cpu" | "cuda") || index.is_some_and(|index| index.parse::<u8>().is_ok());
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{text}` is not a device: expected `cpu`, `cuda` or `cuda:N`"
            ))
        }
    }
}

impl Described for Device {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "a device: `cpu`, `cuda` or `cuda:N`",
        pattern: "^(cpu|cuda(:[0-9]+)?)$",
        check: |text| text.parse::<Self>().map(drop),
        example: "cpu",
    });
}

impl Described for SocketAddr {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "an address such as `127.0.0.1:9944`",
        pattern: r"^[0-9.]+:[0-9]+$|^\[[0-9a-fA-F:.]+\]:[0-9]+$",
        check: |text| match text.parse::<Self>() {
            Ok(_) => Ok(()),
            Err(_) if text.contains("://") => Err(format!(
                "`{text}` contains a protocol: write only the address of a `mirror-subtensor` node, because the real \
                 chain uses another protocol"
            )),
            Err(_) => Err(format!("`{text}` is not an IP address with a port")),
        },
        example: "127.0.0.1:9944",
    });
}

/// Parses a duration and returns seconds: `80ms`, `1.5s`, `2m`, or a plain number of seconds.
pub fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    // The unit divides, so that 80 ms is exactly the same number as 0.08 s.
    let (times, parts) = match unit {
        "us" => (1.0, 1e6),
        "ms" => (1.0, 1e3),
        "s" => (1.0, 1.0),
        "m" => (60.0, 1.0),
        "h" => (3600.0, 1.0),
        _ => return None,
    };
    let number: f64 = number.trim_end().parse().ok()?;
    Some(number * times / parts)
}
