//! The largest nonce of each dendrite, with a bounded memory.
//!
//! The real axon never forgets a dendrite. Here the last [`MAX_REMEMBERED`] dendrites of neurons are remembered, and in
//! a window of the same length the last ones of other keys. Keys without a neuron cost nothing, so their window does
//! not protect their own calls from those who make many keys. The window also has the dendrites of a neuron beyond
//! [`MAX_OF_NEURON`], and those of all neurons until [`Nonces::set_neurons`] is called.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use mirror_identity::Hotkey;

/// Maximum number of dendrites of neurons whose nonces are remembered, and of those of other keys.
pub const MAX_REMEMBERED: usize = 1 << 15;

/// Number of dendrites of unknown keys from which the hotkeys of neurons are needed.
const MANY_STRANGERS: usize = 1 << 10;

/// Maximum number of dendrites of one neuron for which another key's dendrite is not forgotten.
const MAX_OF_NEURON: usize = 1 << 8;

/// A dendrite as an axon knows it: the receiver, the sender and the identifier.
type Dendrite = (Hotkey, Hotkey, Box<str>);

/// The largest nonces that the axons of a process have accepted.
#[derive(Debug)]
pub struct Nonces(Mutex<State>);

#[derive(Debug)]
struct State {
    neurons: HashSet<Hotkey>,
    /// Number of entries in `of_neurons` of each pair of a receiver and a sender.
    counts: HashMap<(Hotkey, Hotkey), usize>,
    of_neurons: LruCache<Dendrite, i128>,
    /// The window of the other keys.
    of_others: LruCache<Dendrite, i128>,
}

impl Default for Nonces {
    fn default() -> Self {
        let window = || {
            // Memory is allocated as dendrites become known.
            let mut window = LruCache::unbounded();
            window.resize(NonZeroUsize::new(MAX_REMEMBERED).expect("the capacity is above 0"));
            window
        };
        Self(Mutex::new(State {
            neurons: HashSet::new(),
            counts: HashMap::new(),
            of_neurons: window(),
            of_others: window(),
        }))
    }
}

impl Nonces {
    /// Returns whether many dendrites have called that are not known as those of neurons. [`Nonces::set_neurons`] then
    /// protects those of neurons from being forgotten.
    pub fn has_many_strangers(&self) -> bool {
        self.lock().of_others.len() >= MANY_STRANGERS
    }

    /// Sets the hotkeys of the neurons. Their dendrites leave the window of the other keys.
    pub fn set_neurons(&self, neurons: impl Iterator<Item = Hotkey>) {
        let mut state = self.lock();
        let neurons: HashSet<Hotkey> = neurons.collect();
        if state.neurons == neurons {
            return;
        }
        state.neurons = neurons;
        let of_others: Vec<Dendrite> = state
            .of_others
            .iter()
            .rev()
            .map(|(dendrite, _)| dendrite.clone())
            .collect();
        for dendrite in of_others {
            if state.neurons.contains(&dendrite.1)
                && let Some(nonce) = state.of_others.pop(&dendrite)
            {
                state.put(dendrite, nonce);
            }
        }
    }

    /// Returns whether a nonce is larger than the last accepted one of a dendrite.
    pub(crate) fn is_new(&self, receiver: Hotkey, sender: Hotkey, dendrite: &str, nonce: i128) -> bool {
        self.lock().is_new(&(receiver, sender, dendrite.into()), nonce)
    }

    /// Accepts a nonce. Returns `false` without effect if a larger or equal one was accepted meanwhile.
    pub(crate) fn accept(&self, receiver: Hotkey, sender: Hotkey, dendrite: &str, nonce: i128) -> bool {
        let mut state = self.lock();
        let dendrite = (receiver, sender, dendrite.into());
        let is_new = state.is_new(&dendrite, nonce);
        if is_new {
            state.put(dendrite, nonce);
        }
        is_new
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_new(&mut self, dendrite: &Dendrite, nonce: i128) -> bool {
        let of_neurons = self.of_neurons.get(dendrite).copied();
        let last = of_neurons.or_else(|| self.of_others.get(dendrite).copied());
        last.is_none_or(|last| last < nonce)
    }

    fn put(&mut self, dendrite: Dendrite, nonce: i128) {
        if let Some(last) = self.of_neurons.get_mut(&dendrite) {
            *last = nonce;
            return;
        }
        let pair = (dendrite.0, dendrite.1);
        let count = self.counts.get(&pair).copied().unwrap_or_default();
        if count >= MAX_OF_NEURON || !self.neurons.contains(&dendrite.1) {
            self.of_others.put(dendrite, nonce);
            return;
        }
        self.of_others.pop(&dendrite);
        self.counts.insert(pair, count + 1);
        if let Some(((receiver, sender, _), _)) = self.of_neurons.push(dendrite, nonce) {
            let forgotten = (receiver, sender);
            let count = self.counts.get(&forgotten).copied().unwrap_or_default();
            if count > 1 {
                self.counts.insert(forgotten, count - 1);
            } else {
                self.counts.remove(&forgotten);
            }
        }
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
        assert_eq!(nonces.lock().of_others.len(), MAX_REMEMBERED);
        assert!(nonces.is_new(key(0), key(10), "b", 1));
    }

    #[test]
    fn strangers_do_not_make_the_memory_forget_a_neuron() {
        let nonces = Nonces::default();
        assert!(nonces.accept(key(0), key(1), "a", 5));
        for stranger in 0..4 * MAX_REMEMBERED as u32 {
            if nonces.has_many_strangers() {
                nonces.set_neurons([key(1), key(2)].into_iter());
            }
            assert!(nonces.accept(key(0), key(10 + stranger), "b", 1));
        }
        assert!(!nonces.is_new(key(0), key(1), "a", 5));
        assert!(nonces.accept(key(0), key(1), "a", 6) && !nonces.accept(key(0), key(1), "a", 6));
    }

    #[test]
    fn a_neuron_with_many_dendrites_does_not_make_the_memory_forget_another_neuron() {
        let nonces = Nonces::default();
        nonces.set_neurons([key(1), key(2)].into_iter());
        assert!(nonces.accept(key(0), key(1), "a", 5));
        for dendrite in 0..4 * MAX_REMEMBERED {
            assert!(nonces.accept(key(0), key(2), &dendrite.to_string(), 1));
        }
        assert!(!nonces.is_new(key(0), key(1), "a", 5));
    }
}
