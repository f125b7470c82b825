//! What a validator makes of its office: honest, or one of those that cheat.
//!
//! A new behaviour is its arguments in `mirror_spec::ValidatorBehaviour`, one file here, and one line in the
//! registry ([`build`]). What it does is a function of what it is shown, so that a run repeats.

mod bribed;
mod cabal;
mod copier;
mod honest;
mod lazy;
mod random;
mod stale;

use mirror_seed::Seed;
use mirror_spec::ValidatorBehaviour;
use mirror_subtensor_client::Metagraph;

/// A way to be a validator.
pub trait Behaviour: Send {
    /// Whether it asks anybody in a step. Whoever does not learns nothing in it.
    fn asks(&self, _step: u64) -> bool {
        true
    }

    /// How much each uid shall get, by uid, one each neuron of the metagraph. Only the proportions count, and the
    /// chain's limits are kept by whoever asks.
    fn weigh(&self, known: WeightInputs<'_>) -> Vec<f32>;
}

/// What a validator knows when it sets weights.
pub struct WeightInputs<'a> {
    /// By uid, the moving averages of what each has earned; `None` while it has learned nothing.
    pub averages: Option<Vec<f32>>,
    /// The subnet as of the last closed block.
    pub metagraph: &'a Metagraph,
    /// To draw from about these weights.
    pub seed: Seed,
}

impl WeightInputs<'_> {
    /// What each has earned; while nobody has, all alike, as v4 has it.
    fn earned(self) -> Vec<f32> {
        match self.averages {
            Some(averages) => averages,
            None => self.alike(),
        }
    }

    /// The same for everybody.
    fn alike(&self) -> Vec<f32> {
        vec![1.0; self.metagraph.neurons.len()]
    }
}

/// The behaviour that a launch description names.
pub fn build(behaviour: &ValidatorBehaviour) -> Box<dyn Behaviour> {
    match behaviour {
        ValidatorBehaviour::Honest(_) => Box::new(honest::Honest),
        ValidatorBehaviour::Cabal(args) => Box::new(cabal::Cabal::new(args)),
        ValidatorBehaviour::Copier(_) => Box::new(copier::Copier),
        ValidatorBehaviour::Lazy(_) => Box::new(lazy::Lazy),
        ValidatorBehaviour::Stale(args) => Box::new(stale::Stale::new(*args)),
        ValidatorBehaviour::Random(_) => Box::new(random::Random),
        ValidatorBehaviour::Bribed(args) => Box::new(bribed::Bribed::new(args)),
    }
}

#[cfg(test)]
mod tests {
    use mirror_identity::PublicKey;
    use mirror_subtensor_client::Neuron;

    use super::*;

    /// A subnet of neurons that all serve, with so much consensus each, seen by one who has learned `averages`.
    pub(super) fn weighed(behaviour: &dyn Behaviour, averages: &[f32], consensus: &[u16]) -> Vec<f32> {
        let key = PublicKey::from_bytes([0; 32]);
        let neuron = |consensus: &u16| Neuron {
            hotkey: key,
            coldkey: key,
            stake: 0,
            axon: Some(std::net::SocketAddr::from(([127, 0, 0, 1], 1))),
            validator_permit: false,
            block_at_registration: 0,
            consensus: *consensus,
            weights: Vec::new(),
            bonds: Vec::new(),
        };
        let metagraph = Metagraph {
            neurons: consensus.iter().map(neuron).collect(),
            ..Metagraph::default()
        };
        behaviour.weigh(WeightInputs {
            averages: (!averages.is_empty()).then(|| averages.to_vec()),
            metagraph: &metagraph,
            seed: Seed::root(1),
        })
    }

    #[test]
    fn who_has_learned_nothing_weighs_all_alike() {
        let honest = build(&ValidatorBehaviour::Honest(mirror_spec::NoArgs {}));
        assert_eq!(weighed(&*honest, &[], &[0; 3]), [1.0; 3]);
        assert_eq!(weighed(&*honest, &[0.2, 0.0, 0.6], &[0; 3]), [0.2, 0.0, 0.6]);
    }
}
