//! The chain's epoch: its inputs, the storage of its results, and the payment of the emission.

use std::sync::Arc;

use mirror_identity::Hotkey;

use crate::accounts::Coins;
use crate::epoch::{self, Bonds, Epoch, LiquidAlpha, Rules, Today, Variant, epoch};
use crate::state::State;
use crate::{Block, Hyperparameters, Neuron, Rao, RuleSet};

/// An epoch of the chain. Its results for each neuron are in the metagraph of its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidEpoch {
    /// Number of the epoch, from 1.
    pub number: u64,
    /// Payments, by uid.
    pub paid: Vec<Paid>,
}

/// The amounts that an epoch added to the stake with a hotkey, including its nominators' shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paid {
    /// Payment for incentive.
    pub server: Rao,
    /// Payment for dividends, or for stake if no neuron earns any.
    pub validator: Rao,
}

impl State {
    /// Computes the epoch, stores its results in the neurons, and pays the pending coins.
    pub(crate) fn run_epoch(&mut self, block: Block) -> PaidEpoch {
        let mut pending = self.accounts.take_pending();
        let epoch = self.epoch(block, pending.amount());
        self.store(&epoch);
        let hotkeys: Vec<_> = self.neurons.iter().map(|neuron| neuron.hotkey).collect();
        let mut paid = vec![Paid::default(); hotkeys.len()];
        let earned = epoch.server_emission.iter().zip(&epoch.validator_emission);
        for ((hotkey, (&server, &validator)), paid) in hotkeys.into_iter().zip(earned).zip(&mut paid) {
            // Shares are each rounded down, so their sum does not exceed the total. If it did, the remaining neurons
            // would get nothing.
            let (Some(server), Some(validator)) = (pending.split(server), pending.split(validator)) else {
                break;
            };
            *paid = Paid {
                server: server.amount(),
                validator: validator.amount(),
            };
            self.pay(hotkey, server, validator);
        }
        self.accounts.lapse(pending);
        self.epochs += 1;
        self.last_epoch = Some(block);
        PaidEpoch {
            number: self.epochs,
            paid,
        }
    }

    fn epoch(&self, block: Block, emission: Rao) -> Epoch {
        let neurons: Vec<_> = self.neurons.iter().map(|neuron| input(neuron)).collect();
        let rules = Rules {
            block,
            activity_cutoff: self.rules.effective_activity_cutoff(),
            max_allowed_validators: self.rules.max_allowed_validators,
            kappa: self.rules.kappa,
            bonds_moving_average: self.rules.bonds_moving_average,
            variant: match self.rules.rule_set {
                RuleSet::Classic => Variant::Classic,
                RuleSet::Today => Variant::Today(self.today(block)),
            },
        };
        epoch(&neurons, &rules, emission)
            .expect("rows contain each uid once, the rules are valid, and the issuance limits the stake")
    }

    fn today(&self, block: Block) -> Today {
        let rules = &self.rules;
        let period = self.reveal_period();
        let oldest_commit = |neuron: &Arc<Neuron>| {
            let commits = self.commits.get(&neuron.hotkey)?;
            commits.oldest_live(block, period)
        };
        Today {
            tempo: rules.tempo,
            last_epoch: self.last_epoch,
            stake_threshold: rules.stake_threshold,
            owner: self.owner_uid(),
            commits: rules
                .commit_reveal_weights_enabled
                .then(|| self.neurons.iter().map(oldest_commit).collect()),
            bonds_penalty: rules.bonds_penalty,
            bonds: rules.bonds(),
        }
    }

    fn store(&mut self, epoch: &Epoch) {
        for (uid, neuron) in self.neurons.iter_mut().enumerate() {
            let incentive = epoch.incentive[uid].to_u16_share();
            let found = Neuron {
                active: epoch.active[uid],
                validator_permit: epoch.next_permits[uid],
                // The real chain of 2023 stores the incentive under both names. Today's chain has no rank.
                rank: epoch.trust.as_ref().map_or(0, |_| incentive),
                trust: epoch.trust.as_ref().map_or(0, |trust| trust[uid].to_u16_share()),
                consensus: epoch.consensus[uid].to_u16_share(),
                incentive,
                dividends: epoch.dividends[uid].to_u16_share(),
                validator_trust: epoch.validator_trust[uid].to_u16_share(),
                emission: epoch.emission[uid],
                pruning_score: epoch.pruning_scores.as_ref().map_or(0, |scores| scores[uid]),
                bonds: epoch.bonds[uid].as_slice().into(),
                ..Neuron::clone(neuron)
            };
            if **neuron != found {
                *neuron = Arc::new(found);
            }
        }
    }

    /// Adds the earnings of a hotkey to its stake. A delegate's dividends, minus its take, go to its nominators in
    /// proportion to their stakes before the payment. The owner gets the rest: rounding remainders, the take and the
    /// incentive.
    fn pay(&mut self, hotkey: Hotkey, server: Coins, mut validator: Coins) {
        let Some(&owner) = self.owners.get(&hotkey) else {
            self.accounts.lapse(server);
            return self.accounts.lapse(validator);
        };
        if let Some(&take) = self.takes.get(&hotkey) {
            let take = share(take.into(), u16::MAX.into(), validator.amount());
            let for_all = Rao(validator.amount().0 - take.0);
            let nominators: Vec<_> = self.accounts.nominators(hotkey).collect();
            let total: u64 = nominators.iter().map(|(_, stake)| stake.0).sum();
            for (coldkey, stake) in nominators {
                let part = share(stake.0, total, for_all);
                if let Some(part) = validator.split(part) {
                    self.accounts.stake(hotkey, coldkey, part);
                }
            }
        }
        self.accounts.stake(hotkey, owner, validator);
        self.accounts.stake(hotkey, owner, server);
        self.restake(hotkey);
    }
}

impl Hyperparameters {
    /// Returns the algorithm for bonds under today's rules.
    pub(crate) fn bonds(&self) -> Bonds {
        if !self.yuma3_on {
            return Bonds::Proportional;
        }
        Bonds::Yuma3(self.liquid_alpha_on.then_some(LiquidAlpha {
            low: self.alpha_low,
            high: self.alpha_high,
            steepness: i16::try_from(self.alpha_sigmoid_steepness).unwrap_or(i16::MAX),
        }))
    }
}

fn input(neuron: &Neuron) -> epoch::Neuron<'_> {
    epoch::Neuron {
        stake: neuron.stake,
        last_update: neuron.last_update,
        block_at_registration: neuron.block_at_registration,
        validator_permit: neuron.validator_permit,
        weights: &neuron.weights,
        bonds: &neuron.bonds,
    }
}

/// Returns `amount * part / whole` as the real chain computes it: the quotient has 64 bits after the point and is
/// rounded down, and the product is rounded down again. Returns 0 if `whole` is 0.
fn share(part: u64, whole: u64, amount: Rao) -> Rao {
    let quotient = (u128::from(part) << 64).checked_div(whole.into()).unwrap_or(0);
    Rao(((u128::from(amount.0) * quotient) >> 64) as u64)
}
