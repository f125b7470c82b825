//! A cache of parsed ss58 addresses and their keys. The same few dendrites call repeatedly, and parsing takes some
//! microseconds.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use mirror_identity::{BadSignature, Hotkey, Ss58Error, VerifyingKey};

/// Maximum number of cached addresses. Further addresses are parsed on each call, so that unknown callers cannot fill
/// the memory.
const MOST: usize = 256;

/// Hotkeys by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Addresses(RwLock<HashMap<String, Known>>);

/// A parsed address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) hotkey: Hotkey,
    /// The key that verifies signatures, or the reason why the address has none.
    pub(crate) key: Result<VerifyingKey, BadSignature>,
}

impl Addresses {
    /// Returns the hotkey of an address.
    pub(crate) fn find(&self, address: &str) -> Result<Known, Ss58Error> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(address) {
            return Ok(*known);
        }
        drop(known);
        let hotkey: Hotkey = address.parse()?;
        Ok(Known {
            hotkey,
            key: hotkey.verifying_key(),
        })
    }

    /// Remembers the address of a caller that has shown that the hotkey is its own.
    pub(crate) fn remember(&self, address: &str, caller: Known) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.len() >= MOST || known.contains_key(address);
        drop(known);
        if !is_known {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(address.to_owned(), caller);
        }
    }
}
