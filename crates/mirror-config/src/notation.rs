//! How durations, uids, steps and devices are written: one reader and one writer each, used by the checks and by serde.

use std::ops::RangeInclusive;

/// Reads `80ms`, `1.5s`, `2m`, or a plain number of seconds.
pub(crate) fn seconds(text: &str) -> Option<f64> {
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

/// Reads `3` or `0-11`, both ends named.
pub(crate) fn uids(text: &str) -> Result<RangeInclusive<u32>, String> {
    let not_uids = || format!("`{text}` is not a uid as in `3`, or a range of them as in `0-11`");
    let uid = |text: &str| text.trim().parse::<u32>().map_err(|_| not_uids());
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (uid(first)?, uid(last)?),
        None => (uid(text)?, uid(text)?),
    };
    if first > last {
        return Err(format!("the range `{text}` ends before it begins"));
    }
    Ok(first..=last)
}

/// Writes what [`uids`] reads.
pub(crate) fn write_uids(uids: &RangeInclusive<u32>) -> String {
    if uids.start() == uids.end() {
        uids.start().to_string()
    } else {
        format!("{}-{}", uids.start(), uids.end())
    }
}

/// Reads `uid 5`, `uid 3-7`.
pub(crate) fn victims(text: &str) -> Result<RangeInclusive<u32>, String> {
    let range = text.strip_prefix("uid ").or_else(|| text.strip_prefix("uids "));
    range.map_or_else(
        || Err(format!("`{text}` does not say who, as in `uid 5` or `uid 3-7`")),
        uids,
    )
}

/// Reads `step 80`.
pub(crate) fn step(text: &str) -> Result<u64, String> {
    let number = text
        .strip_prefix("step ")
        .and_then(|number| number.trim().parse().ok());
    number.ok_or_else(|| format!("`{text}` is not a step as in `step 80`"))
}

/// Reads `5 steps`.
pub(crate) fn steps(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("steps").or_else(|| text.strip_suffix("step"));
    match number.and_then(|number| number.trim_end().parse().ok()) {
        Some(0) => Err("`0 steps` is no time at all; the least is `1 step`".into()),
        Some(steps) => Ok(steps),
        None => Err(format!("`{text}` is not a number of steps as in `5 steps`")),
    }
}

/// Reads `cpu`, `cuda` or `cuda:N`.
pub(crate) fn device(text: &str) -> Result<String, String> {
    let known = matches!(text, "cpu" | "cuda")
        || text
            .strip_prefix("cuda:")
            .is_some_and(|index| index.parse::<u8>().is_ok());
    if known {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a device: `cpu`, `cuda` or `cuda:N`"))
    }
}

/// An IP address and a port.
pub(crate) fn endpoint(text: &str) -> Result<std::net::SocketAddr, String> {
    text.parse().map_err(|_| {
        if text.contains("://") {
            format!("`{text}` names a protocol: only the address of a `mirror-subtensor` node can be named, for the real chain \
                     speaks another")
        } else {
            format!("`{text}` is no IP address with a port")
        }
    })
}

/// Uids in serde's types as the file has them.
pub(crate) mod uid_text {
    use std::ops::RangeInclusive;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(uids: &RangeInclusive<u32>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::write_uids(uids))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RangeInclusive<u32>, D::Error> {
        super::uids(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
