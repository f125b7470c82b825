//! The chain's quantities as the tables have them.

use mirror_identity::PublicKey;

/// A share of one from the chain's u16.
pub(super) fn share(of_u16: u32) -> f32 {
    of_u16 as f32 / f32::from(u16::MAX)
}

/// A key as its ss58 address; what is no key, in hexadecimal digits.
pub(super) fn address(key: &[u8]) -> String {
    PublicKey::try_from(key).map_or_else(|_| hex::encode(key), |key| key.to_string())
}
