//! Identities of neurons: hotkeys and coldkeys (sr25519), their ss58 addresses and their signatures.
//!
//! Keys are derived from the experiment's random seed. The same experiment therefore has the same keys, and the seed
//! reveals all of them.

mod signature;
mod ss58;

pub use signature::{BadSignature, Signature, VerifyingKey, verify_all};
pub use ss58::Ss58Error;

use std::fmt;
use std::str::FromStr;

use mirror_seed::Seed;
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};
use serde::{Deserialize, Serialize};

/// A public key of 32 bytes, displayed as an ss58 address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublicKey([u8; 32]);

/// The public key with which a neuron calls, serves and sets weights.
pub type Hotkey = PublicKey;

/// The public key that owns hotkeys and stake.
pub type Coldkey = PublicKey;

/// A key that can sign.
#[derive(Clone)]
pub struct SecretKey(Keypair);

/// The 32 bytes from which a [`SecretKey`] is expanded: the secret seed of Bittensor's key files. It is never
/// displayed.
#[derive(Clone)]
pub struct MiniSecret([u8; 32]);

/// The owner of a key within an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The miner with this uid.
    Miner(u32),
    /// The validator with this index.
    Validator(u32),
    /// The owner of the subnet, which has no uid.
    Subnet,
}

impl SecretKey {
    /// Derives the hotkey of an owner from the random seed.
    pub fn hotkey(seed: &Seed, owner: Owner) -> Self {
        Self::derived(seed, "hotkey", owner)
    }

    /// Derives the coldkey of an owner from the random seed.
    pub fn coldkey(seed: &Seed, owner: Owner) -> Self {
        Self::derived(seed, "coldkey", owner)
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public.to_bytes())
    }

    /// Expands a mini secret to a key, as Substrate does.
    pub fn from_mini_secret(secret: &MiniSecret) -> Self {
        let secret = MiniSecretKey::from_bytes(&secret.0).expect("any 32 bytes are a valid mini secret key");
        Self(secret.expand_to_keypair(ExpansionMode::Ed25519))
    }

    fn derived(seed: &Seed, kind: &str, owner: Owner) -> Self {
        Self::from_mini_secret(&MiniSecret::derived(seed, kind, owner))
    }
}

impl MiniSecret {
    /// Derives the mini secret of the hotkey of an owner from the random seed.
    pub fn hotkey(seed: &Seed, owner: Owner) -> Self {
        Self::derived(seed, "hotkey", owner)
    }

    /// Creates a mini secret from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes in hexadecimal, for a program that holds the key itself.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Returns the 32 bytes, with which any program can sign as the key.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    fn derived(seed: &Seed, kind: &str, owner: Owner) -> Self {
        let of_kind = seed.child(kind);
        let of_owner = match owner {
            Owner::Miner(uid) => of_kind.numbered_child("miner", uid.into()),
            Owner::Validator(index) => of_kind.numbered_child("validator", index.into()),
            Owner::Subnet => of_kind.child("subnet"),
        };
        Self(of_owner.bytes())
    }
}

impl fmt::Debug for MiniSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MiniSecret")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public()).finish()
    }
}

impl PublicKey {
    /// Creates a key from its bytes. Any 32 bytes are accepted. Only verifying a signature shows whether they are a
    /// valid key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Returns the 32 bytes in hexadecimal, as used in launch configs.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Parses the output of [`PublicKey::hex`].
    ///
    /// # Errors
    /// Returns [`KeyError::NotHex`] if the text is not 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError::NotHex)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for PublicKey {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| KeyError::Length { length: bytes.len() })
    }
}

/// The error returned when a key cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("a key is 64 hexadecimal digits")]
    NotHex,
    /// Not 32 bytes.
    #[error("a key is 32 bytes, not {length}")]
    Length {
        /// Number of bytes given.
        length: usize,
    },
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ss58::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = Ss58Error;

    /// Parses an ss58 address.
    fn from_str(address: &str) -> Result<Self, Ss58Error> {
        ss58::decode(address).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_alice_is_the_documented_one() {
        // Substrate's development key //Alice, whose documentation publishes both forms.
        let alice = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
        let address = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
        assert_eq!(
            PublicKey::from_hex(alice).map(|key| key.to_string()),
            Ok(address.to_owned())
        );
        assert_eq!(
            address.parse::<PublicKey>().map(|key| key.hex()),
            Ok(alice.to_owned())
        );
    }

    #[test]
    fn a_mini_secret_gives_the_public_key_that_substrate_gives() {
        // The mini secret of //Alice and its public key, from the documentation of `subkey inspect`.
        let mini =
            hex::decode("e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a").expect("hex");
        let mini = mini.try_into().map(MiniSecret::from_bytes).expect("32 bytes");
        let key = SecretKey::from_mini_secret(&mini);
        assert_eq!(
            key.public().to_string(),
            "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
        );
    }

    #[test]
    fn keys_differ_between_owners_kinds_and_seeds() {
        let seed = Seed::root(7);
        let keys = [
            SecretKey::hotkey(&seed, Owner::Miner(0)).public(),
            SecretKey::hotkey(&seed, Owner::Miner(1)).public(),
            SecretKey::hotkey(&seed, Owner::Validator(0)).public(),
            SecretKey::coldkey(&seed, Owner::Miner(0)).public(),
            SecretKey::coldkey(&seed, Owner::Subnet).public(),
            SecretKey::hotkey(&Seed::root(8), Owner::Miner(0)).public(),
        ];
        for (i, one) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|other| other != one));
        }
        assert_eq!(
            SecretKey::hotkey(&Seed::root(7), Owner::Miner(0)).public(),
            keys[0]
        );
    }

    #[test]
    fn wrong_addresses_are_refused() {
        for address in [
            "",
            "5",
            "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ",
            "0OIl",
            &"5".repeat(100_000),
        ] {
            assert!(address.parse::<PublicKey>().is_err());
        }
    }
}
