//! Number of characters of the text divided by its number of words, as upstream defines it. White space counts.

use super::{Compute, words};

pub(super) const COMPUTE: Compute = Compute::Number(|text| match words(text).count() {
    0 => f64::NAN,
    count => text.chars().count() as f64 / count as f64,
});
