//! The share of the emission that a cabal retains: validators that give all weight to the cabal's miners, as a function
//! of their share of the stake.
//!
//! Every validator sets the same weights in each epoch and stakes do not grow, so the bonds converge. The result is the
//! emission after they have converged. [`Opinion`] selects the weights of the honest validators, which gives two
//! curves. If they distinguish the cabal's miners from the others, the two sides are symmetric, and below half of the
//! stake the cabal retains nothing. If they do not, the cabal retains what its clipped weights yield.

use crate::epoch::{self, Bond, Epoch, Malformed, Rules, Today, Variant, epoch};
use crate::{Block, Hyperparameters, Rao, RuleSet, Uid, Weight};

/// The total stake.
const ALL_STAKE: u64 = 1_000_000 * Rao::TAO;

/// The emission of an epoch.
const EMISSION: Rao = Rao(100 * Rao::TAO);

/// Number of epochs after which the computation stops, even if the bonds have not converged.
const MAX_EPOCHS: u64 = 2_000;

/// A subnet with a cabal in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cabal {
    /// Number of validators outside the cabal, 1 or more. They share the rest of the stake equally.
    pub honest_validators: u16,
    /// Number of validators in the cabal, 1 or more. They share its stake equally.
    pub validators: u16,
    /// Number of miners outside the cabal, 1 or more.
    pub other_miners: u16,
    /// Number of miners in the cabal, 1 or more.
    pub miners: u16,
}

/// The weights that honest validators give to miners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// No weight for the cabal's miners, equal weights for all others.
    TellsApart,
    /// Equal weights for all miners, including the cabal's.
    CannotTell,
}

impl Cabal {
    /// Returns the share of an epoch's emission, 0..=1, that the cabal's validators and miners retain with `percent` of
    /// the stake.
    ///
    /// # Errors
    /// Returns [`Malformed`] if there are more neurons than uids or if the hyperparameters contradict each other.
    pub fn retained(
        self,
        percent: u8,
        opinion: Opinion,
        hyperparameters: &Hyperparameters,
    ) -> Result<f64, Malformed> {
        let paid = self.settled(percent.min(100), opinion, hyperparameters)?.emission;
        let sum = |amounts: &[Rao]| amounts.iter().map(|amount| amount.0).sum::<u64>();
        // Order of the uids: the cabal's miners, its validators, then all others.
        let own = usize::from(self.miners) + usize::from(self.validators);
        Ok(sum(&paid[..own]) as f64 / sum(&paid).max(1) as f64)
    }

    fn settled(
        self,
        percent: u8,
        opinion: Opinion,
        hyperparameters: &Hyperparameters,
    ) -> Result<Epoch, Malformed> {
        let members = 0..self.miners;
        let first_other = self.miners.saturating_add(self.validators);
        let others = first_other..first_other.saturating_add(self.other_miners);
        let alike = |uids: Vec<u16>| -> Vec<Weight> {
            let weight = |uid| Weight {
                uid: Uid(uid),
                weight: u16::MAX,
            };
            uids.into_iter().map(weight).collect()
        };
        let of_cabal = alike(members.clone().collect());
        let of_honest = alike(match opinion {
            Opinion::TellsApart => others.collect(),
            Opinion::CannotTell => members.chain(others).collect(),
        });
        let staked = |percent: u8, validators: u16| {
            Rao(ALL_STAKE / 100 * u64::from(percent) / u64::from(validators.max(1)))
        };
        let miner = (Rao(0), &[][..]);
        let neurons = std::iter::empty()
            .chain(std::iter::repeat_n(miner, self.miners.into()))
            .chain(std::iter::repeat_n(
                (staked(percent, self.validators), &of_cabal[..]),
                self.validators.into(),
            ))
            .chain(std::iter::repeat_n(miner, self.other_miners.into()))
            .chain(std::iter::repeat_n(
                (staked(100 - percent, self.honest_validators), &of_honest[..]),
                self.honest_validators.into(),
            ));
        let neurons: Vec<(Rao, &[Weight])> = neurons.collect();
        let mut bonds: Vec<Vec<Bond>> = vec![Vec::new(); neurons.len()];
        let mut block = Block(1);
        loop {
            let inputs = neurons
                .iter()
                .zip(&bonds)
                .map(|(&(stake, weights), bonds)| epoch::Neuron {
                    stake,
                    last_update: block,
                    block_at_registration: Block(0),
                    validator_permit: !weights.is_empty(),
                    weights,
                    bonds,
                });
            let inputs: Vec<_> = inputs.collect();
            let found = epoch(&inputs, &rules(hyperparameters, block), EMISSION)?;
            if found.bonds == bonds || block.0 >= MAX_EPOCHS {
                return Ok(found);
            }
            bonds.clone_from(&found.bonds);
            block = Block(block.0 + 1);
        }
    }
}

/// Returns the rules of an epoch without an owner or commitments.
fn rules(hyperparameters: &Hyperparameters, block: Block) -> Rules {
    Rules {
        block,
        activity_cutoff: hyperparameters.effective_activity_cutoff(),
        // Every current permit is kept.
        max_allowed_validators: u16::MAX,
        kappa: hyperparameters.kappa,
        bonds_moving_average: hyperparameters.bonds_moving_average,
        variant: match hyperparameters.rule_set {
            RuleSet::Classic => Variant::Classic,
            RuleSet::Today => Variant::Today(Today {
                tempo: 0,
                last_epoch: None,
                stake_threshold: hyperparameters.stake_threshold,
                owner: None,
                commits: None,
                bonds_penalty: hyperparameters.bonds_penalty,
                bonds: hyperparameters.bonds(),
            }),
        },
    }
}
