//! The first state of a chain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mirror_identity::{Coldkey, Hotkey};
use serde::{Deserialize, Serialize};

use crate::accounts::Accounts;
use crate::metadata::MetadataStore;
use crate::registration::Registrations;
use crate::serving::LastServed;
use crate::state::State;
use crate::{Block, Bond, Hyperparameters, MAX_ISSUANCE, MAX_UIDS, Neuron, Rao, Uid, Weight};

/// The first state of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Which subnet; shifts the blocks at which its epochs fall.
    pub netuid: u16,
    /// The block that closes first, 1..=4,294,967,295. Block 0 is the genesis itself.
    pub first_block: Block,
    /// The rules.
    pub hyperparameters: Hyperparameters,
    /// Who may change the rules; `None`: nobody.
    pub owner: Option<SubnetOwner>,
    /// Neurons that are registered from the start, by uid.
    pub neurons: Vec<GenesisNeuron>,
    /// Stake that others gave to these neurons, which are delegates then, with the default take.
    pub nominations: Vec<Nomination>,
    /// What is free to use.
    pub balances: Vec<Balance>,
}

/// Whose the subnet is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetOwner {
    /// May change the rules.
    pub coldkey: Coldkey,
    /// Where it is a neuron and the rules are today's: it always has a permit, its weight for itself counts, and it is
    /// never replaced.
    pub hotkey: Hotkey,
}

/// A neuron that is registered from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisNeuron {
    /// Speaks for the neuron.
    pub hotkey: Hotkey,
    /// Owns it.
    pub coldkey: Coldkey,
    /// The owner's own stake.
    pub stake: Rao,
    /// May set weights for others.
    pub validator_permit: bool,
    /// What it has said of others. Who has said something counts as heard in the first block, after all had registered:
    /// else no epoch would count it.
    pub weights: Vec<Weight>,
    /// What it has in others.
    pub bonds: Vec<Bond>,
}

/// Stake that a coldkey gives to a hotkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nomination {
    /// Who is nominated.
    pub hotkey: Hotkey,
    /// Whose stake it is.
    pub coldkey: Coldkey,
    /// How much.
    pub stake: Rao,
}

/// What a coldkey has to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Whose.
    pub coldkey: Coldkey,
    /// How much.
    pub free: Rao,
}

impl Genesis {
    /// A chain of subnet 1 without neurons or balances whose first block is 1.
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

    /// The state before the first block, as of the block before it.
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

/// A genesis that no chain can start from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The number of the first block is out of range.
    #[error("the first block is numbered 1 to 4,294,967,295, not {}", block.0)]
    FirstBlock {
        /// The number given.
        block: Block,
    },
    /// A rule is out of bounds, or contradicts another.
    #[error(
        "the hyperparameters are not within their bounds: max_allowed_uids is 1 to {MAX_UIDS}, min_burn at most max_burn, \
         alpha_low at most alpha_high, burn_increase 100 or more, target_registrations_per_interval 1 or more, \
         bonds_moving_average at most 1,000,000"
    )]
    Hyperparameters,
    /// More neurons than the subnet has room for.
    #[error("{count} neurons do not fit: the subnet has room for {max_allowed_uids}")]
    TooManyNeurons {
        /// Neurons given.
        count: usize,
        /// Room there is.
        max_allowed_uids: u32,
    },
    /// Two neurons have one hotkey.
    #[error("neurons {first} and {second} have the same hotkey {hotkey}")]
    DuplicateHotkey {
        /// The hotkey.
        hotkey: Hotkey,
        /// Uid of the one.
        first: usize,
        /// Uid of the other.
        second: usize,
    },
    /// A row names a neuron that is not there.
    #[error("the {what} of uid {from} name uid {uid}, which no neuron has")]
    UnknownUid {
        /// Weights or bonds.
        what: &'static str,
        /// Whose.
        from: usize,
        /// The uid named.
        uid: Uid,
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
    /// A nomination of a hotkey that is no neuron's.
    #[error("coldkey {coldkey} nominates {hotkey}, which is the hotkey of no neuron")]
    UnknownNominee {
        /// The hotkey.
        hotkey: Hotkey,
        /// Who nominates it.
        coldkey: Coldkey,
    },
    /// Stakes and balances are more together than the chain can count.
    #[error("stakes and balances are more than {} rao in all", MAX_ISSUANCE.0)]
    TooManyCoins,
}
