//! sr25519 signatures in the signing context of Substrate and the wallets of its chains.
//!
//! Signing needs no randomness from the operating system. The secret number of a signature is derived from the key and
//! the message, so the same key always produces the same signature for the same message.

use rand_core::{CryptoRng, RngCore};
use schnorrkel::context::attach_rng;

use crate::{PublicKey, SecretKey};

/// The signing context of Substrate.
const CONTEXT: &[u8] = b"substrate";

/// A signature of 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// A public key in the form that verifies signatures.
#[derive(Debug, Clone, Copy)]
pub struct VerifyingKey(schnorrkel::PublicKey);

/// The error returned when a signature was not made by the key for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid signature: it was not made by this key for this message")]
pub struct BadSignature;

impl SecretKey {
    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let transcript = schnorrkel::signing_context(CONTEXT).bytes(message);
        let signature = self.0.sign(attach_rng(transcript, NothingRandom));
        Signature(signature.to_bytes())
    }
}

impl PublicKey {
    /// Verifies that this key signed the message. Takes some tens of microseconds.
    ///
    /// # Errors
    /// Returns [`BadSignature`] if this key did not sign the message, is not a valid key, or if the signature is
    /// malformed.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        self.verifying_key()?.verify(message, signature)
    }

    /// Returns the key in the form that verifies signatures, whose calculation takes some microseconds.
    ///
    /// # Errors
    /// Returns [`BadSignature`] if the bytes are not a valid key, so no signature is its own.
    pub fn verifying_key(&self) -> Result<VerifyingKey, BadSignature> {
        let key = schnorrkel::PublicKey::from_bytes(&self.0);
        key.map(VerifyingKey).map_err(|_| BadSignature)
    }
}

impl VerifyingKey {
    /// Verifies that this key signed the message. Takes some tens of microseconds.
    ///
    /// # Errors
    /// Returns [`BadSignature`] if this key did not sign the message, or if the signature is malformed.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = schnorrkel::Signature::from_bytes(&signature.0).map_err(|_| BadSignature)?;
        self.0
            .verify_simple(CONTEXT, message, &signature)
            .map_err(|_| BadSignature)
    }
}

impl Signature {
    /// Creates a signature from its bytes. Any 64 bytes are accepted. Only [`PublicKey::verify`] shows whether they are
    /// valid.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Returns the 64 bytes.
    pub fn bytes(&self) -> [u8; 64] {
        self.0
    }
}

/// A random number generator that returns zeros. The secret number of a signature is then derived only from the message
/// and a secret part of the key.
struct NothingRandom;

impl CryptoRng for NothingRandom {}

impl RngCore for NothingRandom {
    fn next_u32(&mut self) -> u32 {
        0
    }

    fn next_u64(&mut self) -> u64 {
        0
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.fill(0);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        dest.fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mirror_seed::Seed;

    use super::*;
    use crate::Owner;

    fn key() -> SecretKey {
        SecretKey::hotkey(&Seed::root(7), Owner::Validator(0))
    }

    #[test]
    fn a_signature_is_valid_only_for_its_key_and_message() {
        let signature = key().sign(b"weights");
        assert_eq!(key().public().verify(b"weights", &signature), Ok(()));
        assert_eq!(key().public().verify(b"Weights", &signature), Err(BadSignature));
        let other = SecretKey::hotkey(&Seed::root(7), Owner::Validator(1));
        assert_eq!(other.public().verify(b"weights", &signature), Err(BadSignature));
        for bit in 0..64 * 8 {
            let mut bytes = signature.bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let altered = Signature::from_bytes(bytes);
            assert_eq!(key().public().verify(b"weights", &altered), Err(BadSignature));
        }
    }

    #[test]
    fn a_signature_of_substrate_is_accepted() {
        // The published test vector of schnorrkel's bindings to other languages.
        let bytes = |hex: &str| hex::decode(hex).expect("hexadecimal digits");
        let key = "46ebddef8cd9bb167dc30878d7113b7e168e6f0646beffd77d69d39bad76b47a";
        let key = PublicKey::from_hex(key).expect("a key");
        let signature = bytes(
            "4e172314444b8f820bb54c22e95076f220ed25373e5c178234aa6c211d292712\
             44b947e3ff3418ff6b45fd1df1140c8cbff69fc58ee6dc96df70936a2bb74b82",
        );
        let signature = Signature::from_bytes(signature.try_into().expect("64 bytes"));
        assert_eq!(key.verify(b"this is a message", &signature), Ok(()));
    }

    #[test]
    fn signing_is_deterministic_and_each_message_has_another_secret_number() {
        let half = |message: &[u8]| {
            let bytes = key().sign(message).bytes();
            assert_eq!(bytes, key().sign(message).bytes());
            bytes[..32].to_vec()
        };
        assert_ne!(half(b"one"), half(b"another"));
    }

    #[test]
    fn an_invalid_key_verifies_no_signature() {
        let signature = key().sign(b"weights");
        let no_key = PublicKey::from_bytes([255; 32]);
        assert_eq!(no_key.verify(b"weights", &signature), Err(BadSignature));
    }
}
