//! Delays of calls: the distributions that they can be drawn from.

use crate::declare::forms;
use crate::key::Unsound;
use crate::ranges::DELAY;

forms! {
    /// A distribution of delays, seconds. The keys of the map say which one it is; a plain duration is a fixed delay.
    pub enum Latency: "a distribution of delays", plain value at "fixed", checked by sound {
        /// The same delay for each call.
        Fixed(FixedDelay: Copy {
            /// The same for each call; a plain duration means this.
            fixed: f64 [DELAY],
        }),
        /// A normal distribution.
        Normal(NormalDelay: Copy {
            /// Mean of a normal distribution; what would be negative is 0.
            mean: f64 [DELAY],
            /// Its standard deviation.
            deviation: f64 [DELAY],
        }),
        /// A lognormal distribution, by two of its quantiles.
        Lognormal(LognormalDelay: Copy {
            /// Half of the calls are faster: a lognormal distribution.
            p50: f64 [Duration(0.000_001..=3_600.0)],
            /// 99 of 100 calls are faster.
            p99: f64 [Duration(0.000_001..=3_600.0)],
        }),
        /// `unit` times a rank from 1 to `ranks`, whose chance falls with this power of it: many fast calls, few very
        /// slow.
        Zipf(ZipfDelay: Copy {
            /// Delay of the first rank of a Zipf distribution, and of each further one.
            unit: f64 [DELAY],
            /// Its ranks.
            ranks: u32 [Integer(1..=1_000_000)],
            /// The chance of a rank falls with this power of it.
            exponent: f64 [Number(0.0..=100.0)],
        }),
        /// Delays that were measured.
        Recorded(RecordedDelays {
            /// Delays that were measured, each as likely as the others.
            recorded: Vec<f64> [List(&DELAY)],
        }),
    }
}

impl Latency {
    /// The same delay for each call, seconds.
    pub fn fixed(seconds: f64) -> Self {
        Self::Fixed(FixedDelay { fixed: seconds })
    }

    /// A normal distribution, seconds.
    pub fn normal(mean: f64, deviation: f64) -> Self {
        Self::Normal(NormalDelay { mean, deviation })
    }

    /// A lognormal distribution by two of its quantiles, seconds, 0 < `p50` <= `p99`.
    pub fn lognormal(p50: f64, p99: f64) -> Self {
        Self::Lognormal(LognormalDelay { p50, p99 })
    }

    /// Delays that were measured, seconds; at least one.
    pub fn recorded(delays: Vec<f64>) -> Self {
        Self::Recorded(RecordedDelays { recorded: delays })
    }
}

fn sound(latency: &Latency) -> Result<(), Unsound> {
    match latency {
        Latency::Lognormal(LognormalDelay { p50, p99 }) if p99 < p50 => Err(Unsound {
            key: "p99",
            message: format!("`p99` is {p99} s, less than `p50`, {p50} s"),
            help: "99 of 100 calls take at least as long as half of them".into(),
        }),
        Latency::Recorded(RecordedDelays { recorded }) if recorded.is_empty() => Err(Unsound {
            key: "recorded",
            message: "no delay was recorded".into(),
            help: "name at least one".into(),
        }),
        _ => Ok(()),
    }
}
