//! Signing of transactions by clients, and verification by the chain's node.
//!
//! The signature covers the bytes of the encoded transaction: signer, nonce, mortality window and call. The bytes are
//! sent as they were signed, so the signature does not depend on how another program would encode the same message.

use mirror_identity::{PublicKey, SecretKey, Signature};
use mirror_proto::mirror::v1::{SignedTransaction, Transaction, transaction};
use prost::Message;

/// Number of blocks after the given one in which a call signed here may be included.
const WINDOW: u64 = 1_024;

/// A signed transaction that does not pass verification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    /// The signed bytes are not a transaction.
    #[error("the signed bytes are not a transaction")]
    Undecodable(#[source] prost::DecodeError),
    /// The signature does not match the signer and these bytes, or the signature or the signer's key is malformed.
    #[error("the transaction does not have a valid signature of its signer")]
    BadSignature,
}

/// Signs `call` with `key`. The call may be included in the 1,024 blocks after `block`, a closed block.
pub fn sign_call(key: &SecretKey, nonce: u64, block: u64, call: transaction::Call) -> SignedTransaction {
    let transaction = Transaction {
        signer: key.public().bytes().to_vec(),
        nonce,
        from_block: block,
        until_block: block.saturating_add(WINDOW),
        call: Some(call),
    };
    sign(key, &transaction)
}

/// Signs `transaction` with `key`, whether or not `key` is the transaction's signer.
pub fn sign(key: &SecretKey, transaction: &Transaction) -> SignedTransaction {
    let transaction = transaction.encode_to_vec();
    SignedTransaction {
        signature: key.sign(&transaction).bytes().to_vec(),
        transaction,
    }
}

/// Verifies the signature and returns the transaction. This takes tens of microseconds.
///
/// # Errors
/// Returns [`VerificationError`] if the bytes are not a transaction or its signer did not sign them.
pub fn verify(signed: &SignedTransaction) -> Result<Transaction, VerificationError> {
    let bytes = &signed.transaction[..];
    let transaction = Transaction::decode(bytes).map_err(VerificationError::Undecodable)?;
    let bad_signature = || VerificationError::BadSignature;
    let key = PublicKey::try_from(&transaction.signer[..]).map_err(|_| bad_signature())?;
    let signature = signed.signature[..].try_into().map_err(|_| bad_signature())?;
    let verified = key.verify(bytes, &Signature::from_bytes(signature));
    verified.map_err(|_| bad_signature())?;
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
        sign_call(&key(0), 3, 70, transaction::Call::SetHyperparameter(tempo))
    }

    #[test]
    fn a_signed_call_is_verified_with_all_fields() {
        let verified = verify(&signed()).expect("the signer signed it");
        assert_eq!(verified.signer, key(0).public().bytes());
        assert_eq!(
            (verified.nonce, verified.from_block, verified.until_block),
            (3, 70, 1_094)
        );
    }

    #[test]
    fn an_altered_transaction_is_not_verified() {
        let signed = signed();
        for position in 0..signed.transaction.len() {
            let mut altered = signed.clone();
            altered.transaction[position] ^= 1;
            assert!(verify(&altered).is_err());
        }
        let by_another = sign(&key(1), &verify(&signed).expect("the signer signed it"));
        assert_eq!(verify(&by_another), Err(VerificationError::BadSignature));
        for length in [0, 63, 65, 1 << 20] {
            let malformed = SignedTransaction {
                signature: vec![1; length],
                ..signed.clone()
            };
            assert_eq!(verify(&malformed), Err(VerificationError::BadSignature));
        }
    }
}
