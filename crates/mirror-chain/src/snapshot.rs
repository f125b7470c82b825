//! A chain as bytes: the complete state that determines how it continues, so that it need not be rebuilt from its first
//! block. Earlier versions of the metagraph are not included.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::block_hash::BlockHashes;
use crate::metagraph::History;
use crate::past_accounts::PastAccounts;
use crate::pool::{Pool, RecentTxs};
use crate::state::State;
use crate::{Block, Chain, MAX_ISSUANCE, Metagraph, Neuron, Rao, Uid, Version};

/// The state that determines how a chain continues.
#[derive(Serialize, Deserialize)]
pub(crate) struct Contents<'chain> {
    closed: Block,
    version: Version,
    since: Block,
    state: Cow<'chain, State>,
    pool: Cow<'chain, Pool>,
    recent_txs: Cow<'chain, RecentTxs>,
    hashes: Cow<'chain, BlockHashes>,
}

/// The format of a snapshot.
#[derive(Serialize, Deserialize)]
struct Saved<'chain> {
    contents: Contents<'chain>,
    /// Hash of the state.
    hash: [u8; 32],
}

/// The reason why a chain cannot be restored from bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes have another format or are damaged.
    #[error("the snapshot cannot be decoded: it is damaged or was written by another version")]
    Malformed(#[from] postcard::Error),
    /// The bytes decode to a state that differs from the one that was written.
    #[error("the snapshot is damaged: the decoded state differs from the one that was written")]
    OtherState,
    /// The bytes decode to a state that no calls can produce.
    #[error("the snapshot contains an invalid state: {0}")]
    Unsound(&'static str),
}

impl Chain {
    /// Returns the chain as bytes, which can be read by the same version of the program.
    pub fn snapshot(&self) -> Vec<u8> {
        let contents = self.contents();
        let saved = Saved {
            hash: contents.hash().bytes(),
            contents,
        };
        postcard::to_stdvec(&saved).expect("writing to memory cannot fail, and every list has a known length")
    }

    pub(crate) fn contents(&self) -> Contents<'_> {
        // All fields are listed, so that a new field of the chain cannot be forgotten here.
        let Self {
            closed,
            history: _,
            state,
            pool,
            recent_txs,
            hashes,
            past_accounts: _,
        } = self;
        Contents {
            closed: *closed,
            version: self.metagraph().version,
            since: self.metagraph().since,
            state: Cow::Borrowed(state),
            pool: Cow::Borrowed(pool),
            recent_txs: Cow::Borrowed(recent_txs),
            hashes: Cow::Borrowed(hashes),
        }
    }

    /// Restores the chain from the bytes of [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// Returns [`SnapshotError`] if the bytes are damaged or from another version of the program, or if the state
    /// contradicts itself.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (saved, rest) = postcard::take_from_bytes::<Saved<'_>>(bytes)?;
        if !rest.is_empty() {
            return Err(SnapshotError::OtherState);
        }
        let Saved {
            contents: saved,
            hash,
        } = saved;
        let state = saved.state.into_owned();
        check(&state)?;
        if saved.since > saved.closed || saved.closed.0 == u64::MAX {
            return Err(SnapshotError::Unsound("the metagraph belongs to a future block"));
        }
        let version = Metagraph {
            version: saved.version,
            since: saved.since,
            hyperparameters: state.rules.clone(),
            neurons: state.neurons.clone(),
        };
        let chain = Self {
            closed: saved.closed,
            history: History::new(version, saved.since),
            state,
            pool: saved.pool.into_owned(),
            recent_txs: saved.recent_txs.into_owned(),
            hashes: saved.hashes.into_owned(),
            past_accounts: PastAccounts::new(saved.closed),
        };
        if chain.state_hash().bytes() != hash {
            return Err(SnapshotError::OtherState);
        }
        Ok(chain)
    }
}

/// Checks the invariants on which the rest of the chain relies.
fn check(state: &State) -> Result<(), SnapshotError> {
    let all = [
        (state.rules.is_sound(), "the hyperparameters are out of bounds"),
        (
            state.neurons.len() as u64 <= state.rules.max_allowed_uids.into(),
            "there are more neurons than max_allowed_uids",
        ),
        (uids_are_right(state), "uids and hotkeys do not match"),
        (
            state
                .neurons
                .iter()
                .all(|neuron| rows_are_right(neuron, state.neurons.len())),
            "weights or bonds contain a uid twice, or one that no neuron has",
        ),
        (
            state.neurons.iter().all(|neuron| stake_is_right(neuron, state)),
            "the stake of a neuron differs from the sum of its nominators' stakes",
        ),
        (
            coins_are_right(state),
            "balances and stakes do not match the issuance",
        ),
    ];
    match all.into_iter().find(|(right, _)| !right) {
        Some((_, wrong)) => Err(SnapshotError::Unsound(wrong)),
        None => Ok(()),
    }
}

fn uids_are_right(state: &State) -> bool {
    let hotkeys = state.neurons.iter().map(|neuron| neuron.hotkey);
    let uids = hotkeys.zip((0..=u16::MAX).map(Uid));
    state.uids.len() == state.neurons.len()
        && uids
            .into_iter()
            .all(|(hotkey, uid)| state.uids.get(&hotkey) == Some(&uid))
}

fn rows_are_right(neuron: &Arc<Neuron>, neurons: usize) -> bool {
    let weights: BTreeSet<_> = neuron.weights.iter().map(|weight| weight.uid).collect();
    let bonds: BTreeSet<_> = neuron.bonds.iter().map(|bond| bond.uid).collect();
    weights.len() == neuron.weights.len()
        && bonds.len() == neuron.bonds.len()
        && weights
            .last()
            .max(bonds.last())
            .is_none_or(|uid| uid.index() < neurons)
}

fn stake_is_right(neuron: &Arc<Neuron>, state: &State) -> bool {
    let sum: u128 = neuron
        .nominators
        .iter()
        .map(|(_, stake)| u128::from(stake.0))
        .sum();
    u128::from(neuron.stake.0) == sum
        && state
            .accounts
            .nominators(neuron.hotkey)
            .eq(neuron.nominators.iter().copied())
}

fn coins_are_right(state: &State) -> bool {
    let issuance = state.accounts.issuance();
    let wide = |rao: Rao| i128::from(rao.0);
    let held: i128 = (state.accounts.balances().values())
        .chain(state.accounts.stakes().values())
        .map(|&rao| wide(rao))
        .sum();
    let issued = wide(issuance.genesis) + wide(issuance.granted) + wide(issuance.minted)
        - wide(issuance.lapsed)
        - wide(issuance.burned);
    let countable = [
        issuance.minted,
        Rao(issuance.genesis.0.saturating_add(issuance.granted.0)),
    ];
    held + wide(issuance.pending) == issued
        && (0..=wide(MAX_ISSUANCE)).contains(&issued)
        && countable.into_iter().all(|coins| coins <= MAX_ISSUANCE)
}
