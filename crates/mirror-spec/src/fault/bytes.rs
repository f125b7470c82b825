//! Numbers of bytes with a unit.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::key::{Described, Kind};
use crate::notation::Notation;

/// Maximum number of bytes: 1 TiB.
const MAX: u64 = 1 << 40;

/// A number of bytes: `64kB`, `200MB`, `1GiB` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) => text.split_at(at),
            None => (text, "B"),
        };
        let unit: u64 = match unit {
            "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => {
                return Err(format!(
                    "`{unit}` is not a unit: expected B, kB, MB, GB, KiB, MiB or GiB"
                ));
            }
        };
        let number: f64 = number
            .trim()
            .parse()
            .map_err(|_| format!("`{text}` is not a number of bytes such as `64kB`"))?;
        let bytes = number * unit as f64;
        if (0.0..=MAX as f64).contains(&bytes) {
            Ok(Self(bytes.round() as u64))
        } else {
            Err(format!("`{text}` is not from 0 to {MAX} bytes"))
        }
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.to_string()
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Described for Bytes {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "a number of bytes such as `64kB`, `200MB` or `1GiB`",
        pattern: "^[0-9.]+ ?(B|kB|KB|MB|GB|KiB|MiB|GiB)?$",
        check: |text| text.parse::<Self>().map(drop),
        example: "64kB",
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_decimal_and_binary_units() {
        for (text, bytes) in [
            ("0", 0),
            ("100", 100),
            ("64kB", 64_000),
            ("1.5MB", 1_500_000),
            ("2 MiB", 2 << 20),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
        }
        for text in ["", "kB", "-1", "5 parsecs", "99999GiB", "nan"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
