//! Median of the numbers of characters of the words.

use super::{Compute, words};

pub(super) const COMPUTE: Compute = Compute::Number(|text| {
    let mut lengths: Vec<usize> = words(text).map(|word| word.chars().count()).collect();
    lengths.sort_unstable();
    let middle = lengths.len() / 2;
    match lengths.len() {
        0 => f64::NAN,
        count if count.is_multiple_of(2) => (lengths[middle - 1] + lengths[middle]) as f64 / 2.0,
        _ => lengths[middle] as f64,
    }
});
