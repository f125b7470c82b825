//! Weighs each uid that serves an axon by chance, drawn anew each time.
//!
//! It exploits nothing, and costs the others: the pay of good miners falls by what noise takes. Consensus should stop
//! it: what it gives beyond the others' is clipped.

use rand::RngExt;

use super::{Behaviour, WeightInputs};

pub(super) struct Random;

impl Behaviour for Random {
    fn weigh(&self, known: WeightInputs<'_>) -> Vec<f32> {
        let mut generator = known.seed.generator();
        let mut draw = |serves| {
            let drawn: f32 = generator.random();
            if serves { drawn } else { 0.0 }
        };
        let neurons = known.metagraph.neurons.iter();
        neurons.map(|neuron| draw(neuron.axon.is_some())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::weighed;
    use super::*;

    #[test]
    fn what_was_earned_does_not_matter() {
        let weights = weighed(&Random, &[1.0, 0.0, 0.0, 0.0], &[0; 4]);
        assert_eq!(weights, weighed(&Random, &[0.0, 0.0, 0.0, 1.0], &[0; 4]));
        assert!(weights.iter().all(|weight| (0.0..1.0).contains(weight)));
        assert!(weights.windows(2).any(|pair| pair[0] != pair[1]), "{weights:?}");
    }
}
