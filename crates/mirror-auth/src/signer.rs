//! Signs the calls of a dendrite.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mirror_identity::{Hotkey, SecretKey};
use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use rustix::time::{ClockId, clock_gettime};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::header::message;
use crate::lanes::{Lane, Lanes};
use crate::metadata::{PROTOCOL, PROTOCOL_KEY, SIGNATURE_KEY, VERSION_KEY};

/// The identifier of a dendrite: a UUID of version 8. The identifiers of its lanes are derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DendriteId([u8; 16]);

/// Signs the calls of a dendrite with a hotkey. The nonces increase with each call.
pub struct Signer {
    key: SecretKey,
    address: String,
    dendrite: DendriteId,
    version: MetadataValue<Ascii>,
    last: AtomicI64,
    pub(crate) lanes: Lanes,
}

impl DendriteId {
    /// Creates an identifier. Axons remember the nonces of a dendrite by it, so two dendrites with the same hotkey must
    /// have different ones, and so must two starts of one dendrite on machines with different clocks.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Draws an identifier from the random numbers of the operating system.
    ///
    /// # Errors
    /// Returns an error if the operating system has none.
    pub fn random() -> Result<Self, SysError> {
        let mut bytes = [0; 16];
        SysRng.try_fill_bytes(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl DendriteId {
    /// Returns the identifier for the calls of a lane, which differs from that of any other lane.
    fn in_lane(mut self, lane: u32) -> Self {
        for (byte, lane) in self.0.iter_mut().rev().zip(lane.to_le_bytes()) {
            *byte ^= lane;
        }
        self
    }
}

impl fmt::Display for DendriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0;
        // Version 8 and variant 1 of RFC 9562.
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = hex::encode(bytes);
        let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digits[range]);
        f.write_str(&groups.join("-"))
    }
}

impl Signer {
    /// Creates the signer of a dendrite. `version` is the version of the protocol that it states.
    pub fn new(key: SecretKey, dendrite: DendriteId, version: i32) -> Self {
        Self {
            address: key.public().to_string(),
            key,
            dendrite,
            version: version.into(),
            last: AtomicI64::new(0),
            lanes: Lanes::default(),
        }
    }

    /// Returns the hotkey.
    pub fn hotkey(&self) -> Hotkey {
        self.key.public()
    }

    /// Returns the ss58 address of the hotkey, which requests state as well.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns a lane to the axon of a hotkey, for calls that are made one after the other. There are as many lanes as
    /// calls to the axon were in progress at the same time.
    pub fn lane(self: &Arc<Self>, receiver: Hotkey) -> Lane {
        Lane::new(self.clone(), receiver)
    }

    /// Writes the metadata entries of a call in a lane to the axon of `receiver`, an ss58 address.
    pub(crate) fn sign(&self, metadata: &mut MetadataMap, receiver: &str, lane: u32) {
        let nonce = self.nonce();
        let address = &self.address;
        let dendrite = self.dendrite.in_lane(lane).to_string();
        let message = message(nonce.into(), address, receiver, &dendrite);
        let signature = hex::encode(self.key.sign(message.as_bytes()).bytes());
        let header = format!("{nonce}.{address}.0x{signature}.{dendrite}");
        let mut header: MetadataValue<Ascii> = header.parse().expect("digits, letters and dots are ASCII");
        // HPACK does not index a sensitive value, which would evict the values that repeat from call to call.
        header.set_sensitive(true);
        metadata.insert(SIGNATURE_KEY, header);
        metadata.insert(PROTOCOL_KEY, MetadataValue::from_static(PROTOCOL));
        metadata.insert(VERSION_KEY, self.version.clone());
    }

    /// Returns the time of the monotonic clock in nanoseconds, as the real dendrite does, or one more than the previous
    /// nonce if the clock has not moved on.
    fn nonce(&self) -> i64 {
        let now = clock_gettime(ClockId::Monotonic);
        let now = now
            .tv_sec
            .saturating_mul(1_000_000_000)
            .saturating_add(now.tv_nsec);
        let next = |last: i64| Some(now.max(last.saturating_add(1)));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let (Ok(last) | Err(last)) = last;
        now.max(last.saturating_add(1))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("hotkey", &self.address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use mirror_identity::Owner;
    use mirror_seed::Seed;

    use super::*;

    #[test]
    fn nonces_increase_with_each_call() {
        let key = SecretKey::hotkey(&Seed::root(1), Owner::Validator(0));
        let signer = Signer::new(key, DendriteId::new([7; 16]), 500);
        let nonces: Vec<i64> = (0..10_000).map(|_| signer.nonce()).collect();
        assert!(nonces.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn an_identifier_is_a_uuid() {
        // The layout of RFC 9562: version in the first digit of the third group, variant in that of the fourth.
        let id = DendriteId::new([0xff; 16]).to_string();
        assert_eq!(id, "ffffffff-ffff-8fff-bfff-ffffffffffff");
    }
}
