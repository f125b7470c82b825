//! Values: vectors of numbers that constant and random models are made of.

use crate::declare::{choice, family, keys};

keys! {
    /// A distribution: a value is sample·p0 + p1.
    pub struct DistributionArgs: Copy {
        /// Seed of its own stream, beside the experiment's.
        seed: u64 = 0,
        /// Where samples come from.
        distribution: Distribution = "uniform",
        /// Factor: a value is sample·p0 + p1.
        p0: f64 = 1,
        /// Offset: a value is sample·p0 + p1.
        p1: f64 = 0,
    }
}

choice! {
    /// Where samples come from.
    pub enum Distribution {
        /// 0 to 1, even.
        Uniform = "uniform",
        /// Mean 0, standard deviation 1.
        Normal = "normal",
    }
}

keys! {
    /// No arguments.
    pub struct NoArgs: Default Copy Eq {}
}

family! {
    /// A vector of numbers, one a position (a uid, a completion).
    pub enum Value: "value", number means "ConstantValue" "value" {
        /// The same number everywhere.
        "ConstantValue" => ConstantValue(ConstantArgs: Copy {
            /// The number.
            value: f64 = 1,
        }),
        /// Drawn anew each time.
        "RandomValue" => RandomValue(DistributionArgs),
        /// Drawn once for ever.
        "FrozenRandomValue" => FrozenRandomValue(DistributionArgs),
        /// Even steps from one number to another.
        ///
        /// The positions from `start` on of `length` even steps from `lo` to `hi`; past the last, `hi`.
        "StepValue" => StepValue(StepArgs: Copy {
            /// First number.
            lo: f64 = 0,
            /// Last number.
            hi: f64 = 1,
            /// How many steps.
            length: u32 [Integer(1..=1_000_000)] = 10,
            /// First step taken.
            start: u32 [Integer(0..=1_000_000)] = 0,
        }),
    }
}
