//! Key files of Bittensor's wallets, as bittensor 5.0.0 reads and writes them (`bittensor/_keyfile/keyfile_impl.py`).
//!
//! A key file is a JSON object with the mini secret of a key, in plain text or encrypted with a password as an Ansible
//! vault of version 1.1. Only its owner may read it. The real client also reads an older encryption (Fernet), which
//! this crate does not: open such a file once with the real client, which encrypts it anew.

mod vault;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use mirror_identity::{MiniSecret, PublicKey, SecretKey};
use rand::rngs::SysError;
use serde::{Deserialize, Serialize};

/// Maximum size of a key file in bytes. A real one has about 400, or 2,000 if it is encrypted.
const MAX_LENGTH: u64 = 64 << 10;

/// First bytes of the older encryption.
const FERNET: &[u8] = b"gAAAAA";

/// The key of a key file.
#[derive(Clone)]
pub struct KeyFile(MiniSecret);

/// A password that encrypts a key file. It is never displayed.
#[derive(Clone)]
pub struct Password(String);

/// The JSON object of a key file, with the names of the real client.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    account_id: Option<String>,
    public_key: Option<String>,
    secret_phrase: Option<String>,
    secret_seed: Option<String>,
    #[serde(rename = "ss58Address")]
    ss58_address: Option<String>,
}

/// The error returned when a key file cannot be read or written. None contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// An error of the operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The operating system has no random numbers.
    #[error("the operating system has no random numbers: {0}")]
    Random(#[from] SysError),
    /// Others than the owner have access to the file.
    #[error(
        "others than its owner have access to the key file (mode {mode:03o}): restrict it with `chmod 600`"
    )]
    Mode {
        /// The permissions of the file.
        mode: u32,
    },
    /// The file is larger than any key file.
    #[error("the file has more than {MAX_LENGTH} bytes, so it is not a key file")]
    Length,
    /// The file is encrypted and no password was given.
    #[error("the key file is encrypted: a password is required")]
    Encrypted,
    /// The password is wrong, or the file was changed.
    #[error("the password is wrong, or the key file is damaged")]
    Password,
    /// The file has the older encryption.
    #[error(
        "the key file has an old encryption (Fernet): open it once with bittensor 5, which encrypts it anew"
    )]
    Fernet,
    /// The vault does not have the format of version 1.1.
    #[error("the encrypted key file does not have the format of an Ansible vault of version 1.1")]
    Vault,
    /// The content is not the JSON object of a key file.
    #[error("the content is not the JSON object of a key file")]
    Json,
    /// The file has no secret seed, for example because it contains only a public key.
    #[error("the key file has no `secretSeed` of 0x and 64 hexadecimal digits")]
    NoSecret,
    /// The address in the file belongs to another key.
    #[error("the key file states the address {stated}, but its secret is that of {actual}")]
    Address {
        /// The address in the file.
        stated: String,
        /// The address of the secret.
        actual: String,
    },
}

impl Password {
    /// Creates a password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyFile").field(&self.public()).finish()
    }
}

impl KeyFile {
    /// Creates the content of a key file from a mini secret.
    pub fn new(secret: MiniSecret) -> Self {
        Self(secret)
    }

    /// Returns the key.
    pub fn key(&self) -> SecretKey {
        SecretKey::from_mini_secret(&self.0)
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        self.key().public()
    }

    /// Returns whether the file at `path` is encrypted.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn is_encrypted(path: &Path) -> Result<bool, KeyFileError> {
        let bytes = read(path)?;
        Ok(vault::is_vault(&bytes) || bytes.starts_with(FERNET))
    }

    /// Reads a key file. The password is required if the file is encrypted, and not used otherwise.
    ///
    /// # Errors
    /// Returns an error if others than the owner have access to the file, if its content is invalid, or if the password
    /// is missing or wrong.
    pub fn read(path: &Path, password: Option<&Password>) -> Result<Self, KeyFileError> {
        let bytes = read(path)?;
        if bytes.starts_with(FERNET) {
            return Err(KeyFileError::Fernet);
        }
        let json = if vault::is_vault(&bytes) {
            let password = password.ok_or(KeyFileError::Encrypted)?;
            vault::decrypt(&bytes, password.0.as_bytes())?
        } else {
            bytes
        };
        // The parse error is not kept, because its text may quote the secret.
        let content: Content = serde_json::from_slice(&json).map_err(|_| KeyFileError::Json)?;
        let mut secret = [0; 32];
        let digits = content
            .secret_seed
            .as_deref()
            .and_then(|seed| seed.strip_prefix("0x"));
        let digits = digits.ok_or(KeyFileError::NoSecret)?;
        hex::decode_to_slice(digits, &mut secret).map_err(|_| KeyFileError::NoSecret)?;
        let file = Self(MiniSecret::from_bytes(secret));
        let actual = file.public().to_string();
        match content.ss58_address {
            Some(stated) if stated != actual => Err(KeyFileError::Address { stated, actual }),
            _ => Ok(file),
        }
    }

    /// Creates a key file, which only its owner may read, encrypted if there is a password.
    ///
    /// # Errors
    /// Returns an error if there is a file at `path` already, or if it cannot be written.
    pub fn create(&self, path: &Path, password: Option<&Password>) -> Result<(), KeyFileError> {
        let public = format!("0x{}", self.public().hex());
        let content = Content {
            account_id: Some(public.clone()),
            public_key: Some(public),
            secret_phrase: None,
            secret_seed: Some(format!("0x{}", self.0.hex())),
            ss58_address: Some(self.public().to_string()),
        };
        let json = serde_json::to_vec(&content).expect("texts are valid JSON");
        let bytes = match password {
            Some(password) => vault::encrypt(&json, password.0.as_bytes())?,
            None => json,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let written = file.write_all(&bytes).and_then(|()| file.sync_all());
        if written.is_err() {
            // An unfinished key file is of no use.
            let _ = fs::remove_file(path);
        }
        Ok(written?)
    }
}

/// Reads a file of bounded size to which only its owner has access.
fn read(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Mode { mode });
    }
    mirror_files::read_at_most(file, MAX_LENGTH)?.ok_or(KeyFileError::Length)
}
