//! The epoch: Yuma consensus, from what validators say of neurons to what each is paid.
//!
//! [`epoch`] is a function of the [`Neuron`]s and the [`Rules`], in the real chain's arithmetic ([`I32F32`]) and in its
//! order of operations, so that every integer that comes out is the chain's. Two algorithms are there,
//! [`Variant::Classic`] and [`Variant::Today`], both after Subtensor's own sparse epoch (tag v0.0.1 of June 2023, and
//! its head of June 2026). Time and memory grow with the number of weights and bonds, and with the number of neurons
//! times that of validators.
//!
//! What each step finds, by uid:
//!
//! | step | finds |
//! |---|---|
//! | stake | who is active, the shares of stake, who validates now and who next |
//! | weights | which weights count, their shares by row; clipped at the consensus; less a penalty, for the bonds |
//! | consensus | the median of the weights by stake |
//! | bonds | the moving average of what validators gave, and dividends on it |
//! | liquid alpha | a rate for that average, by pair |
//! | emission | the split of what is paid, and the pruning scores |
//!
//! ```
//! use mirror_chain::epoch::{Neuron, Rules, Variant, epoch};
//! use mirror_chain::{Block, Rao, Uid, Weight};
//!
//! let weights = [Weight { uid: Uid(1), weight: 65_535 }];
//! let validator = Neuron {
//!     stake: Rao(1_000),
//!     last_update: Block(90),
//!     block_at_registration: Block(0),
//!     validator_permit: true,
//!     weights: &weights,
//!     bonds: &[],
//! };
//! let miner = Neuron { stake: Rao(0), validator_permit: false, weights: &[], ..validator };
//! let rules = Rules {
//!     block: Block(100),
//!     activity_cutoff: 5_000,
//!     max_allowed_validators: 1,
//!     kappa: 32_767,
//!     bonds_moving_average: 900_000,
//!     variant: Variant::Classic,
//! };
//! let epoch = epoch(&[validator, miner], &rules, Rao(1_000_000_000))?;
//! assert_eq!(epoch.emission, [Rao(500_000_000), Rao(500_000_000)]);
//! # Ok::<(), mirror_chain::epoch::Malformed>(())
//! ```

mod bonds;
pub mod case;
mod consensus;
mod emission;
mod fixed;
mod liquid_alpha;
mod matrix;
mod stake;
mod subnet;
mod weights;

pub use fixed::I32F32;
pub use subnet::{Bond, Bonds, LiquidAlpha, Malformed, Neuron, Rules, Today, Variant};

use self::matrix::normalised;
use crate::Rao;

/// What an epoch finds, by uid. Shares are stored as [`I32F32::to_u16_share`] has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// Whether it set weights within the activity cutoff.
    pub active: Vec<bool>,
    /// Its share of all stake.
    pub stake: Vec<I32F32>,
    /// Its share of the stake of active, permitted validators.
    pub active_stake: Vec<I32F32>,
    /// Whether it may validate in the next epoch.
    pub next_permits: Vec<bool>,
    /// The weight that validators agree on for it.
    pub consensus: Vec<I32F32>,
    /// How much of what it gave the consensus let pass, 0..=1.
    pub validator_trust: Vec<I32F32>,
    /// How much of what it was given the consensus let pass, 0..=1. Today's chain no longer finds it.
    pub trust: Option<Vec<I32F32>>,
    /// Its share of the pay for what was given to it; the chain of 2023 stores the same as its rank.
    pub incentive: Vec<I32F32>,
    /// Its share of the pay for what it gave.
    pub dividends: Vec<I32F32>,
    /// What it is paid for incentive.
    pub server_emission: Vec<Rao>,
    /// What it is paid for dividends, or for stake where nobody earns.
    pub validator_emission: Vec<Rao>,
    /// What it is paid, from one share of both; may differ from their sum by what rounding took.
    pub emission: Vec<Rao>,
    /// Its emission beside the largest, which is 65,535. Today's chain compares emissions themselves.
    pub pruning_scores: Option<Vec<u16>>,
    /// Its bonds as they are stored for the next epoch.
    pub bonds: Vec<Vec<Bond>>,
}

/// Computes an epoch that pays `emission`.
///
/// # Errors
///
/// When the neurons or the rules contradict themselves; see [`Malformed`].
pub fn epoch(neurons: &[Neuron<'_>], rules: &Rules, emission: Rao) -> Result<Epoch, Malformed> {
    subnet::check(neurons, rules)?;
    let today = match &rules.variant {
        Variant::Classic => None,
        Variant::Today(today) => Some(today),
    };

    let active = stake::activity(neurons, rules);
    let stake = stake::stake_shares(neurons, today);
    let permits = stake::permits(neurons, today);
    let next_permits = stake::next_permits(&stake, rules.max_allowed_validators, today);
    let active_stake = stake::active_stake(&stake, &active, &permits);

    let weights = weights::counted_weights(neurons, &permits, today);
    let kappa = I32F32::from_u16_share(rules.kappa);
    let consensus = consensus::weighted_median(&weights, &active_stake, kappa);
    let clipped = weights::clipped(&weights, &consensus);
    let validator_trust = clipped.row_sums();
    let ranks = clipped.column_sums_by(&active_stake);
    let trust = match today {
        None => Some(trust(&ranks, &weights.column_sums_by(&active_stake))),
        Some(_) => None,
    };
    let incentive = normalised(ranks);

    let penalty = today.map_or(u16::MAX, |today| today.bonds_penalty);
    let penalty = I32F32::from_u16_share(penalty);
    let inputs = bonds::BondInputs {
        weights: weights::penalised(weights, clipped, &consensus, penalty),
        consensus: &consensus,
        active_stake: &active_stake,
        incentive: &incentive,
    };
    let bonds::BondUpdate { bonds, dividends } = bonds::update(neurons, rules, inputs);

    let paid = emission::emission(emission, &incentive, &dividends, &active_stake, &stake);
    Ok(Epoch {
        bonds: bonds::kept(&bonds, neurons, &next_permits, &rules.variant),
        pruning_scores: today.is_none().then(|| emission::pruning_scores(&paid.shares)),
        active,
        stake,
        active_stake,
        next_permits,
        consensus,
        validator_trust,
        trust,
        incentive,
        dividends,
        server_emission: paid.server,
        validator_emission: paid.validator,
        emission: paid.combined,
    })
}

/// Ranks after the consensus by those before it.
fn trust(ranks: &[I32F32], before: &[I32F32]) -> Vec<I32F32> {
    ranks
        .iter()
        .zip(before)
        .map(|(rank, &before)| rank.over(before))
        .collect()
}
