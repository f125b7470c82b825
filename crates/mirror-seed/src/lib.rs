//! One number from which a whole run repeats.
//!
//! Two kinds of draw come from an experiment's seed, and neither is shared between processes:
//!
//! * about a call ([`Seed::about_call`]): a hash of the seed, a label and the call's identity ([`CallId`]). Nobody
//!   counts calls and the order in which they arrive changes nothing.
//! * everything else ([`Seed::child`]): a tree of generators, a child from its parent's seed and a label, so that a new
//!   draw in one part shifts no other.

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

/// One draw: 32 uniform bytes, read as a number or grown into a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw([u8; 32]);

impl Seed {
    /// The root of the tree: the experiment's one number.
    pub fn root(number: u64) -> Self {
        Self(hash(Kind::Root, &[&number.to_le_bytes()], ""))
    }

    /// The child named `label`. Equal labels give equal children.
    #[must_use]
    pub fn child(&self, label: &str) -> Self {
        Self(hash(Kind::Child, &[&self.0], label))
    }

    /// The child named `label` with a number: a uid, an index.
    #[must_use]
    pub fn numbered_child(&self, label: &str, number: u64) -> Self {
        Self(hash(Kind::Numbered, &[&self.0, &number.to_le_bytes()], label))
    }

    /// The draw named `label` about a number: an index.
    pub fn draw(&self, label: &str, number: u64) -> Draw {
        Draw(self.numbered_child(label, number).0)
    }

    /// The draw named `label` about one call.
    pub fn about_call(&self, label: &str, call: &CallId) -> Draw {
        Draw(hash(Kind::Call, &[&self.0, &call.bytes()], label))
    }

    /// Whether an event of this chance happens to one call, by the draw named `label`. What is certain is not drawn.
    pub fn happens(&self, label: &str, call: &CallId, chance: f64) -> bool {
        chance >= 1.0 || (chance > 0.0 && self.about_call(label, call).happens(chance))
    }

    /// 32 bytes of this node itself, to make a key from.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// A generator that starts at this node.
    pub fn generator(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }
}

impl Draw {
    /// A number in 0..1, 53 bits of it.
    pub fn unit(&self) -> f64 {
        (self.word(0) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether an event of this chance happens: never at 0, always at 1.
    pub fn happens(&self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// A number in 0..n, evenly to within n·2⁻⁶⁴; `None` when n is 0.
    pub fn below(&self, n: u64) -> Option<u64> {
        (n > 0).then(|| ((u128::from(self.word(1)) * u128::from(n)) >> 64) as u64)
    }

    /// The 32 bytes themselves, to make an identifier from.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// A generator that starts at this draw.
    pub fn generator(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }

    fn word(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[index * 8..index * 8 + 8]);
        u64::from_le_bytes(bytes)
    }
}

/// What a hash is for. Each kind has parts of the same lengths, so that no two inputs read alike.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Root = 0,
    Child = 1,
    Numbered = 2,
    Call = 3,
}

/// BLAKE2b-256 over the kind, its parts and the label. With a label of at most 43 bytes even a draw about a call is one
/// block of the hash.
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
    fn chances_are_met_over_many_calls() {
        let seed = Seed::root(1);
        let hits = (0..10_000)
            .filter(|uid| seed.about_call("fail", &call(*uid)).happens(0.1))
            .count();
        // the 99.9% interval of a binomial(10_000, 0.1)
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
