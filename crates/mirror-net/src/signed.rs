//! Transactions under the signature of the key that they speak for: made here by whoever asks something of the chain, and
//! checked here by its node.
//!
//! What is signed is the transaction as it travels, to the byte: signer, nonce, block window and call. So nothing hangs on
//! how a message is encoded, and any client can sign that has sr25519 and protobuf.

use mirror_identity::{PublicKey, SecretKey, Signature};
use mirror_proto::mirror::v1::{SignedTransaction, Transaction, transaction};
use prost::Message;

/// Blocks in which what is signed here may be taken.
const WINDOW: u64 = 1_024;

/// What is not a transaction signed by the key that it speaks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// Bytes that say nothing.
    #[error("the signed bytes are no transaction")]
    NoTransaction(#[source] prost::DecodeError),
    /// Not the signer's signature over these bytes.
    #[error("the transaction is not signed by the key that it speaks for")]
    BadProof,
}

/// A call in the name of `key`, for a time from `block` on, the last block that is known to have closed.
pub fn sign(key: &SecretKey, nonce: u64, block: u64, call: transaction::Call) -> SignedTransaction {
    let transaction = Transaction {
        signer: key.public().bytes().to_vec(),
        nonce,
        from_block: block,
        until_block: block.saturating_add(WINDOW),
        call: Some(call),
    };
    seal(key, &transaction)
}

/// A transaction under the signature of `key`.
pub fn seal(key: &SecretKey, transaction: &Transaction) -> SignedTransaction {
    let transaction = transaction.encode_to_vec();
    SignedTransaction {
        signature: key.sign(&transaction).bytes().to_vec(),
        transaction,
    }
}

/// The transaction that was signed. Takes as long as the check of a signature does, tens of microseconds.
///
/// # Errors
/// [`Unsigned`], when any key but the transaction's signer has signed it, or nobody.
pub fn open(signed: &SignedTransaction) -> Result<Transaction, Unsigned> {
    let bytes = &signed.transaction[..];
    let transaction = Transaction::decode(bytes).map_err(Unsigned::NoTransaction)?;
    let key = PublicKey::try_from(&transaction.signer[..]).map_err(|_| Unsigned::BadProof)?;
    let signature = signed.signature[..].try_into().map_err(|_| Unsigned::BadProof)?;
    let checked = key.verify(bytes, &Signature::from_bytes(signature));
    checked.map_err(|_| Unsigned::BadProof)?;
    Ok(transaction)
}

#[cfg(test)]
mod tests {
    use mirror_identity::Owner;
    use mirror_proto::mirror::v1::SetHyperparameter;
    use mirror_seed::Seed;

    use super::*;

    fn key(index: u32) -> SecretKey {
        SecretKey::hotkey(&Seed::root(7), Owner::Validator(index))
    }

    fn signed() -> SignedTransaction {
        let tempo = SetHyperparameter {
            name: "tempo".to_owned(),
            value: 9,
        };
        sign(&key(0), 3, 70, transaction::Call::SetHyperparameter(tempo))
    }

    #[test]
    fn what_is_signed_is_all_of_a_transaction() {
        let opened = open(&signed()).expect("it is signed by its signer");
        assert_eq!(opened.signer, key(0).public().bytes());
        assert_eq!(
            (opened.nonce, opened.from_block, opened.until_block),
            (3, 70, 1_094)
        );
    }

    #[test]
    fn nothing_of_it_can_be_altered() {
        let signed = signed();
        for position in 0..signed.transaction.len() {
            let mut altered = signed.clone();
            altered.transaction[position] ^= 1;
            assert!(open(&altered).is_err());
        }
        let by_another = seal(&key(1), &open(&signed).expect("it is signed by its signer"));
        assert_eq!(open(&by_another), Err(Unsigned::BadProof));
        for length in [0, 63, 65, 1 << 20] {
            let cut = SignedTransaction {
                signature: vec![1; length],
                ..signed.clone()
            };
            assert_eq!(open(&cut), Err(Unsigned::BadProof));
        }
    }
}
