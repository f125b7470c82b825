//! Distributions of the delays of calls.

use crate::declare::{choice, forms};
use crate::key::Unsound;
use crate::ranges::DELAY;

forms! {
    /// A distribution of delays in seconds. The keys of the map determine its form. A plain duration is a fixed delay.
    pub enum Latency: "a distribution of delays", plain value at "fixed", checked by sound {
        /// The same delay for each call.
        Fixed(FixedDelay: Copy {
            /// The same delay for each call. A plain duration is short for this form.
            fixed: f64 [DELAY],
        }),
        /// A normal distribution.
        Normal(NormalDelay: Copy {
            /// Mean of a normal distribution. Negative delays become 0.
            mean: f64 [DELAY],
            /// Standard deviation of the normal distribution.
            deviation: f64 [DELAY],
        }),
        /// A lognormal distribution, given by two of its quantiles.
        Lognormal(LognormalDelay: Copy {
            /// Median of a lognormal distribution.
            p50: f64 [Duration(0.000_001..=3_600.0)],
            /// 99th percentile of the lognormal distribution. If absent: `p50`, so that all delays are equal.
            p99: Option<f64> [Duration(0.000_001..=3_600.0)],
        }),
        /// A Zipf distribution with many fast and a few very slow calls: the delay is `unit` times a rank from 1 to
        /// `ranks`, and the probability of a rank is proportional to `rank^-exponent`.
        Zipf(ZipfDelay: Copy {
            /// Delay of the first rank of a Zipf distribution. Rank k has k times this delay.
            unit: f64 [DELAY],
            /// Number of ranks.
            ranks: u32 [Integer(1..=1_000_000)],
            /// Exponent with which the probability falls: it is proportional to `rank^-exponent`.
            exponent: f64 [Number(0.0..=100.0)],
        }),
        /// Measured delays.
        Recorded(RecordedDelays {
            /// Measured delays.
            recorded: Vec<f64> [List(&DELAY)],
            /// Choice of the delay of a call among those that are recorded.
            order: TraceOrder = "drawn",
        }),
        /// Measured delays from a file.
        Trace(TraceDelays {
            /// Path of a text file with one delay per line: seconds, or a number with a unit, such as `80ms`. Empty
            /// lines and lines that begin with `#` are skipped.
            trace: String,
            /// Choice of the delay of a call among those in the file.
            order: TraceOrder = "drawn",
        }),
    }
}

choice! {
    /// The choice among recorded delays.
    pub enum TraceOrder {
        /// Each call draws one of the delays, all with the same probability.
        Drawn = "drawn",
        /// The calls of step n have the delay at position n. After the last delay, the first one follows.
        Steps = "steps",
    }
}

impl Latency {
    /// Creates a fixed delay in seconds.
    pub fn fixed(seconds: f64) -> Self {
        Self::Fixed(FixedDelay { fixed: seconds })
    }

    /// Creates a normal distribution, in seconds.
    pub fn normal(mean: f64, deviation: f64) -> Self {
        Self::Normal(NormalDelay { mean, deviation })
    }

    /// Creates a lognormal distribution from two of its quantiles, in seconds, 0 < `p50` <= `p99`.
    pub fn lognormal(p50: f64, p99: f64) -> Self {
        Self::Lognormal(LognormalDelay { p50, p99: Some(p99) })
    }

    /// Creates a distribution of measured delays in seconds, at least one.
    pub fn recorded(delays: Vec<f64>) -> Self {
        Self::Recorded(RecordedDelays {
            recorded: delays,
            order: TraceOrder::Drawn,
        })
    }
}

fn sound(latency: &Latency) -> Result<(), Unsound> {
    match latency {
        Latency::Lognormal(LognormalDelay { p50, p99: Some(p99) }) if p99 < p50 => Err(Unsound {
            key: "p99",
            message: format!("`p99` is {p99} s, less than `p50`, {p50} s"),
            help: format!("set `p99` to {p50} s or more, or a smaller `p50`"),
        }),
        Latency::Recorded(RecordedDelays { recorded, .. }) if recorded.is_empty() => Err(Unsound {
            key: "recorded",
            message: "`recorded` is empty".into(),
            help: "list at least one delay".into(),
        }),
        _ => Ok(()),
    }
}
