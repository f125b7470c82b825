//! `transactions`: one row a transaction that a block closed with.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{DispatchError, Record};

use super::{Row, address, columns};

columns! {
    /// What became of a transaction that the chain took. Within a block they had their effects in this order, that of
    /// signers and nonces.
    pub struct TransactionRow {
        /// block that took it, and with whose closing it had its effect or was refused
        pub block: u64,
        /// the key that it spoke for, a hotkey or a coldkey, an ss58 address
        pub signer: String,
        /// tells the signer's transactions apart
        pub nonce: u64,
        /// what it asked for, by the call's name: `set_weights`
        pub call: String,
        /// the call's arguments in short, of many weights the first as `uid:weight`
        pub arguments: String,
        /// the chain's own word when it had no effect
        pub refusal: Option<String>,
    }
}

impl Row for TransactionRow {
    const TABLE: &'static str = "transactions";
    const ABOUT: &'static str = "one row a transaction that a block closed with";
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
