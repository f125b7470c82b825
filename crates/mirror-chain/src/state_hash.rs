//! A hash of the complete state, for comparing two chains in different places.

use std::fmt;

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use serde::{Deserialize, Serialize};

use crate::snapshot::Contents;
use crate::{Call, Chain};

/// BLAKE2b-256 of the state that determines how a chain continues: neurons, rules, accounts, nonces, the open block,
/// and the remembered transactions. Earlier versions of the metagraph are not included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StateHash([u8; 32]);

impl StateHash {
    /// Returns the bytes.
    pub fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateHash({self})")
    }
}

/// BLAKE2b-256 of a call, which shows whether a nonce is used again for the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallHash(pub(crate) [u8; 32]);

impl CallHash {
    pub(crate) fn of(call: &Call) -> Self {
        Self(hash(call))
    }
}

impl Chain {
    /// Returns the hash of the state. The computation takes time in proportion to the size of the state.
    pub fn state_hash(&self) -> StateHash {
        self.contents().hash()
    }
}

impl Contents<'_> {
    pub(crate) fn hash(&self) -> StateHash {
        StateHash(hash(self))
    }
}

/// Returns the BLAKE2b-256 hash of a value in postcard encoding.
fn hash(value: &impl Serialize) -> [u8; 32] {
    let hasher = postcard::to_io(value, Blake2b::<U32>::new());
    let hasher = hasher.expect("writing to a hash cannot fail, and every list has a known length");
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_hash::BlockHash;
    use crate::{Block, Genesis, Hyperparameters, Nonce, Rao, Transaction};
    use mirror_identity::PublicKey;

    type Change = fn(&mut Chain);

    fn chain() -> Chain {
        Chain::genesis(Genesis::empty(Hyperparameters::SMALL))
            .expect("the genesis of an empty subnet is valid")
    }

    #[test]
    fn the_state_hash_covers_every_part_of_the_state() {
        let changes: [(&str, Change); 6] = [
            ("the last block", |chain| chain.closed = Block(chain.closed.0 + 1)),
            ("a rule", |chain| chain.state.rules.tempo += 1),
            ("a counter", |chain| chain.state.epochs += 1),
            ("the block of the last epoch", |chain| {
                chain.state.last_epoch = Some(Block(0));
            }),
            ("a block's hash", |chain| chain.hashes.push(BlockHash([0; 32]))),
            ("the open block", |chain| {
                let call = Call::AddStake {
                    hotkey: PublicKey::from_bytes([1; 32]),
                    amount: Rao(1),
                };
                let transaction = Transaction {
                    signer: PublicKey::from_bytes([2; 32]),
                    nonce: Nonce(1),
                    call,
                };
                chain.pool.take(transaction).expect("the pool has room");
            }),
        ];
        let unchanged = chain().state_hash();
        assert_eq!(chain().state_hash(), unchanged);
        for (what, change) in changes {
            let mut chain = chain();
            change(&mut chain);
            assert_ne!(chain.state_hash(), unchanged, "{what}");
        }
    }
}
