//! A chain as bytes: all that decides how it goes on, so that it need not be made again from its first block. Earlier
//! versions of the metagraph are not in it.

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

/// All that decides how a chain goes on.
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

/// What is written.
#[derive(Serialize, Deserialize)]
struct Saved<'chain> {
    contents: Contents<'chain>,
    /// Of the chain that it was.
    hash: [u8; 32],
}

/// Bytes that are no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They are of another form, or damaged.
    #[error("it does not read as a chain's state")]
    Malformed(#[from] postcard::Error),
    /// They read as a chain, which is not the one that was written.
    #[error("it reads as another state than was written")]
    OtherState,
    /// They read as a chain that no calls lead to.
    #[error("it is a state that no chain comes to: {0}")]
    Unsound(&'static str),
}

impl Chain {
    /// The chain as bytes; this version of the program reads them.
    pub fn snapshot(&self) -> Vec<u8> {
        let contents = self.contents();
        let saved = Saved {
            hash: contents.hash().bytes(),
            contents,
        };
        postcard::to_stdvec(&saved).expect("memory takes all, and every list knows its length")
    }

    pub(crate) fn contents(&self) -> Contents<'_> {
        // All are named, so that a field that comes to the chain is not forgotten here.
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

    /// The chain that [`snapshot`](Self::snapshot) wrote.
    ///
    /// # Errors
    /// Bytes of another version of the program, damaged ones, and a state that contradicts itself.
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
            return Err(SnapshotError::Unsound("its metagraph is of a block to come"));
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

/// What the rest of the chain relies on.
fn check(state: &State) -> Result<(), SnapshotError> {
    let all = [
        (state.rules.is_sound(), "its hyperparameters are out of bounds"),
        (
            state.neurons.len() as u64 <= state.rules.max_allowed_uids.into(),
            "it has more neurons than the subnet has room for",
        ),
        (uids_are_right(state), "uids and hotkeys do not belong together"),
        (
            state
                .neurons
                .iter()
                .all(|neuron| rows_are_right(neuron, state.neurons.len())),
            "weights or bonds name a uid twice, or one that no neuron has",
        ),
        (
            state.neurons.iter().all(|neuron| stake_is_right(neuron, state)),
            "a neuron has another stake than its nominators",
        ),
        (coins_are_right(state), "coins were made or lost"),
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
