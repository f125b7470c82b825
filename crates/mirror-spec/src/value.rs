//! Values: vectors of numbers for constant and random models.

use crate::declare::{choice, family, keys};

keys! {
    /// Parameters of a distribution. A value is sample·p0 + p1.
    pub struct DistributionArgs: Copy {
        /// Random seed of the distribution, in addition to the experiment's.
        seed: u64 = 0,
        /// Distribution of the samples.
        distribution: Distribution = "uniform",
        /// Factor: a value is sample·p0 + p1.
        p0: f64 = 1,
        /// Offset: a value is sample·p0 + p1.
        p1: f64 = 0,
    }
}

choice! {
    /// The distribution of samples.
    pub enum Distribution {
        /// Uniform from 0 to 1.
        Uniform = "uniform",
        /// Normal with mean 0 and standard deviation 1.
        Normal = "normal",
    }
}

keys! {
    /// No arguments.
    pub struct NoArgs: Default Copy Eq {}
}

family! {
    /// A vector of numbers, one per position (a uid or a completion).
    pub enum Value: "value", number means "ConstantValue" "value" {
        /// The same number at every position.
        "ConstantValue" => ConstantValue(ConstantArgs: Copy {
            /// The number.
            value: f64 = 1,
        }),
        /// Random numbers, drawn anew each time.
        "RandomValue" => RandomValue(DistributionArgs),
        /// Random numbers, drawn once.
        "FrozenRandomValue" => FrozenRandomValue(DistributionArgs),
        /// Evenly spaced numbers.
        ///
        /// The value contains `length` evenly spaced numbers from `lo` to `hi`, beginning with the number at index
        /// `start`. Positions beyond the last number have `hi`.
        "StepValue" => StepValue(StepArgs: Copy {
            /// First of the numbers.
            lo: f64 = 0,
            /// Last of the numbers.
            hi: f64 = 1,
            /// Number of evenly spaced numbers.
            length: u32 [Integer(1..=1_000_000)] = 10,
            /// Index of the number at the first position, from 0.
            start: u32 [Integer(0..=1_000_000)] = 0,
        }),
    }
}
