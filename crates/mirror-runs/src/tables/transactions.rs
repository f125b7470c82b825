//! `transactions`: one row per transaction in a closed block.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{DispatchError, Record};

use super::{Row, address, columns};

columns! {
    /// The result of a transaction that the chain accepted. The transactions of a block take effect in this order,
    /// which is that of signers and nonces.
    pub struct TransactionRow {
        /// Block that accepted the transaction. The transaction took effect or was refused when the block closed.
        pub block: u64,
        /// The hotkey or coldkey that signed the transaction, as an ss58 address.
        pub signer: String,
        /// Nonce, which distinguishes the transactions of a signer.
        pub nonce: u64,
        /// Name of the call: `set_weights`.
        pub call: String,
        /// Short form of the call's arguments. Of many weights, only the first are listed, as `uid:weight`.
        pub arguments: String,
        /// Reason of the chain for which the transaction had no effect. `None` if it took effect.
        pub refusal: Option<String>,
    }
}

impl Row for TransactionRow {
    const TABLE: &'static str = "transactions";
    const ABOUT: &'static str = "one row per transaction in a closed block";
    const TIMING: &'static [&'static str] = &[];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        let Some(Kind::Transactions(closed)) = &record.kind else {
            return;
        };
        rows.extend(closed.transactions.iter().map(|transaction| Self {
            block: closed.block,
            signer: address(&transaction.signer),
            nonce: transaction.nonce,
            call: transaction.call.clone(),
            arguments: transaction.arguments.clone(),
            refusal: DispatchError::from_field(transaction.refusal).map(|error| error.to_string()),
        }));
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.block.cmp(&other.block))
            .then_with(|| self.signer.cmp(&other.signer))
            .then_with(|| self.nonce.cmp(&other.nonce))
    }

    fn identity(&self) -> String {
        format!(
            "block {}, {} of {}, nonce {}",
            self.block, self.call, self.signer, self.nonce
        )
    }
}
