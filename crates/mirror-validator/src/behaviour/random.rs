//! Gives each uid that serves an axon a random weight, drawn anew each time.
//!
//! It exploits nothing, but it harms the other validators: noise reduces the emission of good miners. The consensus
//! should stop it, because weight above that of the other validators is clipped.

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
    fn weights_do_not_depend_on_the_averages() {
        let weights = weighed(&Random, &[1.0, 0.0, 0.0, 0.0], &[0; 4]);
        assert_eq!(weights, weighed(&Random, &[0.0, 0.0, 0.0, 1.0], &[0; 4]));
        assert!(weights.iter().all(|weight| (0.0..1.0).contains(weight)));
        assert!(weights.windows(2).any(|pair| pair[0] != pair[1]), "{weights:?}");
    }
}
