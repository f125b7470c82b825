//! Asks nobody, and weighs each uid as the consensus of the last epoch has it.
//!
//! It exploits that others' weights can be read: it agrees with everybody, and is paid dividends for work that it did
//! not do. Weights that are committed to and revealed later should stop it, for what can be read is then old; and it is
//! always an epoch late, which costs it where miners change.

use super::{Behaviour, WeightInputs};

pub(super) struct Copier;

impl Behaviour for Copier {
    fn asks(&self, _step: u64) -> bool {
        false
    }

    fn weigh(&self, known: WeightInputs<'_>) -> Vec<f32> {
        let consensus: Vec<_> = known
            .metagraph
            .neurons
            .iter()
            .map(|neuron| f32::from(neuron.consensus))
            .collect();
        if consensus.iter().all(|share| *share == 0.0) {
            return known.alike();
        }
        consensus
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::weighed;
    use super::*;

    #[test]
    fn it_says_what_the_others_say_and_until_then_nothing_in_particular() {
        assert_eq!(
            weighed(&Copier, &[], &[40_000, 0, 20_000]),
            [40_000.0, 0.0, 20_000.0]
        );
        assert_eq!(weighed(&Copier, &[0.9, 0.0], &[0, 0]), [1.0, 1.0]);
        assert!(!Copier.asks(0) && !Copier.asks(1_000));
    }
}
