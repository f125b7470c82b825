//! Transactions of the open block, and a memory of earlier transactions, so that a repeated one is answered without
//! being applied again.

use std::collections::{BTreeMap, VecDeque};

use mirror_identity::PublicKey;
use serde::{Deserialize, Serialize};

use crate::state_hash::CallHash;
use crate::{Block, Call, DispatchError, Nonce, Transaction, Weights};

/// Maximum size in memory of the transactions of a block, in bytes.
pub const POOL_BYTES: usize = 64 << 20;

/// Number of closed blocks whose transactions are remembered, including the last closed one.
pub const RECENT_TX_BLOCKS: u64 = 4_096;

/// Maximum number of transactions of closed blocks that are remembered.
pub const MAX_RECENT_TXS: usize = 131_072;

/// Size of a transaction without its data of variable length, in bytes.
const TRANSACTION_BYTES: usize = 128;

/// The answer to an accepted transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// The transaction was added now. It is applied when this block closes.
    Included {
        /// The open block.
        block: Block,
    },
    /// The same transaction was included earlier, so nothing was done.
    Repeated {
        /// The block that included it.
        block: Block,
    },
}

impl Submitted {
    /// Returns the block in which the transaction is or was applied.
    pub fn block(self) -> Block {
        match self {
            Self::Included { block } | Self::Repeated { block } => block,
        }
    }
}

/// The transactions of the open block, in the order in which they will be applied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(
    from = "BTreeMap<(PublicKey, Nonce), Call>",
    into = "BTreeMap<(PublicKey, Nonce), Call>"
)]
pub(crate) struct Pool {
    calls: BTreeMap<(PublicKey, Nonce), Call>,
    bytes: usize,
}

/// Recent transactions that were included in a block. A client repeats a transaction in flight within a few blocks, if
/// at all. (The last transaction of a key is remembered permanently, together with the nonce that the key has used.)
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(
    from = "Vec<((PublicKey, Nonce), Included)>",
    into = "Vec<((PublicKey, Nonce), Included)>"
)]
pub(crate) struct RecentTxs {
    included: BTreeMap<(PublicKey, Nonce), Included>,
    oldest_first: VecDeque<(PublicKey, Nonce)>,
}

/// The call that was included under a nonce, and its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Included {
    pub(crate) call: CallHash,
    pub(crate) block: Block,
}

impl Included {
    /// Returns the answer to a call that arrives under the same nonce.
    ///
    /// # Errors
    /// Returns [`DispatchError::Stale`] if the call is not the same.
    pub(crate) fn answer(self, call: &Call) -> Result<Submitted, DispatchError> {
        if self.call != CallHash::of(call) {
            return Err(DispatchError::Stale);
        }
        Ok(Submitted::Repeated { block: self.block })
    }
}

impl Pool {
    /// Returns the pending call with the signer and the nonce of a transaction.
    pub(crate) fn call(&self, transaction: &Transaction) -> Option<&Call> {
        self.calls.get(&(transaction.signer, transaction.nonce))
    }

    /// Adds a transaction that is not in the pool yet.
    ///
    /// # Errors
    /// Returns [`DispatchError::ExhaustsResources`] if the pool is full.
    pub(crate) fn take(&mut self, transaction: Transaction) -> Result<(), DispatchError> {
        let bytes = self.bytes + bytes(&transaction.call);
        if bytes > POOL_BYTES {
            return Err(DispatchError::ExhaustsResources);
        }
        self.bytes = bytes;
        self.calls
            .insert((transaction.signer, transaction.nonce), transaction.call);
        Ok(())
    }

    /// Removes and returns all transactions, in the order (signer, nonce).
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Transaction> + use<> {
        let pool = std::mem::take(self);
        pool.calls
            .into_iter()
            .map(|((signer, nonce), call)| Transaction { signer, nonce, call })
    }
}

fn bytes(call: &Call) -> usize {
    TRANSACTION_BYTES
        + match call {
            Call::SetWeights(weights) => weights_bytes(weights),
            Call::RevealWeights { weights, salt } => weights_bytes(weights) + size_of_val(&salt[..]),
            Call::SetHyperparameter { name, .. } => name.len(),
            Call::PublishMetadata { data } => data.len(),
            Call::Register { .. }
            | Call::BurnedRegister { .. }
            | Call::ServeAxon(_)
            | Call::ServePrometheus(_)
            | Call::CommitWeights(_)
            | Call::AddStake { .. }
            | Call::RemoveStake { .. }
            | Call::BecomeDelegate { .. }
            | Call::Transfer { .. }
            | Call::ForceSetBalance { .. }
            | Call::ForceRegister { .. } => 0,
        }
}

fn weights_bytes(Weights { uids, weights, .. }: &Weights) -> usize {
    size_of_val(&uids[..]) + size_of_val(&weights[..])
}

impl RecentTxs {
    /// Returns the included call with the signer and the nonce of a transaction.
    pub(crate) fn included(&self, transaction: &Transaction) -> Option<Included> {
        self.included
            .get(&(transaction.signer, transaction.nonce))
            .copied()
    }

    pub(crate) fn remember(&mut self, signer: PublicKey, nonce: Nonce, included: Included) {
        self.included.insert((signer, nonce), included);
        self.oldest_first.push_back((signer, nonce));
    }

    /// Removes the transactions that are no longer remembered, where `last` is the last closed block.
    pub(crate) fn forget(&mut self, last: Block) {
        let oldest = last.0.saturating_sub(RECENT_TX_BLOCKS - 1);
        while let Some(first) = self.oldest_first.front()
            && (self.oldest_first.len() > MAX_RECENT_TXS
                || self
                    .included
                    .get(first)
                    .is_none_or(|included| included.block.0 < oldest))
        {
            self.included.remove(first);
            self.oldest_first.pop_front();
        }
    }

    /// Returns all remembered transactions, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Nonce, &Included)> {
        let included = self
            .oldest_first
            .iter()
            .filter_map(|key| self.included.get_key_value(key));
        included.map(|((signer, nonce), included)| (signer, nonce, included))
    }
}

impl From<BTreeMap<(PublicKey, Nonce), Call>> for Pool {
    fn from(calls: BTreeMap<(PublicKey, Nonce), Call>) -> Self {
        Self {
            bytes: calls.values().map(bytes).sum(),
            calls,
        }
    }
}

impl From<Pool> for BTreeMap<(PublicKey, Nonce), Call> {
    fn from(pool: Pool) -> Self {
        pool.calls
    }
}

impl From<Vec<((PublicKey, Nonce), Included)>> for RecentTxs {
    fn from(oldest_first: Vec<((PublicKey, Nonce), Included)>) -> Self {
        Self {
            oldest_first: oldest_first.iter().map(|&(key, _)| key).collect(),
            included: oldest_first.into_iter().collect(),
        }
    }
}

impl From<RecentTxs> for Vec<((PublicKey, Nonce), Included)> {
    fn from(recent_txs: RecentTxs) -> Self {
        let included = recent_txs.iter();
        included
            .map(|(&signer, &nonce, &included)| ((signer, nonce), included))
            .collect()
    }
}
