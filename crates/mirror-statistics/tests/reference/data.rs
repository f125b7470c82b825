//! Data of the tests, and the comparison of numbers.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Returns `length` numbers with a standard deviation near `scale` around `offset`.
pub(crate) fn numbers(generator: &mut ChaCha8Rng, length: usize, offset: f64, scale: f64) -> Vec<f64> {
    let mut uniform = || generator.random_range(-1.0..1.0);
    // The sum of three uniform numbers in −1..1 has the variance 1.
    (0..length)
        .map(|_| offset + scale * (uniform() + uniform() + uniform()))
        .collect()
}

/// Returns the numbers with gaps: each is missing with the given probability.
pub(crate) fn with_gaps(generator: &mut ChaCha8Rng, numbers: &[f64], probability: f64) -> Vec<Option<f64>> {
    let keep = |number: &f64| (!generator.random_bool(probability)).then_some(*number);
    numbers.iter().map(keep).collect()
}

/// Parses numbers that a script returned. A gap is `null`.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(value: &serde_json::Value) -> T {
    T::deserialize(value).unwrap_or_else(|error| panic!("the script returned another type: {error}"))
}

/// Asserts that two numbers are equal to within `tolerance` times `scale`, or both missing.
pub(crate) fn assert_near(ours: Option<f64>, theirs: Option<f64>, tolerance: f64, context: &str) {
    let near = match (ours, theirs) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= tolerance * theirs.abs().max(1e-300),
        (None, None) => true,
        _ => false,
    };
    assert!(near, "{context}: {ours:?} here and {theirs:?} in Python");
}

/// Asserts that each of our numbers equals the one in Python to within `tolerance`, relative to the greatest of them.
pub(crate) fn assert_all_near(ours: &[Option<f64>], theirs: &[Option<f64>], tolerance: f64, context: &str) {
    assert_eq!(ours.len(), theirs.len(), "{context}");
    let greatest = theirs.iter().flatten().fold(0.0, |a: f64, b| a.max(b.abs()));
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let near = match (ours, theirs) {
            (Some(ours), Some(theirs)) => (ours - theirs).abs() <= tolerance * greatest,
            (None, None) => true,
            _ => false,
        };
        assert!(
            near,
            "{context}, position {index}: {ours:?} here and {theirs:?} in Python"
        );
    }
}
