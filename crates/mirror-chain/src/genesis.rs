//! The first state of a chain.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use mirror_identity::{Coldkey, Hotkey};
use serde::{Deserialize, Serialize};

use crate::accounts::Accounts;
use crate::metadata::MetadataStore;
use crate::registration::Registrations;
use crate::serving::{LastServed, check_address};
use crate::state::State;
use crate::{Axon, Block, Bond, Hyperparameters, MAX_ISSUANCE, MAX_UIDS, Neuron, Rao, Uid, Weight};

/// The first state of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Number of the subnet. It shifts the blocks in which its epochs run.
    pub netuid: u16,
    /// The first block that closes, 1..=4,294,967,295. Block 0 is the genesis itself.
    pub first_block: Block,
    /// The hyperparameters.
    pub hyperparameters: Hyperparameters,
    /// The owner, who may change the hyperparameters. `None` if the subnet has no owner.
    pub owner: Option<SubnetOwner>,
    /// Neurons that are registered from the start, by uid.
    pub neurons: Vec<GenesisNeuron>,
    /// Stakes that other coldkeys have with these neurons, which become delegates with the default take.
    pub nominations: Vec<Nomination>,
    /// Free balances.
    pub balances: Vec<Balance>,
}

/// The owner of a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetOwner {
    /// The coldkey that may change the hyperparameters.
    pub coldkey: Coldkey,
    /// The hotkey of the owner. If it is a neuron and the rules are today's, it always has a permit, its weight for
    /// itself counts, and it is never replaced.
    pub hotkey: Hotkey,
}

/// A neuron that is registered from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisNeuron {
    /// The hotkey of the neuron.
    pub hotkey: Hotkey,
    /// The coldkey that owns the neuron.
    pub coldkey: Coldkey,
    /// The stake of the owner with the neuron, in rao.
    pub stake: Rao,
    /// Whether the neuron may set weights for others.
    pub validator_permit: bool,
    /// The weights that it has set. A neuron with weights or bonds counts as updated in the first block, when all
    /// neurons are already registered. Otherwise no epoch would count its weights.
    pub weights: Vec<Weight>,
    /// Its bonds in other neurons.
    pub bonds: Vec<Bond>,
    /// The axon that it serves from the start.
    pub axon: Option<Axon>,
}

/// The stake of a coldkey with the hotkey of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nomination {
    /// The hotkey of the neuron.
    pub hotkey: Hotkey,
    /// The coldkey that owns the stake.
    pub coldkey: Coldkey,
    /// The amount of the stake, in rao.
    pub stake: Rao,
}

/// The free balance of a coldkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The coldkey.
    pub coldkey: Coldkey,
    /// The free balance, in rao.
    pub free: Rao,
}

impl Genesis {
    /// Returns the genesis of subnet 1 without neurons or balances, with first block 1.
    pub fn empty(hyperparameters: Hyperparameters) -> Self {
        Self {
            netuid: 1,
            first_block: Block(1),
            hyperparameters,
            owner: None,
            neurons: Vec::new(),
            nominations: Vec::new(),
            balances: Vec::new(),
        }
    }

    /// Returns the state before the first block, and the number of the block that precedes it.
    ///
    /// # Errors
    /// Returns [`GenesisError`] if the genesis is invalid.
    pub(crate) fn state(self) -> Result<(State, Block), GenesisError> {
        let genesis = match self.first_block.0 {
            1..=0xFFFF_FFFF => Block(self.first_block.0 - 1),
            _ => {
                return Err(GenesisError::FirstBlock {
                    block: self.first_block,
                });
            }
        };
        if !self.hyperparameters.is_sound() {
            return Err(GenesisError::Hyperparameters);
        }
        self.check_rows()?;
        self.check_axons()?;
        let uids = uids_of(&self.neurons, self.hyperparameters.max_allowed_uids)?;
        let (accounts, takes) = self.accounts(&uids)?;
        let owners = self.neurons.iter().map(|neuron| (neuron.hotkey, neuron.coldkey));
        let owners = owners.collect();
        let registrations = Registrations::new(&self.hyperparameters, genesis);
        let neurons = self.neurons.into_iter().map(|neuron| {
            let heard = !neuron.weights.is_empty() || !neuron.bonds.is_empty();
            Arc::new(Neuron {
                last_update: if heard { self.first_block } else { genesis },
                validator_permit: neuron.validator_permit,
                weights: neuron.weights.into(),
                bonds: neuron.bonds.into(),
                axon: neuron.axon,
                ..Neuron::registered(neuron.hotkey, neuron.coldkey, genesis)
            })
        });
        let mut state = State {
            netuid: self.netuid,
            owner: self.owner,
            neurons: neurons.collect(),
            rules: self.hyperparameters,
            owners,
            takes,
            accounts,
            registrations,
            commits: BTreeMap::new(),
            last_served: LastServed::default(),
            stake_moved: BTreeMap::new(),
            epochs: 0,
            last_epoch: None,
            metadata: MetadataStore::default(),
            nonces: BTreeMap::new(),
            uids,
        };
        for neuron in state.neurons.clone() {
            state.restake(neuron.hotkey);
        }
        Ok((state, genesis))
    }

    fn accounts(
        &self,
        uids: &BTreeMap<Hotkey, Uid>,
    ) -> Result<(Accounts, BTreeMap<Hotkey, u16>), GenesisError> {
        let mut accounts = Accounts::default();
        let mut takes = BTreeMap::new();
        let coins = |accounts: &mut Accounts, amount| {
            let endowed = accounts.endow(amount);
            endowed.map_err(|_| GenesisError::TooManyCoins)
        };
        for neuron in &self.neurons {
            let own = coins(&mut accounts, neuron.stake)?;
            accounts.stake(neuron.hotkey, neuron.coldkey, own);
        }
        for &Nomination {
            hotkey,
            coldkey,
            stake,
        } in &self.nominations
        {
            if !uids.contains_key(&hotkey) {
                return Err(GenesisError::UnknownNominee { hotkey, coldkey });
            }
            let given = coins(&mut accounts, stake)?;
            accounts.stake(hotkey, coldkey, given);
            takes.insert(hotkey, self.hyperparameters.default_take);
        }
        for &Balance { coldkey, free } in &self.balances {
            let free = coins(&mut accounts, free)?;
            accounts.deposit(coldkey, free);
        }
        drop(accounts.take_before());
        Ok((accounts, takes))
    }

    fn check_rows(&self) -> Result<(), GenesisError> {
        for (from, neuron) in self.neurons.iter().enumerate() {
            let weights = neuron.weights.iter().map(|weight| weight.uid);
            let bonds = neuron.bonds.iter().map(|bond| bond.uid);
            self.check_row("weights", from, weights)?;
            self.check_row("bonds", from, bonds)?;
        }
        Ok(())
    }

    fn check_axons(&self) -> Result<(), GenesisError> {
        for (uid, neuron) in self.neurons.iter().enumerate() {
            if let Some(axon) = neuron.axon
                && check_address(axon).is_err()
            {
                return Err(GenesisError::Address { uid, ip: axon.ip });
            }
        }
        Ok(())
    }

    fn check_row(
        &self,
        what: &'static str,
        from: usize,
        uids: impl Iterator<Item = Uid>,
    ) -> Result<(), GenesisError> {
        let mut seen = BTreeSet::new();
        for uid in uids {
            if uid.index() >= self.neurons.len() {
                return Err(GenesisError::UnknownUid { what, from, uid });
            }
            if !seen.insert(uid) {
                return Err(GenesisError::RepeatedUid { what, from, uid });
            }
        }
        Ok(())
    }
}

fn uids_of(neurons: &[GenesisNeuron], max_allowed_uids: u32) -> Result<BTreeMap<Hotkey, Uid>, GenesisError> {
    if neurons.len() as u64 > max_allowed_uids.into() {
        return Err(GenesisError::TooManyNeurons {
            count: neurons.len(),
            max_allowed_uids,
        });
    }
    let mut uids = BTreeMap::new();
    for (uid, neuron) in (0..=u16::MAX).map(Uid).zip(neurons) {
        if let Some(first) = uids.insert(neuron.hotkey, uid) {
            let hotkey = neuron.hotkey;
            return Err(GenesisError::DuplicateHotkey {
                hotkey,
                first: first.index(),
                second: uid.index(),
            });
        }
    }
    Ok(uids)
}

/// The reason why a genesis is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The number of the first block is out of range.
    #[error("the first block is numbered 1 to 4,294,967,295, not {}", block.0)]
    FirstBlock {
        /// The number given.
        block: Block,
    },
    /// A hyperparameter is out of bounds or contradicts another.
    #[error(
        "the hyperparameters are out of bounds: max_allowed_uids must be 1 to {MAX_UIDS}, min_burn at most max_burn, \
         alpha_low at most alpha_high, burn_increase 100 or more, target_registrations_per_interval 1 or more, \
         bonds_moving_average and activity_cutoff_factor at most 1,000,000, alpha_sigmoid_steepness at most 32,767"
    )]
    Hyperparameters,
    /// More neurons than the subnet has room for.
    #[error("there are {count} neurons, but max_allowed_uids is {max_allowed_uids}")]
    TooManyNeurons {
        /// Number of neurons.
        count: usize,
        /// Maximum number of neurons.
        max_allowed_uids: u32,
    },
    /// Two neurons have one hotkey.
    #[error("neurons {first} and {second} have the same hotkey {hotkey}")]
    DuplicateHotkey {
        /// The hotkey.
        hotkey: Hotkey,
        /// Uid of the first neuron.
        first: usize,
        /// Uid of the second neuron.
        second: usize,
    },
    /// A row contains a uid that no neuron has.
    #[error("the {what} of uid {from} contain uid {uid}, which no neuron has")]
    UnknownUid {
        /// `weights` or `bonds`.
        what: &'static str,
        /// The uid of the row.
        from: usize,
        /// The uid in the row.
        uid: Uid,
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
    /// No program can listen at the address of an axon.
    #[error("uid {uid} serves an axon at {ip}, where no program can listen")]
    Address {
        /// The uid of the neuron.
        uid: usize,
        /// The address.
        ip: IpAddr,
    },
    /// A nomination of a hotkey that is not a neuron.
    #[error("coldkey {coldkey} nominates hotkey {hotkey}, which belongs to no neuron")]
    UnknownNominee {
        /// The hotkey.
        hotkey: Hotkey,
        /// The coldkey that nominates it.
        coldkey: Coldkey,
    },
    /// Stakes and balances exceed [`MAX_ISSUANCE`].
    #[error("the total of stakes and balances is more than {} rao", MAX_ISSUANCE.0)]
    TooManyCoins,
}
