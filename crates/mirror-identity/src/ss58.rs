//! ss58 addresses of format 42, as Substrate defines them: base58 of the prefix, the key and two bytes of a BLAKE2b-512
//! checksum.

use blake2::{Blake2b512, Digest};

const PREFIX: u8 = 42;
/// Length of the encoded data in bytes: prefix, key and checksum.
const LENGTH: usize = 1 + 32 + 2;
/// Length of the longest address of `LENGTH` bytes, in characters.
const LONGEST: usize = 48;

/// The error returned when an address cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ss58Error {
    /// Not base58, or not of the length of an address.
    #[error("not an ss58 address: expected 47 or 48 characters of base58")]
    NotAnAddress,
    /// An address of another network.
    #[error("the address is of network {prefix}, expected 42")]
    Network {
        /// Number of the network.
        prefix: u8,
    },
    /// The checksum does not match.
    #[error("the checksum of the address does not match: check the address for a wrong character")]
    Checksum,
}

pub(crate) fn encode(key: &[u8; 32]) -> String {
    let mut bytes = [0; LENGTH];
    bytes[0] = PREFIX;
    bytes[1..33].copy_from_slice(key);
    let checksum = checksum(&bytes[..33]);
    bytes[33..].copy_from_slice(&checksum);
    bs58::encode(bytes).into_string()
}

pub(crate) fn decode(address: &str) -> Result<[u8; 32], Ss58Error> {
    if address.len() > LONGEST {
        return Err(Ss58Error::NotAnAddress);
    }
    let mut bytes = [0; LENGTH];
    match bs58::decode(address).onto(&mut bytes) {
        Ok(LENGTH) => {}
        _ => return Err(Ss58Error::NotAnAddress),
    }
    if bytes[0] != PREFIX {
        return Err(Ss58Error::Network { prefix: bytes[0] });
    }
    if checksum(&bytes[..33]) != bytes[33..] {
        return Err(Ss58Error::Checksum);
    }
    let mut key = [0; 32];
    key.copy_from_slice(&bytes[1..33]);
    Ok(key)
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let hash = Blake2b512::new()
        .chain_update(b"SS58PRE")
        .chain_update(bytes)
        .finalize();
    [hash[0], hash[1]]
}
