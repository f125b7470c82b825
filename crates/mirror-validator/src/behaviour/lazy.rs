//! Asks nobody, and weighs all alike.
//!
//! It exploits that dividends go to stake that has weighed somebody, whatever it knows. Consensus should stop it: what
//! it gives beyond the others' is clipped, and bonds with those whom nobody else weighs are worth nothing.

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
    fn everybody_gets_the_same() {
        assert_eq!(weighed(&Lazy, &[0.9, 0.1], &[60_000, 5_535]), [1.0, 1.0]);
        assert!(!Lazy.asks(0));
    }
}
