//! Ansible vaults of version 1.1: AES-256 in counter mode and HMAC-SHA-256, with keys from PBKDF2.
//!
//! Source: <https://docs.ansible.com/ansible/latest/vault_guide/vault_using_encrypted_content.html>, the section on the
//! format of version 1.1.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;

use crate::KeyFileError;

/// First line of a vault.
const HEADER: &[u8] = b"$ANSIBLE_VAULT;1.1;AES256";

/// First bytes of a vault of any version.
const ANY_HEADER: &[u8] = b"$ANSIBLE_VAULT";

/// Number of iterations of PBKDF2.
const ITERATIONS: u32 = 10_000;

/// Number of digits in a line.
const WIDTH: usize = 80;

/// Length of a block of AES in bytes, to which the text is padded.
const BLOCK: usize = 16;

/// Returns whether the bytes are a vault of any version.
pub(crate) fn is_vault(bytes: &[u8]) -> bool {
    bytes.starts_with(ANY_HEADER)
}

/// Encrypts a text with a random salt.
pub(crate) fn encrypt(text: &[u8], password: &[u8]) -> Result<Vec<u8>, KeyFileError> {
    let mut salt = [0; 32];
    SysRng.try_fill_bytes(&mut salt)?;
    let keys = Keys::derive(password, &salt);
    // PKCS #7: each byte of the padding is its length, which is 1 to 16.
    let padding = BLOCK - text.len() % BLOCK;
    let mut bytes = text.to_vec();
    bytes.resize(text.len() + padding, padding as u8);
    keys.apply(&mut bytes);
    let mac = keys.mac(&bytes).finalize().into_bytes();
    let parts = [hex::encode(salt), hex::encode(mac), hex::encode(bytes)].join("\n");
    let digits = hex::encode(parts);
    let mut vault = HEADER.to_vec();
    for line in digits.as_bytes().chunks(WIDTH) {
        vault.push(b'\n');
        vault.extend_from_slice(line);
    }
    vault.push(b'\n');
    Ok(vault)
}

/// Decrypts a vault.
///
/// # Errors
/// Returns an error if the format is invalid, or if the password does not match.
pub(crate) fn decrypt(vault: &[u8], password: &[u8]) -> Result<Vec<u8>, KeyFileError> {
    let body = vault.strip_prefix(HEADER).ok_or(KeyFileError::Vault)?;
    let digits: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let parts = hex::decode(digits).map_err(|_| KeyFileError::Vault)?;
    let mut parts = parts.split(|byte| *byte == b'\n').map(hex::decode);
    let mut part = || parts.next().and_then(Result::ok).ok_or(KeyFileError::Vault);
    let (salt, mac, mut bytes) = (part()?, part()?, part()?);
    let keys = Keys::derive(password, &salt);
    keys.mac(&bytes)
        .verify_slice(&mac)
        .map_err(|_| KeyFileError::Password)?;
    keys.apply(&mut bytes);
    let padding = usize::from(*bytes.last().ok_or(KeyFileError::Vault)?);
    let length = bytes.len().checked_sub(padding).ok_or(KeyFileError::Vault)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// The keys that a password and a salt yield.
struct Keys {
    cipher: [u8; 32],
    mac: [u8; 32],
    counter: [u8; 16],
}

impl Keys {
    fn derive(password: &[u8], salt: &[u8]) -> Self {
        let mut derived = [0; 80];
        pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, ITERATIONS, &mut derived);
        let mut keys = Self {
            cipher: [0; 32],
            mac: [0; 32],
            counter: [0; 16],
        };
        keys.cipher.copy_from_slice(&derived[..32]);
        keys.mac.copy_from_slice(&derived[32..64]);
        keys.counter.copy_from_slice(&derived[64..]);
        keys
    }

    /// Encrypts or decrypts, which is the same in counter mode.
    fn apply(&self, bytes: &mut [u8]) {
        Ctr128BE::<Aes256>::new(&self.cipher.into(), &self.counter.into()).apply_keystream(bytes);
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mac: Hmac<Sha256> = Mac::new_from_slice(&self.mac).expect("HMAC accepts keys of any length");
        mac.chain_update(bytes)
    }
}
