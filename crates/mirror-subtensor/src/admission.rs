//! Admission of transactions: every transaction must be signed by its signer's key, well-formed and within its
//! mortality window.
//!
//! A signature is checked once, when the transaction arrives. The log stores admitted transactions without signatures.

use mirror_chain::{Block, DispatchError, RECENT_TX_BLOCKS, Transaction};
use mirror_proto::mirror::v1 as proto;
use mirror_subtensor_client::transaction::{self, VerificationError};

use crate::wire::{self, Malformed};

/// Maximum length of a mortality window in blocks: the number of blocks for which the chain recognises a repeated
/// transaction.
const MAX_WINDOW: u64 = RECENT_TX_BLOCKS;

/// A transaction whose signature was verified.
pub(crate) struct SignedTx {
    /// The signed message, which the log stores.
    pub(crate) message: proto::Transaction,
    /// The decoded transaction.
    pub(crate) checked: CheckedTx,
}

/// A well-formed transaction with its mortality window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedTx {
    transaction: Transaction,
    window: Window,
}

/// The blocks in which a transaction may be included, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    from: Block,
    until: Block,
}

/// Reason for which a transaction is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum AdmissionError {
    #[error(transparent)]
    Unverified(#[from] VerificationError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Verifies the signature of a transaction and checks its form. Verification is slow, so it must run on a blocking
/// thread.
pub(crate) fn admit(signed: &proto::SignedTransaction) -> Result<SignedTx, AdmissionError> {
    let message = transaction::verify(signed)?;
    let checked = check(&message)?;
    Ok(SignedTx { message, checked })
}

/// Checks the form of a transaction without its signature, for a transaction from the log.
pub(crate) fn check(message: &proto::Transaction) -> Result<CheckedTx, Malformed> {
    Ok(CheckedTx {
        transaction: wire::transaction(message)?,
        window: Window::of(message)?,
    })
}

impl CheckedTx {
    /// Returns the transaction if `open`, the block that takes transactions, is within the window.
    ///
    /// # Errors
    /// Returns [`DispatchError::Future`] before the window and [`DispatchError::AncientBirthBlock`] after it.
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
