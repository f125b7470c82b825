//! Delays of calls: the distributions that they can be drawn from, as a file writes them.

use serde::{Deserialize, Serialize};

/// A distribution of delays, seconds. In a file a map, whose keys say which one it is; a plain duration is a fixed delay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LatencyKeys", into = "LatencyKeys")]
pub enum Latency {
    /// The same for each call.
    Fixed(f64),
    /// Of this mean and standard deviation; what would be less than nothing is nothing.
    Normal {
        /// Seconds.
        mean: f64,
        /// Seconds.
        deviation: f64,
    },
    /// Lognormal, by two of its quantiles, 0 < `p50` <= `p99`.
    Lognormal {
        /// Half of the calls are faster.
        p50: f64,
        /// 99 of 100 calls are faster.
        p99: f64,
    },
    /// `unit` times a rank from 1 to `ranks`, whose chance falls with this power of it: many fast calls, few very slow.
    Zipf {
        /// Seconds.
        unit: f64,
        /// 1 or more.
        ranks: u32,
        /// 0 or more.
        exponent: f64,
    },
    /// One of these, each as likely as the others; at least one.
    Recorded(Vec<f64>),
}

/// The same under the keys of a file.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct LatencyKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranks: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exponent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<Vec<f64>>,
}

/// The keys of each distribution. Those of a map must be one of these sets.
pub(crate) const FORMS: [&[&str]; 5] = [
    &["fixed"],
    &["mean", "deviation"],
    &["p50", "p99"],
    &["unit", "ranks", "exponent"],
    &["recorded"],
];

impl TryFrom<LatencyKeys> for Latency {
    type Error = &'static str;

    fn try_from(keys: LatencyKeys) -> Result<Self, Self::Error> {
        match keys {
            LatencyKeys {
                fixed: Some(seconds), ..
            } => Ok(Self::Fixed(seconds)),
            LatencyKeys {
                mean: Some(mean),
                deviation: Some(deviation),
                ..
            } => Ok(Self::Normal { mean, deviation }),
            LatencyKeys {
                p50: Some(p50),
                p99: Some(p99),
                ..
            } => Ok(Self::Lognormal { p50, p99 }),
            LatencyKeys {
                unit: Some(unit),
                ranks: Some(ranks),
                exponent: Some(exponent),
                ..
            } => Ok(Self::Zipf {
                unit,
                ranks,
                exponent,
            }),
            LatencyKeys {
                recorded: Some(delays),
                ..
            } if !delays.is_empty() => Ok(Self::Recorded(delays)),
            _ => Err("it names no distribution of delays"),
        }
    }
}

impl From<Latency> for LatencyKeys {
    fn from(latency: Latency) -> Self {
        let none = Self::default();
        match latency {
            Latency::Fixed(seconds) => Self {
                fixed: Some(seconds),
                ..none
            },
            Latency::Normal { mean, deviation } => Self {
                mean: Some(mean),
                deviation: Some(deviation),
                ..none
            },
            Latency::Lognormal { p50, p99 } => Self {
                p50: Some(p50),
                p99: Some(p99),
                ..none
            },
            Latency::Zipf {
                unit,
                ranks,
                exponent,
            } => Self {
                unit: Some(unit),
                ranks: Some(ranks),
                exponent: Some(exponent),
                ..none
            },
            Latency::Recorded(delays) => Self {
                recorded: Some(delays),
                ..none
            },
        }
    }
}
