//! Calls no axon, and sets weights equal to the consensus of the last epoch.
//!
//! It exploits that the weights of other validators are public: it agrees with all of them and receives dividends
//! without doing the work. Commit-reveal should stop it, because the weights that can be read are then outdated. In
//! addition, it is always one epoch late, which costs it where miners change.

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
    fn it_copies_the_consensus_and_gives_equal_weights_before_there_is_one() {
        assert_eq!(
            weighed(&Copier, &[], &[40_000, 0, 20_000]),
            [40_000.0, 0.0, 20_000.0]
        );
        assert_eq!(weighed(&Copier, &[0.9, 0.0], &[0, 0]), [1.0, 1.0]);
        assert!(!Copier.asks(0) && !Copier.asks(1_000));
    }
}
