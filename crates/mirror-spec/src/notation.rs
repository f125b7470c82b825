//! How uids, steps, devices and addresses are written, one type each, whose serde form is the text of a file.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::ops::{Deref, RangeInclusive};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::key::{Described, Kind, Whose};

/// A text in a notation of its own.
#[derive(Debug)]
pub struct Notation {
    /// What it is, for a message: `a device: …`.
    pub what: &'static str,
    /// As a regular expression, for editors.
    pub pattern: &'static str,
    /// What is wrong with a text, if something is.
    pub check: fn(&str) -> Result<(), String>,
    /// A text that is right.
    pub example: &'static str,
}

/// A notation of uids.
#[derive(Debug)]
pub struct UidNotation {
    /// What it is, for a message.
    pub what: &'static str,
    /// As a regular expression, for editors.
    pub pattern: &'static str,
    /// The uids that a text names, or what is wrong with it.
    pub read: fn(&str) -> Result<RangeInclusive<u32>, String>,
    /// A text that is right.
    pub example: &'static str,
}

/// Implements the serde form of a type as its text.
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

as_text!(Uids, Victims, Step, Steps, Device);

/// uids from one to another, both ends included: `3` or `0-11`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uids(pub RangeInclusive<u32>);

impl Uids {
    /// The notation.
    pub const NOTATION: &'static UidNotation = &UidNotation {
        what: "a uid as in `3`, or a range of them as in `0-11`",
        pattern: "^[0-9]+(-[0-9]+)?$",
        read: |text| text.parse::<Self>().map(|uids| uids.0),
        example: "0-1",
    };
}

impl Deref for Uids {
    type Target = RangeInclusive<u32>;

    fn deref(&self) -> &RangeInclusive<u32> {
        &self.0
    }
}

impl Display for Uids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.start(), self.end());
        if first == last {
            write!(f, "{first}")
        } else {
            write!(f, "{first}-{last}")
        }
    }
}

impl FromStr for Uids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_uids = || format!("`{text}` is not a uid as in `3`, or a range of them as in `0-11`");
        let uid = |text: &str| text.trim().parse::<u32>().map_err(|_| not_uids());
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (uid(first)?, uid(last)?),
            None => (uid(text)?, uid(text)?),
        };
        if first > last {
            return Err(format!("the range `{text}` ends before it begins"));
        }
        Ok(Self(first..=last))
    }
}

impl Described for Uids {
    const KIND: Kind = Kind::UidText(Self::NOTATION, Whose::Miner);
}

/// uids as a fault names them: `uid 5` or `uid 3-7`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Victims(pub Uids);

impl Victims {
    /// The notation.
    pub const NOTATION: &'static UidNotation = &UidNotation {
        what: "who, as in `uid 5` or `uid 3-7`",
        pattern: "^uids? [0-9]+(-[0-9]+)?$",
        read: |text| text.parse::<Self>().map(|victims| victims.0.0),
        example: "uid 0",
    };
}

impl Deref for Victims {
    type Target = RangeInclusive<u32>;

    fn deref(&self) -> &RangeInclusive<u32> {
        &self.0
    }
}

impl Display for Victims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.0)
    }
}

impl FromStr for Victims {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uids = text.strip_prefix("uid ").or_else(|| text.strip_prefix("uids "));
        let uids = uids.ok_or_else(|| format!("`{text}` does not say who, as in `uid 5` or `uid 3-7`"))?;
        uids.parse().map(Self)
    }
}

impl Described for Victims {
    const KIND: Kind = Kind::UidText(Self::NOTATION, Whose::Miner);
}

/// A step of the query, counted from 0: `step 80`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Step(pub u64);

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.0)
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .strip_prefix("step ")
            .and_then(|number| number.trim().parse().ok());
        number
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a step as in `step 80`"))
    }
}

impl Described for Step {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "a step as in `step 80`",
        pattern: "^step [0-9]+$",
        check: |text| text.parse::<Self>().map(drop),
        example: "step 0",
    });
}

/// A number of steps, 1 or more: `5 steps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Steps(pub u64);

impl Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps", self.0)
    }
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("steps").or_else(|| text.strip_suffix("step"));
        match number.and_then(|number| number.trim_end().parse().ok()) {
            Some(0) => Err("`0 steps` is no time at all; the least is `1 step`".into()),
            Some(steps) => Ok(Self(steps)),
            None => Err(format!("`{text}` is not a number of steps as in `5 steps`")),
        }
    }
}

impl Described for Steps {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "a number of steps as in `5 steps`",
        pattern: "^[1-9][0-9]* steps?$",
        check: |text| text.parse::<Self>().map(drop),
        example: "1 step",
    });
}

/// Where tensors live: `cpu`, `cuda` or `cuda:N`.
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
            Err(format!("`{text}` is not a device: `cpu`, `cuda` or `cuda:N`"))
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
        what: "an address as in `127.0.0.1:9944`",
        pattern: r"^[0-9.]+:[0-9]+$|^\[[0-9a-fA-F:.]+\]:[0-9]+$",
        check: |text| match text.parse::<Self>() {
            Ok(_) => Ok(()),
            Err(_) if text.contains("://") => Err(format!(
                "`{text}` names a protocol: only the address of a `mirror-subtensor` node can be named, for the real \
                 chain speaks another"
            )),
            Err(_) => Err(format!("`{text}` is no IP address with a port")),
        },
        example: "127.0.0.1:9944",
    });
}

/// Reads a duration in seconds: `80ms`, `1.5s`, `2m`, or a plain number of seconds.
pub fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    // A division, so that 80 ms is the same number as 0.08 s.
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
