//! The inputs of an epoch: the neurons, the rules, and the checks on both.

use serde::{Deserialize, Serialize};

use crate::{Block, MAX_UIDS, Rao, Uid, Weight};

/// A bond of a neuron in another: the weight given to the other over past epochs, in proportion to the weight given by
/// all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bond {
    /// The uid of the other neuron.
    pub uid: Uid,
    /// Size of the bond. The largest of a column is 65,535. Under [`Bonds::Yuma3`], 65,535 is 1.
    pub bond: u16,
}

/// A neuron as the input of an epoch. Its uid is its position in the list.
#[derive(Debug, Clone, Copy)]
pub struct Neuron<'a> {
    /// All stake with the neuron, in rao.
    pub stake: Rao,
    /// Block in which it last set weights.
    pub last_update: Block,
    /// Block in which it was registered.
    pub block_at_registration: Block,
    /// Whether it may validate in this epoch. The epoch computes the permits of the next one.
    pub validator_permit: bool,
    /// The weights that it set, each uid at most once.
    pub weights: &'a [Weight],
    /// Its bonds as stored by the last epoch, each uid at most once.
    pub bonds: &'a [Bond],
}

/// The rules of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The block of the epoch.
    pub block: Block,
    /// Number of blocks after its last update until a neuron becomes inactive.
    pub activity_cutoff: u64,
    /// Maximum number of validator permits for the next epoch.
    pub max_allowed_validators: u16,
    /// The share of stake that defines the consensus; 65,535 is 1.
    pub kappa: u16,
    /// The share of the old bonds that is kept, in millionths; at most 1,000,000.
    pub bonds_moving_average: u64,
    /// The algorithm.
    pub variant: Variant,
}

/// The algorithm: that of 2023 or the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variant {
    /// Subtensor v0.0.1, June 2023.
    Classic,
    /// The head of Subtensor, June 2026.
    Today(Today),
}

/// The additional rules of today's algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Today {
    /// Number of blocks between two epochs.
    pub tempo: u64,
    /// The block of the last epoch. `None` if the chain has not recorded one.
    pub last_epoch: Option<Block>,
    /// Stake below this threshold counts as 0, except the owner's.
    pub stake_threshold: Rao,
    /// The subnet's owner. It always has a permit, and its weight for itself counts.
    pub owner: Option<Uid>,
    /// With commit-reveal, the block of each neuron's earliest commitment that has not expired, by uid. Its weights for
    /// neurons that registered after this block do not count.
    pub commits: Option<Vec<Option<Block>>>,
    /// The share of a weight's excess over the consensus that does not count for bonds; 65,535 is all.
    pub bonds_penalty: u16,
    /// The algorithm for bonds.
    pub bonds: Bonds,
}

/// The algorithm for bonds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bonds {
    /// Bonds are shares of a column, as in 2023.
    Proportional,
    /// Each bond moves separately towards its weight, at the rate of the moving average or of liquid alpha.
    Yuma3(Option<LiquidAlpha>),
}

/// A separate rate for each pair of neurons, which rises with the distances between weight, bond and consensus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiquidAlpha {
    /// The lowest rate; 65,535 is 1. At most [`LiquidAlpha::high`].
    pub low: u16,
    /// The highest rate.
    pub high: u16,
    /// Steepness of the sigmoid between the two rates, in hundredths.
    pub steepness: i16,
}

/// The reason why an epoch cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More neurons than there are uids.
    #[error("{0} neurons, more than there are uids ({MAX_UIDS})")]
    TooManyNeurons(usize),
    /// More stake than the chain's arithmetic can represent.
    #[error("the total stake is more than {} rao", i64::MAX)]
    TooMuchStake,
    /// A row contains a uid that no neuron has.
    #[error("the {what} of uid {from} contain uid {uid}, but there are only {neurons} neurons")]
    UnknownUid {
        /// `weights` or `bonds`.
        what: &'static str,
        /// The uid of the row.
        from: usize,
        /// The uid in the row.
        uid: Uid,
        /// Number of neurons.
        neurons: usize,
    },
    /// A row contains a uid twice.
    #[error("the {what} of uid {from} contain uid {uid} twice")]
    RepeatedUid {
        /// `weights` or `bonds`.
        what: &'static str,
        /// The uid of the row.
        from: usize,
        /// The uid in the row.
        uid: Uid,
    },
    /// The owner is not a neuron.
    #[error("the owner is uid {uid}, but there are only {neurons} neurons")]
    UnknownOwner {
        /// The uid of the owner.
        uid: Uid,
        /// Number of neurons.
        neurons: usize,
    },
    /// The list of commitments does not have one entry per neuron.
    #[error("{commits} commit blocks for {neurons} neurons")]
    Commits {
        /// Number of commitments.
        commits: usize,
        /// Number of neurons.
        neurons: usize,
    },
    /// The moving average is more than 1.
    #[error("the moving average of bonds is {0} millionths, but at most 1000000 are allowed")]
    MovingAverage(u64),
    /// The lowest rate of liquid alpha is above the highest.
    #[error("the lowest rate of liquid alpha, {low}, is above its highest, {high}")]
    LiquidAlpha {
        /// The lowest rate.
        low: u16,
        /// The highest rate.
        high: u16,
    },
}

/// Checks all preconditions of an epoch.
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
    // By uid, the last row that contained it, counted from 1.
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
