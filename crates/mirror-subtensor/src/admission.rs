//! The one gate that every transaction comes through: signed by the key that it speaks for, sound, and in its time.
//!
//! Signatures are checked once, when a transaction arrives. The log has what was admitted, without them.

use mirror_chain::{Block, DispatchError, RECENT_TX_BLOCKS, Transaction};
use mirror_proto::mirror::v1 as proto;
use mirror_subtensor_client::transaction::{self, VerificationError};

use crate::wire::{self, Malformed};

/// Most blocks in which a transaction may be taken: as long as it is known when it comes again.
const MAX_WINDOW: u64 = RECENT_TX_BLOCKS;

/// A transaction that has arrived and come through the gate.
pub(crate) struct SignedTx {
    /// As it was signed, which is what the log keeps.
    pub(crate) message: proto::Transaction,
    /// What it says.
    pub(crate) checked: CheckedTx,
}

/// A transaction that has come through the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedTx {
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
pub(crate) enum AdmissionError {
    #[error(transparent)]
    Unverified(#[from] VerificationError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Admits what has arrived. Takes as long as the check of a signature does.
pub(crate) fn admit(signed: &proto::SignedTransaction) -> Result<SignedTx, AdmissionError> {
    let message = transaction::verify(signed)?;
    let checked = check(&message)?;
    Ok(SignedTx { message, checked })
}

/// Admits what was admitted before, and comes from the log.
pub(crate) fn check(message: &proto::Transaction) -> Result<CheckedTx, Malformed> {
    Ok(CheckedTx {
        transaction: wire::transaction(message)?,
        window: Window::of(message)?,
    })
}

impl CheckedTx {
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
            Some(length) if length < MAX_WINDOW => Ok(Self {
                from: Block(from),
                until: Block(until),
            }),
            _ => Err(Malformed::Window { from, until }),
        }
    }
}
