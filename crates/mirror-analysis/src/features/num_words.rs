//! Number of words.

use super::{Compute, words};

pub(super) const COMPUTE: Compute = Compute::Number(|text| words(text).count() as f64);
