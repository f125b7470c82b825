//! Converts quantities of the chain to values of the tables.

use mirror_identity::PublicKey;

/// Converts a share in the chain's u16 format to a number from 0 to 1.
pub(super) fn share(of_u16: u32) -> f32 {
    of_u16 as f32 / f32::from(u16::MAX)
}

/// Returns the ss58 address of a key. Bytes that are not a valid key are returned in hexadecimal.
pub(super) fn address(key: &[u8]) -> String {
    PublicKey::try_from(key).map_or_else(|_| hex::encode(key), |key| key.to_string())
}
