//! The most frequent items of a stream, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

/// Counts items by key. When there are twice as many keys as `capacity`, the rarer half is dropped, and a key that
/// appears later may have been dropped before: its count is too low by at most [`missed`](Self::missed). With at most
/// twice `capacity` distinct keys, every count is exact.
///
/// Manku, G. S., and Motwani, R., Approximate Frequency Counts over Data Streams, 2002.
#[derive(Clone, Debug)]
pub(crate) struct Frequent<T> {
    capacity: usize,
    items: HashMap<u64, Counted<T>, BuildHasherDefault<KeyHasher>>,
    missed: u64,
}

/// Uses a key, which is a hash already, as its own hash.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers of 64 bits");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// An item and how often it was counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted<T> {
    pub(crate) count: u64,
    /// Position of the first count, so that equal counts have a fixed order.
    first: u64,
    pub(crate) item: T,
}

impl<T> Frequent<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            items: HashMap::default(),
            missed: 0,
        }
    }

    /// Counts the item with this key. A new item is created by `make`.
    pub(crate) fn count(&mut self, key: u64, position: u64, make: impl FnOnce() -> T) -> &mut Counted<T> {
        if self.items.len() >= 2 * self.capacity && !self.items.contains_key(&key) {
            self.drop_rarer_half();
        }
        let item = self.items.entry(key).or_insert_with(|| Counted {
            count: 0,
            first: position,
            item: make(),
        });
        item.count += 1;
        item
    }

    fn drop_rarer_half(&mut self) {
        let mut counts: Vec<(u64, u64)> = self
            .items
            .values()
            .map(|item| (item.count, u64::MAX - item.first))
            .collect();
        let middle = counts.len() / 2;
        let (_, least_kept, _) = counts.select_nth_unstable(middle);
        let least_kept = *least_kept;
        // A key may be dropped again after it has reappeared, so the greatest counts of all drops add up.
        let dropped = least_kept.0;
        self.items
            .retain(|_, item| (item.count, u64::MAX - item.first) >= least_kept);
        self.missed += dropped;
    }

    /// Returns the maximum number by which a count is too low.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// Returns whether anything was counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the `n` most frequent items with their keys, the most frequent first. Of equal counts, the item that was
    /// counted first precedes.
    pub(crate) fn top(&self, n: usize) -> Vec<(u64, &Counted<T>)> {
        let mut all: Vec<(u64, &Counted<T>)> = self.items.iter().map(|(key, item)| (*key, item)).collect();
        all.sort_by_key(|(key, item)| (u64::MAX - item.count, item.first, *key));
        all.truncate(n);
        all
    }
}

/// Returns the key of a text. Different texts have the same key with a probability of about 5e-20 per pair.
pub(crate) fn key(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequent_item_is_found_among_many_rare_ones_in_bounded_memory() {
        let mut frequent = Frequent::new(100);
        for position in 0..100_000_u64 {
            let text = if position % 10 == 0 {
                "often".to_owned()
            } else {
                position.to_string()
            };
            frequent.count(key(&text), position, || text.clone());
        }
        assert!(frequent.items.len() <= 200, "{} items", frequent.items.len());
        let top = frequent.top(1);
        let found = top[0].1;
        assert_eq!(found.item, "often");
        assert!(
            found.count <= 10_000 && found.count + frequent.missed() >= 10_000,
            "{found:?}"
        );
    }

    /// A key that is dropped several times is counted too low by more than one of the drops.
    #[test]
    fn a_count_is_too_low_by_at_most_the_stated_number() {
        let mut frequent = Frequent::new(10);
        let mut occurred = 0;
        for round in 0..50_u64 {
            for _ in 0..3 {
                frequent.count(key("sometimes"), round, || ());
                occurred += 1;
            }
            // Enough rarer and more frequent items that this one is dropped.
            for other in 0..30_u64 {
                for _ in 0..4 {
                    frequent.count(key(&format!("{round} {other}")), round, || ());
                }
            }
        }
        let counted = frequent
            .top(20)
            .into_iter()
            .find(|(found, _)| *found == key("sometimes"));
        let counted = counted.map_or(0, |(_, item)| item.count);
        assert!(counted < occurred, "the item was never dropped");
        assert!(
            counted + frequent.missed() >= occurred,
            "{counted} + {}",
            frequent.missed()
        );
    }

    #[test]
    fn few_items_are_counted_exactly_and_in_order() {
        let mut frequent = Frequent::new(2);
        for (position, text) in (0..).zip(["b", "a", "c", "a"]) {
            frequent.count(key(text), position, || text);
        }
        let top: Vec<_> = frequent
            .top(9)
            .into_iter()
            .map(|(_, item)| (item.item, item.count))
            .collect();
        assert_eq!((top, frequent.missed()), (vec![("a", 2), ("b", 1), ("c", 1)], 0));
    }
}
