//! A cache of parsed ss58 addresses. The same few dendrites call repeatedly, and parsing an address takes microseconds.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use mirror_identity::{Hotkey, Ss58Error};

/// Maximum number of cached addresses. Further addresses are parsed on each call, so that unknown callers cannot fill
/// the memory.
const MOST: usize = 256;

/// Hotkeys by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Addresses(RwLock<HashMap<String, Hotkey>>);

impl Addresses {
    /// Returns the hotkey of an address.
    pub(crate) fn hotkey(&self, address: &str) -> Result<Hotkey, Ss58Error> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(hotkey) = known.get(address) {
            return Ok(*hotkey);
        }
        drop(known);
        address.parse()
    }

    /// Remembers the address of a caller that has shown that the hotkey is its own.
    pub(crate) fn remember(&self, address: &str, hotkey: Hotkey) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.len() >= MOST || known.contains_key(address);
        drop(known);
        if !is_known {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(address.to_owned(), hotkey);
        }
    }
}
