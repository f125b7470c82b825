//! What a validator makes of what it has learned when it sets weights: honest, or one of those that cheat.

mod cabal;
mod honest;

use mirror_config::component::ValidatorBehaviour;

/// A way to weigh uids.
pub trait Behaviour: Send {
    /// How much each uid shall get, by uid, from the moving averages of what each has earned. Only the proportions count,
    /// and the chain's limits are kept by whoever asks.
    fn weigh(&self, averages: Vec<f32>) -> Vec<f32>;
}

/// The behaviour that a launch description names.
pub fn build(behaviour: &ValidatorBehaviour) -> Box<dyn Behaviour> {
    match behaviour {
        ValidatorBehaviour::Honest(_) => Box::new(honest::Honest),
        ValidatorBehaviour::Cabal(args) => Box::new(cabal::Cabal::new(args)),
    }
}
