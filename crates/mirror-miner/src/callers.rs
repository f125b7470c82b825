//! A cache of parsed caller addresses. The same few validators call repeatedly, and parsing an address takes as long as
//! reading the rest of a call's identity.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use mirror_identity::Hotkey;

/// Maximum number of cached addresses. Further addresses are parsed on each call, so that unknown callers cannot fill
/// the memory.
const MOST: usize = 256;

/// Hotkeys by the address in the calls.
#[derive(Default)]
pub(crate) struct Callers(RwLock<HashMap<String, Hotkey>>);

impl Callers {
    /// Returns the hotkey of an address. `None` if the address is invalid.
    pub(crate) fn hotkey(&self, address: &str) -> Option<Hotkey> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(hotkey) = known.get(address) {
            return Some(*hotkey);
        }
        let is_full = known.len() >= MOST;
        drop(known);
        let hotkey = address.parse().ok()?;
        if !is_full {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(address.to_owned(), hotkey);
        }
        Some(hotkey)
    }
}

#[cfg(test)]
mod tests {
    use mirror_identity::{Owner, SecretKey};
    use mirror_seed::Seed;

    use super::*;

    fn hotkey(uid: u32) -> Hotkey {
        SecretKey::hotkey(&Seed::root(1), Owner::Validator(uid)).public()
    }

    #[test]
    fn an_address_gives_the_same_hotkey_each_time() {
        let callers = Callers::default();
        for _ in 0..2 {
            assert_eq!(callers.hotkey(&hotkey(3).to_string()), Some(hotkey(3)));
            assert_eq!(callers.hotkey("nobody"), None);
        }
    }

    #[test]
    fn addresses_beyond_the_limit_are_parsed_but_not_cached() {
        let callers = Callers::default();
        for uid in 0..2 * MOST as u32 {
            assert_eq!(callers.hotkey(&hotkey(uid).to_string()), Some(hotkey(uid)));
        }
        let known = callers.0.read().expect("no reader panicked");
        assert_eq!(known.len(), MOST);
    }
}
