//! The epoch: Yuma consensus, from the weights that validators set to the emission of each neuron.
//!
//! [`epoch`] is a function of the [`Neuron`]s and the [`Rules`]. It uses the real chain's arithmetic ([`I32F32`]) and
//! order of operations, so that every resulting integer equals the chain's. There are two algorithms,
//! [`Variant::Classic`] and [`Variant::Today`], both following Subtensor's sparse epoch (tag v0.0.1 of June 2023, and
//! its head of June 2026). Time and memory grow with the number of weights and bonds, and with the number of neurons
//! times the number of validators.
//!
//! Results of each step, by uid:
//!
//! | step | results |
//! |---|---|
//! | stake | active neurons, shares of stake, validator permits of this epoch and of the next |
//! | weights | the weights that count, as shares of their row; clipped at the consensus; penalised, for the bonds |
//! | consensus | the stake-weighted median of the weights |
//! | bonds | the moving average of the weights times stake, and the dividends on it |
//! | liquid alpha | the rate of this average for each pair |
//! | emission | the split of the emission, and the pruning scores |
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

/// The results of an epoch, by uid. Shares are stored as [`I32F32::to_u16_share`] returns them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// Whether the neuron set weights within the activity cutoff.
    pub active: Vec<bool>,
    /// Share of all stake.
    pub stake: Vec<I32F32>,
    /// Share of the stake of active validators with a permit.
    pub active_stake: Vec<I32F32>,
    /// Whether the neuron may validate in the next epoch.
    pub next_permits: Vec<bool>,
    /// The weight on which the validators agree for the neuron.
    pub consensus: Vec<I32F32>,
    /// Share of the weights set by the neuron that is within the consensus, 0..=1.
    pub validator_trust: Vec<I32F32>,
    /// Ratio of the neuron's rank to its rank before clipping at the consensus, 0..=1. `None` for today's chain.
    pub trust: Option<Vec<I32F32>>,
    /// Share of the emission for miners, from the weights given to the neuron. The chain of 2023 also stores it as the
    /// rank.
    pub incentive: Vec<I32F32>,
    /// Share of the emission for validators, from the bonds of the neuron.
    pub dividends: Vec<I32F32>,
    /// Emission for incentive.
    pub server_emission: Vec<Rao>,
    /// Emission for dividends, or for stake if no neuron earns any.
    pub validator_emission: Vec<Rao>,
    /// Total emission, computed from one combined share. It may differ from the sum of both parts by rounding.
    pub emission: Vec<Rao>,
    /// Emission relative to the largest, which is 65,535. `None` for today's chain, which compares emissions directly.
    pub pruning_scores: Option<Vec<u16>>,
    /// Bonds as they are stored for the next epoch.
    pub bonds: Vec<Vec<Bond>>,
}

/// Computes an epoch that pays `emission`.
///
/// # Errors
///
/// Returns [`Malformed`] if the neurons or the rules contradict each other.
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

/// Returns the ratio of the ranks after clipping to those before.
fn trust(ranks: &[I32F32], before: &[I32F32]) -> Vec<I32F32> {
    ranks
        .iter()
        .zip(before)
        .map(|(rank, &before)| rank.over(before))
        .collect()
}
