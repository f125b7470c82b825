//! Number of characters: Unicode scalar values, as Python's `len` counts them.

use super::Compute;

pub(super) const COMPUTE: Compute = Compute::Number(|text| text.chars().count() as f64);
