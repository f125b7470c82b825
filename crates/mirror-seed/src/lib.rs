//! Deterministic random draws. A whole run can be repeated from one random seed.
//!
//! Two kinds of draws are derived from an experiment's random seed. Neither needs state that is shared between
//! processes:
//!
//! * Draws about a call ([`Seed::about_call`]): a hash of the seed, a label and the call's identity ([`CallId`]). No
//!   process counts calls, and their order of arrival has no effect.
//! * All other draws ([`Seed::child`]): a tree of generators. Each child is derived from its parent's seed and a label,
//!   so that a new draw in one part does not shift the draws of another.

mod call;
mod call_number;

pub use call::{CallId, ParseCallIdError};
pub use call_number::CallNumber;

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A node of the seed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

/// One draw: 32 uniform bytes, used as a number or to seed a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw([u8; 32]);

impl Seed {
    /// Creates the root of the tree from the experiment's random seed.
    pub fn root(number: u64) -> Self {
        Self(hash(Kind::Root, &[&number.to_le_bytes()], ""))
    }

    /// Returns the child named `label`. Equal labels give equal children.
    #[must_use]
    pub fn child(&self, label: &str) -> Self {
        Self(hash(Kind::Child, &[&self.0], label))
    }

    /// Returns the child named `label` with a number, such as a uid or an index.
    #[must_use]
    pub fn numbered_child(&self, label: &str, number: u64) -> Self {
        Self(hash(Kind::Numbered, &[&self.0, &number.to_le_bytes()], label))
    }

    /// Returns the draw named `label` for a number, such as an index.
    pub fn draw(&self, label: &str, number: u64) -> Draw {
        Draw(self.numbered_child(label, number).0)
    }

    /// Returns the draw named `label` for one call.
    pub fn about_call(&self, label: &str, call: &CallId) -> Draw {
        Draw(hash(Kind::Call, &[&self.0, &call.bytes()], label))
    }

    /// Returns whether an event with probability `chance` happens to one call, by the draw named `label`. Probabilities
    /// of 0 and 1 need no draw.
    pub fn happens(&self, label: &str, call: &CallId, chance: f64) -> bool {
        chance >= 1.0 || (chance > 0.0 && self.about_call(label, call).happens(chance))
    }

    /// Returns the 32 bytes of this node, for deriving a key.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Creates a generator seeded with this node.
    pub fn generator(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }
}

impl Draw {
    /// Returns a uniform number in 0..1 with 53 random bits.
    pub fn unit(&self) -> f64 {
        (self.word(0) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns whether an event with probability `chance` happens: never at 0, always at 1.
    pub fn happens(&self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// Returns a number in 0..n, uniform to within n·2⁻⁶⁴. `None` if n is 0.
    pub fn below(&self, n: u64) -> Option<u64> {
        (n > 0).then(|| ((u128::from(self.word(1)) * u128::from(n)) >> 64) as u64)
    }

    /// Returns the 32 bytes, for deriving an identifier.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Creates a generator seeded with this draw.
    pub fn generator(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }

    fn word(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[index * 8..index * 8 + 8]);
        u64::from_le_bytes(bytes)
    }
}

/// The purpose of a hash. All hashes of one kind have parts of the same lengths, so that no two inputs have the same
/// encoding.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Root = 0,
    Child = 1,
    Numbered = 2,
    Call = 3,
}

/// Returns the BLAKE2b-256 hash of the kind, its parts and the label. With a label of at most 43 bytes, even a draw
/// about a call needs only one block of the hash.
fn hash(kind: Kind, parts: &[&[u8]], label: &str) -> [u8; 32] {
    let mut hasher = Blake2b::<U32>::new();
    hasher.update([kind as u8]);
    for part in parts {
        hasher.update(part);
    }
    hasher.update(label);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(uid: u32) -> CallId {
        CallId {
            caller: [7; 32],
            step: 3,
            forward_index: 1,
            uid,
            call: CallNumber::QUERY,
        }
    }

    #[test]
    fn labels_and_numbers_separate_streams() {
        let seed = Seed::root(7);
        assert_ne!(seed.child("a"), seed.child("b"));
        assert_ne!(seed.numbered_child("a", 0), seed.numbered_child("a", 1));
        assert_ne!(
            seed.about_call("fail", &call(1)),
            seed.about_call("answer", &call(1))
        );
        assert_ne!(
            seed.about_call("fail", &call(1)),
            seed.about_call("fail", &call(2))
        );
        assert_eq!(seed.child("a"), Seed::root(7).child("a"));
    }

    #[test]
    fn events_happen_with_their_probability() {
        let seed = Seed::root(1);
        let hits = (0..10_000)
            .filter(|uid| seed.about_call("fail", &call(*uid)).happens(0.1))
            .count();
        // The 99.9% interval of a binomial(10_000, 0.1).
        assert!((901..=1099).contains(&hits), "{hits}");
    }

    proptest! {
        #[test]
        fn what_is_certain_happens_as_if_it_were_drawn(number: u64, uid: u32, chance in 0.0..=1.0) {
            let seed = Seed::root(number);
            for chance in [chance, 0.0, 1.0] {
                let drawn = seed.about_call("x", &call(uid)).happens(chance);
                prop_assert_eq!(seed.happens("x", &call(uid), chance), drawn);
            }
        }

        #[test]
        fn draws_stay_in_their_ranges(number: u64, uid: u32, n in 1u64..) {
            let draw = Seed::root(number).about_call("x", &call(uid));
            prop_assert!((0.0..1.0).contains(&draw.unit()));
            prop_assert!(draw.below(n).is_some_and(|below| below < n));
            prop_assert!(!draw.happens(0.0) && draw.happens(1.0));
            prop_assert_eq!(draw.below(0), None);
        }
    }
}
