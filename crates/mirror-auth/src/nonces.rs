//! The largest nonce of each dendrite, with a bounded memory.
//!
//! The real axon remembers every dendrite for ever. Here the dendrites that called longest ago are forgotten when
//! [`MAX_REMEMBERED`] are known, so a call can be replayed only after as many other dendrites have made valid calls.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use mirror_identity::Hotkey;

/// Maximum number of dendrites whose nonces are remembered.
pub const MAX_REMEMBERED: usize = 1 << 16;

/// A dendrite as an axon knows it.
type Dendrite = (Hotkey, Hotkey, Box<str>);

/// The largest nonces that the axons of a process have accepted.
#[derive(Debug)]
pub struct Nonces(Mutex<LruCache<Dendrite, i128>>);

impl Default for Nonces {
    fn default() -> Self {
        let capacity = NonZeroUsize::new(MAX_REMEMBERED).expect("the capacity is above 0");
        // Memory is allocated as dendrites become known.
        let mut nonces = LruCache::unbounded();
        nonces.resize(capacity);
        Self(Mutex::new(nonces))
    }
}

impl Nonces {
    /// Returns whether a nonce is larger than the last accepted one of a dendrite.
    pub(crate) fn is_new(&self, receiver: Hotkey, sender: Hotkey, dendrite: &str, nonce: i128) -> bool {
        let last = self.lock().get(&(receiver, sender, dendrite.into())).copied();
        last.is_none_or(|last| last < nonce)
    }

    /// Accepts a nonce. Returns `false` without effect if a larger or equal one was accepted meanwhile.
    pub(crate) fn accept(&self, receiver: Hotkey, sender: Hotkey, dendrite: &str, nonce: i128) -> bool {
        let mut nonces = self.lock();
        let key = (receiver, sender, dendrite.into());
        if nonces.get(&key).is_some_and(|last| *last >= nonce) {
            return false;
        }
        nonces.put(key, nonce);
        true
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Dendrite, i128>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Hotkey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Hotkey::from_bytes(bytes)
    }

    #[test]
    fn each_dendrite_of_each_axon_has_its_own_nonces() {
        let nonces = Nonces::default();
        assert!(nonces.accept(key(0), key(1), "a", 5));
        assert!(!nonces.is_new(key(0), key(1), "a", 5) && !nonces.accept(key(0), key(1), "a", 4));
        assert!(nonces.is_new(key(0), key(1), "a", 6));
        for (receiver, sender, dendrite) in [(2, 1, "a"), (0, 2, "a"), (0, 1, "b")] {
            assert!(nonces.is_new(key(receiver), key(sender), dendrite, 1));
        }
    }

    #[test]
    fn strangers_make_the_memory_forget_only_the_dendrites_that_called_longest_ago() {
        let nonces = Nonces::default();
        assert!(nonces.accept(key(0), key(1), "a", 5));
        for stranger in 0..2 * MAX_REMEMBERED as u32 {
            assert!(nonces.accept(key(0), key(10 + stranger), "b", 1));
            if stranger % 1_000 == 0 {
                // A dendrite that keeps calling is never forgotten.
                assert!(
                    !nonces.is_new(key(0), key(1), "a", 5),
                    "after {stranger} strangers"
                );
            }
        }
        assert_eq!(nonces.lock().len(), MAX_REMEMBERED);
        assert!(nonces.is_new(key(0), key(10), "b", 1));
    }
}
