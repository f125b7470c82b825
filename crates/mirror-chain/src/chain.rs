//! The state machine: transactions go into the open block, and closing it applies them.

use std::collections::BTreeMap;
use std::sync::Arc;

use mirror_identity::{Coldkey, Hotkey};

use crate::incentive::incentive;
use crate::metagraph::History;
use crate::pool::{Pool, Remembered};
use crate::weights::{Setter, check_lengths, checked_row};
use crate::{
    Axon, Block, Call, Genesis, GenesisError, GenesisNeuron, MAX_UIDS, Metagraph, Neuron, Nomination, Nonce,
    NotHeld, Rao, Refusal, Submitted, Transaction, Uid, Version,
};

/// The chain of one subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub(crate) netuid: u16,
    /// The last closed block.
    pub(crate) closed: Block,
    pub(crate) history: History,
    pub(crate) uids: BTreeMap<Hotkey, Uid>,
    pub(crate) stake: BTreeMap<(Hotkey, Coldkey), Rao>,
    /// The highest nonce that applied, by uid.
    pub(crate) spent: Vec<Option<Nonce>>,
    pub(crate) pool: Pool,
    pub(crate) remembered: Remembered,
}

/// A block that has just closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedBlock {
    /// Its number.
    pub block: Block,
    /// Its transactions, in the order (hotkey, nonce).
    pub applied: Vec<Applied>,
    /// Whether the metagraph has a new version.
    pub metagraph_changed: bool,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Whom it spoke for.
    pub hotkey: Hotkey,
    /// Which of the hotkey's it was.
    pub nonce: Nonce,
    /// Whether it took effect, or why not.
    pub outcome: Result<(), Refusal>,
}

/// The neurons while a block closes.
struct Closing<'chain> {
    block: Block,
    before: Arc<Metagraph>,
    /// By uid.
    neurons: Vec<Arc<Neuron>>,
    uids: &'chain mut BTreeMap<Hotkey, Uid>,
}

impl Chain {
    /// The chain before its first block. Its metagraph has version 1 and is that of the block before the first.
    pub fn genesis(genesis: Genesis) -> Result<Self, GenesisError> {
        let Genesis {
            netuid,
            first_block,
            hyperparameters,
            neurons,
            nominations,
        } = genesis;
        let closed = match first_block.0 {
            1..=0xFFFF_FFFF => Block(first_block.0 - 1),
            _ => return Err(GenesisError::FirstBlock { block: first_block }),
        };
        let max_uids = hyperparameters.max_uids;
        if !(1..=MAX_UIDS).contains(&max_uids) {
            return Err(GenesisError::MaxUids { max_uids });
        }
        if neurons.len() as u64 > max_uids.into() {
            return Err(GenesisError::TooManyNeurons {
                count: neurons.len(),
                max_uids,
            });
        }
        let uids = uids_of(&neurons)?;
        let (stake, totals) = stakes_of(&neurons, &nominations, &uids)?;
        let spent = vec![None; neurons.len()];
        let neurons = neurons.into_iter().zip(totals).map(|(neuron, total)| {
            let registered = registered(neuron.hotkey, neuron.coldkey, closed);
            Arc::new(Neuron {
                stake: total,
                validator_permit: neuron.validator_permit,
                ..registered
            })
        });
        let history = History::new(Metagraph {
            version: Version(1),
            since: closed,
            hyperparameters,
            neurons: neurons.collect(),
        });
        Ok(Self {
            netuid,
            closed,
            history,
            uids,
            stake,
            spent,
            pool: Pool::default(),
            remembered: Remembered::default(),
        })
    }

    /// Takes a transaction into the open block. The same hotkey and nonce again change nothing and are answered with the
    /// block they were taken in before.
    ///
    /// # Errors
    /// [`Refusal::Stale`] for a nonce not above those of the hotkey's closed blocks whose answer is no longer
    /// remembered, [`Refusal::ExhaustsResources`] for a full block. All other refusals come with the block's closing.
    pub fn submit(&mut self, transaction: Transaction) -> Result<Submitted, Refusal> {
        if self.pool.contains(&transaction) {
            return Ok(Submitted::Repeated {
                block: self.open_block(),
            });
        }
        if let Some(block) = self.remembered.block(&transaction) {
            return Ok(Submitted::Repeated { block });
        }
        if self.spent_nonce(&transaction.hotkey) >= Some(transaction.nonce) {
            return Err(Refusal::Stale);
        }
        self.pool.take(transaction)?;
        Ok(Submitted::Taken {
            block: self.open_block(),
        })
    }

    /// Closes the open block: applies its transactions in the order (hotkey, nonce), then runs the epoch if one is due.
    pub fn close_block(&mut self) -> ClosedBlock {
        let block = self.open_block();
        let before = Arc::clone(self.history.newest());
        self.closed = block;
        self.history.forget(block);
        let epoch_is_due = epoch_is_due(block, self.netuid, before.hyperparameters.tempo);
        if self.pool.is_empty() && !epoch_is_due {
            return ClosedBlock {
                block,
                applied: Vec::new(),
                metagraph_changed: false,
            };
        }
        let mut closing = Closing {
            block,
            neurons: before.neurons.clone(),
            before,
            uids: &mut self.uids,
        };
        let mut applied = Vec::new();
        for Transaction { hotkey, nonce, call } in self.pool.drain() {
            let outcome = closing.apply(hotkey, call);
            self.remembered.remember(hotkey, nonce, block);
            self.spent.resize(closing.neurons.len(), None);
            if let Some(uid) = closing.uids.get(&hotkey) {
                self.spent[uid.index()] = Some(nonce);
            }
            applied.push(Applied {
                hotkey,
                nonce,
                outcome,
            });
        }
        if epoch_is_due {
            closing.run_epoch();
        }
        let changed = closing.changed();
        let metagraph_changed = changed.is_some();
        if let Some(version) = changed {
            self.history.push(version);
        }
        ClosedBlock {
            block,
            applied,
            metagraph_changed,
        }
    }

    /// The last closed block; before the first, the one before it.
    pub fn block(&self) -> Block {
        self.closed
    }

    /// The block that takes transactions now.
    pub fn open_block(&self) -> Block {
        self.closed.next()
    }

    /// The metagraph as of the last closed block.
    pub fn metagraph(&self) -> &Arc<Metagraph> {
        self.history.newest()
    }

    /// The metagraph as of an earlier block, one of the last [`HISTORY_BLOCKS`](crate::HISTORY_BLOCKS).
    pub fn metagraph_at(&self, block: Block) -> Result<&Arc<Metagraph>, NotHeld> {
        self.history.at(block, self.closed)
    }

    /// The uid of a hotkey.
    pub fn uid(&self, hotkey: &Hotkey) -> Option<Uid> {
        self.uids.get(hotkey).copied()
    }

    /// Whose stake a hotkey has, its owner's among them, and how much; in the order of coldkeys.
    pub fn nominators(&self, hotkey: &Hotkey) -> impl Iterator<Item = (Coldkey, Rao)> {
        let first = (*hotkey, Coldkey::from_bytes([0; 32]));
        let last = (*hotkey, Coldkey::from_bytes([u8::MAX; 32]));
        self.stake
            .range(first..=last)
            .map(|((_, coldkey), &stake)| (*coldkey, stake))
    }

    fn spent_nonce(&self, hotkey: &Hotkey) -> Option<Nonce> {
        *self.spent.get(self.uid(hotkey)?.index())?
    }
}

impl Closing<'_> {
    fn apply(&mut self, hotkey: Hotkey, call: Call) -> Result<(), Refusal> {
        match call {
            Call::Register { coldkey } => self.register(hotkey, coldkey),
            Call::ServeAxon(axon) => self.serve_axon(&hotkey, axon),
            Call::SetWeights {
                uids,
                weights,
                version_key,
            } => self.set_weights(&hotkey, &uids, &weights, version_key),
        }
    }

    fn register(&mut self, hotkey: Hotkey, coldkey: Coldkey) -> Result<(), Refusal> {
        if self.uids.contains_key(&hotkey) {
            return Err(Refusal::AlreadyRegistered);
        }
        if self.neurons.len() as u64 >= self.before.hyperparameters.max_uids.into() {
            return Err(Refusal::NoNeuronIdAvailable);
        }
        let uid = u16::try_from(self.neurons.len())
            .expect("there are fewer neurons than max_uids, which is at most 65,536");
        self.uids.insert(hotkey, Uid(uid));
        self.neurons
            .push(Arc::new(registered(hotkey, coldkey, self.block)));
        Ok(())
    }

    fn serve_axon(&mut self, hotkey: &Hotkey, axon: Axon) -> Result<(), Refusal> {
        let neuron = self.neuron_mut(hotkey)?;
        if axon.ip.is_unspecified() || axon.ip.is_multicast() {
            return Err(Refusal::InvalidIpAddress);
        }
        if neuron.axon != Some(axon) {
            Arc::make_mut(neuron).axon = Some(axon);
        }
        Ok(())
    }

    fn set_weights(
        &mut self,
        hotkey: &Hotkey,
        uids: &[Uid],
        weights: &[u16],
        version_key: u64,
    ) -> Result<(), Refusal> {
        let neurons = self.neurons.len();
        check_lengths(uids, weights, neurons)?;
        let uid = *self.uids.get(hotkey).ok_or(Refusal::NotRegistered)?;
        let block = self.block;
        let before = Arc::clone(&self.before);
        let neuron = self.neuron_mut(hotkey)?;
        let setter = Setter {
            uid,
            validator_permit: neuron.validator_permit,
            last_update: neuron.last_update,
            block,
        };
        let row = checked_row(
            uids,
            weights,
            version_key,
            &setter,
            neurons,
            &before.hyperparameters,
        )?;
        let neuron = Arc::make_mut(neuron);
        neuron.weights = row.into();
        neuron.last_update = block;
        Ok(())
    }

    fn run_epoch(&mut self) {
        let incentives = incentive(&self.neurons);
        for (neuron, incentive) in self.neurons.iter_mut().zip(incentives) {
            if neuron.incentive != incentive {
                Arc::make_mut(neuron).incentive = incentive;
            }
        }
    }

    fn neuron_mut(&mut self, hotkey: &Hotkey) -> Result<&mut Arc<Neuron>, Refusal> {
        let uid = self.uids.get(hotkey).ok_or(Refusal::NotRegistered)?;
        self.neurons.get_mut(uid.index()).ok_or(Refusal::NotRegistered)
    }

    /// The next version of the metagraph, if anything is not as it was.
    fn changed(self) -> Option<Metagraph> {
        // Neurons that nobody touched are the same allocation, which makes this cheap.
        (self.neurons != self.before.neurons).then(|| Metagraph {
            version: self.before.version.next(),
            since: self.block,
            hyperparameters: self.before.hyperparameters.clone(),
            neurons: self.neurons,
        })
    }
}

/// Epochs fall on blocks as they do on the real chain: each `tempo + 1` blocks, shifted by the number of the subnet.
fn epoch_is_due(block: Block, netuid: u16, tempo: u64) -> bool {
    tempo != 0 && (block.0 + u64::from(netuid) + 1).is_multiple_of(tempo.saturating_add(1))
}

fn registered(hotkey: Hotkey, coldkey: Coldkey, block: Block) -> Neuron {
    Neuron {
        hotkey,
        coldkey,
        stake: Rao(0),
        axon: None,
        validator_permit: false,
        last_update: block,
        block_at_registration: block,
        incentive: 0,
        weights: Arc::new([]),
    }
}

fn uids_of(neurons: &[GenesisNeuron]) -> Result<BTreeMap<Hotkey, Uid>, GenesisError> {
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

type Stakes = BTreeMap<(Hotkey, Coldkey), Rao>;

/// The stake by hotkey and coldkey, without what is 0, and the total by uid.
fn stakes_of(
    neurons: &[GenesisNeuron],
    nominations: &[Nomination],
    uids: &BTreeMap<Hotkey, Uid>,
) -> Result<(Stakes, Vec<Rao>), GenesisError> {
    let own = neurons
        .iter()
        .map(|neuron| (neuron.hotkey, neuron.coldkey, neuron.stake));
    let given = nominations
        .iter()
        .map(|nomination| (nomination.hotkey, nomination.coldkey, nomination.stake));
    let mut stakes = Stakes::new();
    let mut totals = vec![Rao(0); neurons.len()];
    for (hotkey, coldkey, Rao(amount)) in own.chain(given) {
        let total = uids.get(&hotkey).and_then(|uid| totals.get_mut(uid.index()));
        let total = total.ok_or(GenesisError::UnknownNominee { hotkey, coldkey })?;
        total.0 = total
            .0
            .checked_add(amount)
            .ok_or(GenesisError::StakeOverflow { hotkey })?;
        if amount > 0 {
            // A part of the total, which did not overflow.
            stakes.entry((hotkey, coldkey)).or_default().0 += amount;
        }
    }
    Ok((stakes, totals))
}
