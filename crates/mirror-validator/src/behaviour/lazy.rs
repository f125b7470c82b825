//! Calls no axon, and gives all uids equal weight.
//!
//! It exploits that any stake that has set weights receives dividends, whatever the validator knows. The consensus
//! should stop it: weight above that of the other validators is clipped, and bonds with uids to which no other
//! validator gives weight are worth nothing.

use super::{Behaviour, WeightInputs};

pub(super) struct Lazy;

impl Behaviour for Lazy {
    fn asks(&self, _step: u64) -> bool {
        false
    }

    fn weigh(&self, known: WeightInputs<'_>) -> Vec<f32> {
        known.alike()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::weighed;
    use super::*;

    #[test]
    fn all_uids_get_equal_weight() {
        assert_eq!(weighed(&Lazy, &[0.9, 0.1], &[60_000, 5_535]), [1.0, 1.0]);
        assert!(!Lazy.asks(0));
    }
}
