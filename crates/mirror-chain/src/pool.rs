//! Transactions of the open block, and the memory of those before it that lets a repeated one be answered and not
//! done again.

use std::collections::{BTreeMap, VecDeque};

use mirror_identity::PublicKey;
use serde::{Deserialize, Serialize};

use crate::state_hash::CallHash;
use crate::{Block, Call, DispatchError, Nonce, Transaction, Weights};

/// Room of a block: what its transactions take in memory, bytes.
pub const POOL_BYTES: usize = 64 << 20;

/// Closed blocks whose transactions' answers are remembered, the last closed one included.
pub const RECENT_TX_BLOCKS: u64 = 4_096;

/// Most transactions of closed blocks whose answers are remembered.
pub const MAX_RECENT_TXS: usize = 131_072;

/// What a transaction takes beside what has no fixed length, bytes.
const TRANSACTION_BYTES: usize = 128;

/// The answer to a transaction that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// Taken now; it applies when this block closes.
    Included {
        /// The block that is open.
        block: Block,
    },
    /// The same transaction was taken before; nothing was done.
    Repeated {
        /// The block that was open then.
        block: Block,
    },
}

impl Submitted {
    /// The block in which it applies or has applied.
    pub fn block(self) -> Block {
        match self {
            Self::Included { block } | Self::Repeated { block } => block,
        }
    }
}

/// The transactions of the open block, in the order in which they will apply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(
    from = "BTreeMap<(PublicKey, Nonce), Call>",
    into = "BTreeMap<(PublicKey, Nonce), Call>"
)]
pub(crate) struct Pool {
    calls: BTreeMap<(PublicKey, Nonce), Call>,
    bytes: usize,
}

/// Which transactions were taken, as far back as is remembered: what a client has in flight comes again within few
/// blocks, if at all. (The last one of a key is known for ever, from what the key has used.)
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(
    from = "Vec<((PublicKey, Nonce), Included)>",
    into = "Vec<((PublicKey, Nonce), Included)>"
)]
pub(crate) struct RecentTxs {
    included: BTreeMap<(PublicKey, Nonce), Included>,
    oldest_first: VecDeque<(PublicKey, Nonce)>,
}

/// What was taken under a nonce, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Included {
    pub(crate) call: CallHash,
    pub(crate) block: Block,
}

impl Included {
    /// The answer to a call that arrives under the same nonce.
    ///
    /// # Errors
    /// [`DispatchError::Stale`] for another call.
    pub(crate) fn answer(self, call: &Call) -> Result<Submitted, DispatchError> {
        if self.call != CallHash::of(call) {
            return Err(DispatchError::Stale);
        }
        Ok(Submitted::Repeated { block: self.block })
    }
}

impl Pool {
    /// What waits under the signer and the nonce of a transaction.
    pub(crate) fn call(&self, transaction: &Transaction) -> Option<&Call> {
        self.calls.get(&(transaction.signer, transaction.nonce))
    }

    /// Takes a transaction that is not there yet.
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

    /// All of them, in the order (signer, nonce); the pool is empty after.
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
    /// What was taken under the signer and the nonce of a transaction.
    pub(crate) fn included(&self, transaction: &Transaction) -> Option<Included> {
        self.included
            .get(&(transaction.signer, transaction.nonce))
            .copied()
    }

    pub(crate) fn remember(&mut self, signer: PublicKey, nonce: Nonce, included: Included) {
        self.included.insert((signer, nonce), included);
        self.oldest_first.push_back((signer, nonce));
    }

    /// Lets go of what is not remembered any more when `last` is the last closed block.
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

    /// Oldest first.
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
