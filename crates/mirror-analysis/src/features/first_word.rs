//! The first word, as it is written.

use super::{Compute, words};

pub(super) const COMPUTE: Compute = Compute::Word(|text| words(text).next());
