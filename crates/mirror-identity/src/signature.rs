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
        let signature = self.0.sign(attach_rng(transcript, NOTHING_RANDOM));
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
    /// Returns the 32 bytes of the public key.
    pub fn bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

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

/// Verifies that each key signed its message. The results have the order of the signatures.
///
/// Valid signatures are verified together, which takes about half the time of [`VerifyingKey::verify`] for 16 of
/// different keys and a third for 16 of one key, if those of one key follow each other. If one is not valid, each is
/// verified again alone. `random` is 32 random bytes that no signer can predict. With known bytes, the errors of two
/// signatures could be chosen to cancel each other.
pub fn verify_all(
    signatures: &[(VerifyingKey, &[u8], Signature)],
    random: [u8; 32],
) -> Vec<Result<(), BadSignature>> {
    if signatures.len() > 1 && are_valid(signatures, random) {
        return vec![Ok(()); signatures.len()];
    }
    signatures
        .iter()
        .map(|(key, message, signature)| key.verify(message, signature))
        .collect()
}

fn are_valid(signatures: &[(VerifyingKey, &[u8], Signature)], random: [u8; 32]) -> bool {
    let parsed: Result<Vec<_>, _> = signatures
        .iter()
        .map(|(_, _, signature)| schnorrkel::Signature::from_bytes(&signature.0))
        .collect();
    let keys: Vec<_> = signatures.iter().map(|(key, _, _)| key.0).collect();
    let context = schnorrkel::signing_context(CONTEXT);
    let messages = signatures.iter().map(|(_, message, _)| context.bytes(message));
    // Sums the terms of neighbours with one key.
    let is_deduplicated = true;
    parsed.is_ok_and(|parsed| {
        schnorrkel::verify_batch_rng(messages, &parsed, &keys, is_deduplicated, Fixed(random)).is_ok()
    })
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

/// Random bytes that were drawn before, which repeat.
struct Fixed([u8; 32]);

/// With zeros in place of random bytes, the secret number of a signature is derived only from the message and a secret
/// part of the key.
const NOTHING_RANDOM: Fixed = Fixed([0; 32]);

impl CryptoRng for Fixed {}

impl RngCore for Fixed {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for (dest, byte) in dest.iter_mut().zip(self.0.iter().cycle()) {
            *dest = *byte;
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
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
    fn signatures_that_are_verified_together_have_the_results_that_they_have_alone() {
        let messages: Vec<String> = (0..40).map(|number| format!("message {number}")).collect();
        let keys = [0, 1, 2].map(|uid| SecretKey::hotkey(&Seed::root(7), Owner::Validator(uid)));
        let verifying = keys
            .each_ref()
            .map(|key| key.public().verifying_key().expect("a key"));
        for count in [0, 1, 2, 16, 40] {
            let signed = |wrong: &[usize]| -> Vec<_> {
                let numbered = messages.iter().enumerate().take(count);
                let signed = numbered.map(|(number, message)| {
                    let mut bytes = keys[number / 8 % 3].sign(message.as_bytes()).bytes();
                    if wrong.contains(&number) {
                        // Alters the point, the scalar, or the mark of the format.
                        bytes[[3, 35, 63][number % 3]] ^= 0x80;
                    }
                    (
                        verifying[number / 8 % 3],
                        message.as_bytes(),
                        Signature::from_bytes(bytes),
                    )
                });
                signed.collect()
            };
            for wrong in [&[][..], &[0], &[1], &[2], &[15, 20], &[3, 4, 5, 39]] {
                let signed = signed(wrong);
                let alone = signed
                    .iter()
                    .map(|(key, message, signature)| key.verify(message, signature));
                let alone: Vec<_> = alone.collect();
                assert_eq!(verify_all(&signed, [7; 32]), alone, "{wrong:?} of {count}");
                for (number, verified) in alone.iter().enumerate() {
                    assert_eq!(verified.is_err(), wrong.contains(&number), "{number}");
                }
            }
        }
    }

    /// The error of one signature is the negative of that of another, so their plain sum is that of valid ones.
    #[test]
    fn errors_that_cancel_each_other_are_found() {
        let key = key();
        let verifying = key.public().verifying_key().expect("a key");
        let mut signatures = [&b"one"[..], b"two"].map(|message| (message, key.sign(message).bytes()));
        // Adds 1 to the scalar of one and subtracts it from that of the other.
        let lowest = |bytes: &[u8; 64]| bytes[32];
        assert!(lowest(&signatures[0].1) < u8::MAX && lowest(&signatures[1].1) > 0);
        signatures[0].1[32] += 1;
        signatures[1].1[32] -= 1;
        let signed = signatures.map(|(message, bytes)| (verifying, message, Signature::from_bytes(bytes)));
        assert_eq!(verify_all(&signed, [7; 32]), [Err(BadSignature); 2]);
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
