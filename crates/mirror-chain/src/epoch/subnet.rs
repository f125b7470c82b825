//! What an epoch is computed from: the neurons, the rules, and what must hold of them.

use serde::{Deserialize, Serialize};

use crate::{Block, MAX_UIDS, Rao, Uid, Weight};

/// What a neuron has in another: what it gave that one over past epochs, in its proportion to what all gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bond {
    /// The other.
    pub uid: Uid,
    /// How much. By column the largest is 65,535; under [`Bonds::Yuma3`] 65,535 is 1.
    pub bond: u16,
}

/// A neuron as an epoch finds it; its uid is its place in the list.
#[derive(Debug, Clone, Copy)]
pub struct Neuron<'a> {
    /// All stake that counts for it.
    pub stake: Rao,
    /// When it last set weights.
    pub last_update: Block,
    /// When it took its uid.
    pub block_at_registration: Block,
    /// Whether it may validate in this epoch; who may in the next is what an epoch finds.
    pub validator_permit: bool,
    /// The weights that it set, each uid once.
    pub weights: &'a [Weight],
    /// Its bonds as the last epoch stored them, each uid once.
    pub bonds: &'a [Bond],
}

/// The rules of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The block of the epoch.
    pub block: Block,
    /// Blocks after its last update until a neuron is inactive.
    pub activity_cutoff: u64,
    /// Most validator permits for the next epoch.
    pub max_allowed_validators: u16,
    /// The share of stake whose weights are the consensus; 65,535 is 1.
    pub kappa: u16,
    /// What of the old bonds stays, in millionths; at most 1,000,000.
    pub bonds_moving_average: u64,
    /// Which algorithm.
    pub variant: Variant,
}

/// The algorithm: as it was in 2023, or as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variant {
    /// Subtensor v0.0.1, June 2023.
    Classic,
    /// Subtensor at its head, June 2026.
    Today(Today),
}

/// The rules that today's algorithm has besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Today {
    /// Blocks between two epochs.
    pub tempo: u64,
    /// The block of the last epoch, where the chain has noted one.
    pub last_epoch: Option<Block>,
    /// Stake below this counts as none, but for the owner's.
    pub stake_threshold: Rao,
    /// The subnet's owner: always permitted, and its weight for itself counts.
    pub owner: Option<Uid>,
    /// With commit-reveal, the block of each neuron's earliest commit that has not expired, by uid: it could not know
    /// who registered after.
    pub commits: Option<Vec<Option<Block>>>,
    /// How much of a weight above the consensus bonds lose; 65,535 is all.
    pub bonds_penalty: u16,
    /// How bonds move.
    pub bonds: Bonds,
}

/// How bonds move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bonds {
    /// Shares of a column, as in 2023.
    Proportional,
    /// Each towards its weight by itself, at the rate of the moving average or of liquid alpha.
    Yuma3(Option<LiquidAlpha>),
}

/// A rate for each pair of neurons, the higher the further weight, bond and consensus are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiquidAlpha {
    /// The lowest rate; 65,535 is 1. At most [`LiquidAlpha::high`].
    pub low: u16,
    /// The highest rate.
    pub high: u16,
    /// Steepness of the sigmoid between them, in hundredths.
    pub steepness: i16,
}

/// Why no epoch can be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More neurons than there are uids.
    #[error("{0} neurons, more than there are uids ({MAX_UIDS})")]
    TooManyNeurons(usize),
    /// More stake than the chain's arithmetic holds.
    #[error("all stake together is more than {} rao", i64::MAX)]
    TooMuchStake,
    /// A row names a neuron that is not there.
    #[error("the {what} of uid {from} name uid {uid}, and there are {neurons} neurons")]
    UnknownUid {
        /// Weights or bonds.
        what: &'static str,
        /// Whose.
        from: usize,
        /// The uid named.
        uid: Uid,
        /// Neurons there are.
        neurons: usize,
    },
    /// A row names a neuron twice.
    #[error("the {what} of uid {from} name uid {uid} twice")]
    RepeatedUid {
        /// Weights or bonds.
        what: &'static str,
        /// Whose.
        from: usize,
        /// The uid named.
        uid: Uid,
    },
    /// The owner is not a neuron.
    #[error("the owner is uid {uid}, and there are {neurons} neurons")]
    UnknownOwner {
        /// The owner.
        uid: Uid,
        /// Neurons there are.
        neurons: usize,
    },
    /// Commits are not one a neuron.
    #[error("{commits} commit blocks for {neurons} neurons")]
    Commits {
        /// Commits given.
        commits: usize,
        /// Neurons there are.
        neurons: usize,
    },
    /// More than all of the old bonds would stay.
    #[error("a moving average of bonds of {0} millionths is more than 1")]
    MovingAverage(u64),
    /// The rates of liquid alpha are the wrong way round.
    #[error("the lowest rate of liquid alpha, {low}, is above its highest, {high}")]
    LiquidAlpha {
        /// The lowest.
        low: u16,
        /// The highest.
        high: u16,
    },
}

/// Everything that must hold before an epoch can be computed.
pub(super) fn check(neurons: &[Neuron<'_>], rules: &Rules) -> Result<(), Malformed> {
    if neurons.len() > MAX_UIDS as usize {
        return Err(Malformed::TooManyNeurons(neurons.len()));
    }
    let stake: u128 = neurons.iter().map(|neuron| u128::from(neuron.stake.0)).sum();
    if i64::try_from(stake).is_err() {
        return Err(Malformed::TooMuchStake);
    }
    check_rows("weights", neurons, |neuron| {
        neuron.weights.iter().map(|weight| weight.uid)
    })?;
    check_rows("bonds", neurons, |neuron| {
        neuron.bonds.iter().map(|bond| bond.uid)
    })?;
    check_rules(rules, neurons.len())
}

fn check_rows<'a, Uids: Iterator<Item = Uid>>(
    what: &'static str,
    neurons: &[Neuron<'a>],
    uids: impl Fn(&Neuron<'a>) -> Uids,
) -> Result<(), Malformed> {
    // By uid, the last row that named it, counted from 1.
    let mut named_in = vec![0; neurons.len()];
    for (from, neuron) in neurons.iter().enumerate() {
        for uid in uids(neuron) {
            match named_in.get_mut(uid.index()) {
                None => {
                    let neurons = neurons.len();
                    return Err(Malformed::UnknownUid {
                        what,
                        from,
                        uid,
                        neurons,
                    });
                }
                Some(row) if *row == from + 1 => return Err(Malformed::RepeatedUid { what, from, uid }),
                Some(row) => *row = from + 1,
            }
        }
    }
    Ok(())
}

fn check_rules(rules: &Rules, neurons: usize) -> Result<(), Malformed> {
    if rules.bonds_moving_average > super::bonds::WHOLE_MOVING_AVERAGE {
        return Err(Malformed::MovingAverage(rules.bonds_moving_average));
    }
    let Variant::Today(today) = &rules.variant else {
        return Ok(());
    };
    if let Some(uid) = today.owner.filter(|owner| owner.index() >= neurons) {
        return Err(Malformed::UnknownOwner { uid, neurons });
    }
    if let Some(commits) = today.commits.as_ref().map(Vec::len)
        && commits != neurons
    {
        return Err(Malformed::Commits { commits, neurons });
    }
    if let Bonds::Yuma3(Some(LiquidAlpha { low, high, .. })) = today.bonds
        && low > high
    {
        return Err(Malformed::LiquidAlpha { low, high });
    }
    Ok(())
}
