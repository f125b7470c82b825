//! The one gate that every transaction comes through: signed by the key that it speaks for, sound, and in its time.
//!
//! Signatures are checked once, when a transaction arrives. The log has what was admitted, without them.

use mirror_chain::{Block, DispatchError, REMEMBERED_BLOCKS, Transaction};
use mirror_proto::mirror::v1 as proto;
use mirror_subtensor_client::transaction::{self, VerificationError};

use crate::wire::{self, Malformed};

/// Most blocks in which a transaction may be taken: as long as it is known when it comes again.
const LONGEST_WINDOW: u64 = REMEMBERED_BLOCKS;

/// A transaction that has arrived and come through the gate.
pub(crate) struct Arrived {
    /// As it was signed, which is what the log keeps.
    pub(crate) message: proto::Transaction,
    /// What it says.
    pub(crate) admitted: Admitted,
}

/// A transaction that has come through the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admitted {
    transaction: Transaction,
    window: Window,
}

/// The blocks in which a transaction may be taken, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    from: Block,
    until: Block,
}

/// Why a transaction does not come through.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Turned {
    #[error(transparent)]
    Unverified(#[from] VerificationError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Admits what has arrived. Takes as long as the check of a signature does.
pub(crate) fn admit(signed: &proto::SignedTransaction) -> Result<Arrived, Turned> {
    let message = transaction::verify(signed)?;
    let admitted = admit_again(&message)?;
    Ok(Arrived { message, admitted })
}

/// Admits what was admitted before, and comes from the log.
pub(crate) fn admit_again(message: &proto::Transaction) -> Result<Admitted, Malformed> {
    Ok(Admitted {
        transaction: wire::transaction(message)?,
        window: Window::of(message)?,
    })
}

impl Admitted {
    /// What it asks of the chain while `open` is the block that takes transactions.
    ///
    /// # Errors
    /// [`DispatchError::Future`] and [`DispatchError::AncientBirthBlock`], before and after its time.
    pub(crate) fn at(self, open: Block) -> Result<Transaction, DispatchError> {
        if open < self.window.from {
            return Err(DispatchError::Future);
        }
        if open > self.window.until {
            return Err(DispatchError::AncientBirthBlock);
        }
        Ok(self.transaction)
    }
}

impl Window {
    fn of(message: &proto::Transaction) -> Result<Self, Malformed> {
        let (from, until) = (message.from_block, message.until_block);
        match until.checked_sub(from) {
            Some(length) if length < LONGEST_WINDOW => Ok(Self {
                from: Block(from),
                until: Block(until),
            }),
            _ => Err(Malformed::Window { from, until }),
        }
    }
}
