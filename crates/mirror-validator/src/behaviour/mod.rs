//! Behaviours of validators: the honest one, and several that cheat.
//!
//! To add a behaviour, define its arguments in `mirror_spec::ValidatorBehaviour`, write one file in this module, and
//! add one line to the registry (`build`). A behaviour is a function of its inputs, so that runs are reproducible.

mod bribed;
mod cabal;
mod copier;
mod honest;
mod lazy;
mod random;
mod stale;

use std::sync::{Arc, PoisonError, RwLock};

use mirror_seed::Seed;
use mirror_spec::ValidatorBehaviour;
use mirror_subtensor_client::Metagraph;

/// The behaviour of a validator.
pub trait Behaviour: Send + Sync {
    /// Returns whether the validator calls axons in a step. It learns nothing in a step in which it calls none.
    fn asks(&self, _step: u64) -> bool {
        true
    }

    /// Returns the weight of each uid, with one entry for each neuron of the metagraph. Only the proportions matter.
    /// The caller applies the chain's limits.
    fn weigh(&self, known: WeightInputs<'_>) -> Vec<f32>;
}

/// The information from which a validator sets weights.
pub struct WeightInputs<'a> {
    /// Moving averages of the rewards, by uid. `None` if the validator has learned nothing yet.
    pub averages: Option<Vec<f32>>,
    /// The metagraph as of the last closed block.
    pub metagraph: &'a Metagraph,
    /// Source of draws about these weights.
    pub seed: Seed,
}

impl WeightInputs<'_> {
    /// Returns the moving averages, or equal weights if the validator has learned nothing, as in v4.
    fn earned(self) -> Vec<f32> {
        match self.averages {
            Some(averages) => averages,
            None => self.alike(),
        }
    }

    /// Returns equal weights.
    fn alike(&self) -> Vec<f32> {
        vec![1.0; self.metagraph.neurons.len()]
    }
}

/// The behaviour of a validator from its launch config, and the one that a fault has put in its place.
pub struct Behaviours {
    own: Arc<dyn Behaviour>,
    injected: RwLock<Option<Injected>>,
}

struct Injected {
    spec: ValidatorBehaviour,
    behaviour: Arc<dyn Behaviour>,
}

impl Behaviours {
    /// Creates the behaviour of a launch config.
    pub fn new(own: &ValidatorBehaviour) -> Self {
        Self {
            own: build(own),
            injected: RwLock::default(),
        }
    }

    /// Replaces the validator's behaviour by another one. `None` returns to its own.
    pub fn inject(&self, behaviour: Option<ValidatorBehaviour>) {
        let mut injected = self.injected.write().unwrap_or_else(PoisonError::into_inner);
        if injected.as_ref().map(|injected| &injected.spec) != behaviour.as_ref() {
            *injected = behaviour.map(|spec| Injected {
                behaviour: build(&spec),
                spec,
            });
        }
    }

    /// Returns the behaviour in effect.
    pub fn current(&self) -> Arc<dyn Behaviour> {
        let injected = self.injected.read().unwrap_or_else(PoisonError::into_inner);
        let behaviour = injected.as_ref().map(|injected| &injected.behaviour);
        behaviour.unwrap_or(&self.own).clone()
    }
}

/// The registry: builds the behaviour of a spec.
fn build(behaviour: &ValidatorBehaviour) -> Arc<dyn Behaviour> {
    match behaviour {
        ValidatorBehaviour::Honest(_) => Arc::new(honest::Honest),
        ValidatorBehaviour::Cabal(args) => Arc::new(cabal::Cabal::new(args)),
        ValidatorBehaviour::Copier(_) => Arc::new(copier::Copier),
        ValidatorBehaviour::Lazy(_) => Arc::new(lazy::Lazy),
        ValidatorBehaviour::Stale(args) => Arc::new(stale::Stale::new(*args)),
        ValidatorBehaviour::Random(_) => Arc::new(random::Random),
        ValidatorBehaviour::Bribed(args) => Arc::new(bribed::Bribed::new(args)),
    }
}

#[cfg(test)]
mod tests {
    use mirror_identity::PublicKey;
    use mirror_subtensor_client::Neuron;

    use super::*;

    /// Returns the weights of a validator with these moving averages, in a subnet of serving neurons with this
    /// consensus.
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
    fn an_injected_behaviour_applies_until_it_is_withdrawn() {
        let members = "1".parse().expect("a uid");
        let behaviours = Behaviours::new(&ValidatorBehaviour::Honest(mirror_spec::NoArgs {}));
        let weighed = || weighed(&*behaviours.current(), &[0.5, 0.25], &[0; 2]);
        assert_eq!(weighed(), [0.5, 0.25]);
        behaviours.inject(Some(ValidatorBehaviour::Cabal(mirror_spec::CabalArgs {
            members,
        })));
        assert_eq!(weighed(), [0.0, 1.0]);
        behaviours.inject(None);
        assert_eq!(weighed(), [0.5, 0.25]);
    }

    #[test]
    fn equal_weights_before_anything_is_learned() {
        let honest = build(&ValidatorBehaviour::Honest(mirror_spec::NoArgs {}));
        assert_eq!(weighed(&*honest, &[], &[0; 3]), [1.0; 3]);
        assert_eq!(weighed(&*honest, &[0.2, 0.0, 0.6], &[0; 3]), [0.2, 0.0, 0.6]);
    }
}
