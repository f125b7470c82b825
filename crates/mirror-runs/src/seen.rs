//! Remembers which records were written, so that a record that is received again is acknowledged but not written twice.
//!
//! After its stream fails, a node sends all unacknowledged records again, at most a thousand, in the order of their
//! creation. It is therefore sufficient to remember the last two thousand records of each source, and memory use does
//! not grow with the run. The coordinator accepts only records of the validators of the run, which bounds the number of
//! sources. The places of a source are stored contiguously, because many small allocations with different
//! lifetimes would also keep the memory pages around them in use.

use std::collections::{HashMap, VecDeque};

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

/// Number of places that are remembered per source: twice the number of records that a node holds unacknowledged. In
/// whichever order those records arrive, fewer than this number of places are above a missing one, so a missing place
/// is never mistaken for a forgotten one.
const REMEMBERED: usize = 2_048;

/// Maximum capacity of a source between two batches, in places.
const ROOM: usize = 2 * REMEMBERED;

/// The stream to which a record belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Source {
    Events { validator: String, purpose: i32 },
    Weights { validator: String },
    Barrier { validator: String },
    Transactions,
    Epochs,
}

/// Position of a record in its source: step and forward index, block and index, or epoch and uid.
type Place = (u64, u32);

/// Identity of a record. Two records with the same identity are the same record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    source: Source,
    place: Place,
}

impl Identity {
    /// Returns the identity of a record. `None` for an incident or a fault, which the coordinator records itself and
    /// never sends again, and for unknown kinds.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let (source, place) = match record.kind.as_ref()? {
            Kind::Event(event) => {
                let validator = event.validator.clone();
                let purpose = event.purpose;
                (
                    Source::Events { validator, purpose },
                    (event.step, event.forward_index),
                )
            }
            Kind::Weights(set) => {
                let validator = set.validator.clone();
                (Source::Weights { validator }, (set.step, 0))
            }
            Kind::Barrier(retirement) => {
                let validator = retirement.validator.clone();
                (Source::Barrier { validator }, (retirement.block, 0))
            }
            Kind::Transactions(closed) => (Source::Transactions, (closed.block, closed.first)),
            Kind::Epoch(findings) => (Source::Epochs, (findings.epoch, findings.first_uid)),
            Kind::Incident(_) | Kind::Fault(_) => return None,
        };
        Some(Self { source, place })
    }
}

/// The identities seen so far.
#[derive(Debug, Default)]
pub(crate) struct SeenIds {
    sources: HashMap<Source, Window>,
}

/// The newest places of a source in ascending order. Places at or below `floor` count as seen.
#[derive(Debug, Default)]
struct Window {
    floor: Option<Place>,
    places: VecDeque<Place>,
}

impl Window {
    /// Adds `place` and returns whether it is new.
    fn note(&mut self, place: Place) -> bool {
        if self.floor.is_some_and(|floor| place <= floor) {
            return false;
        }
        // Nearly all records arrive in order.
        if self.places.back().is_none_or(|newest| *newest < place) {
            self.places.push_back(place);
            return true;
        }
        let Err(index) = self.places.binary_search(&place) else {
            return false;
        };
        self.places.insert(index, place);
        true
    }

    fn take_back(&mut self, place: Place) {
        if let Ok(index) = self.places.binary_search(&place) {
            self.places.remove(index);
        }
    }

    fn settle(&mut self) {
        while self.places.len() > REMEMBERED {
            self.floor = self.places.pop_front();
        }
        // A large batch may have needed more capacity.
        self.places.shrink_to(ROOM);
    }
}

impl SeenIds {
    /// Adds `identity` and returns whether it is new. It counts as seen from now on, unless it is taken back.
    pub(crate) fn note(&mut self, identity: &Identity) -> bool {
        if !self.sources.contains_key(&identity.source) {
            self.sources.insert(identity.source.clone(), Window::default());
        }
        let window = self.sources.get_mut(&identity.source);
        window.is_some_and(|window| window.note(identity.place))
    }

    /// Forgets an identity whose record could not be written.
    pub(crate) fn take_back(&mut self, identity: &Identity) {
        if let Some(window) = self.sources.get_mut(&identity.source) {
            window.take_back(identity.place);
        }
    }

    /// Forgets the oldest places, after the records were written.
    pub(crate) fn settle(&mut self, identities: &[Identity]) {
        for identity in identities {
            if let Some(window) = self.sources.get_mut(&identity.source) {
                window.settle();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mirror_proto::mirror::v1::ForwardEvent;

    use super::*;

    fn event(step: u64) -> Identity {
        let event = ForwardEvent {
            validator: "validator-0".to_owned(),
            step,
            ..ForwardEvent::default()
        };
        let record = Record {
            kind: Some(Kind::Event(event)),
        };
        Identity::of(&record).expect("events have an identity")
    }

    #[test]
    fn an_identity_that_was_taken_back_is_new_again() {
        let mut seen = SeenIds::default();
        assert!(seen.note(&event(1)));
        assert!(!seen.note(&event(1)));
        seen.take_back(&event(1));
        assert!(seen.note(&event(1)));
    }

    /// Returns the allocated size of the remembered places, in bytes.
    fn bytes(seen: &SeenIds) -> usize {
        let places = seen.sources.values().map(|window| window.places.capacity());
        places.sum::<usize>() * size_of::<Place>()
    }

    #[test]
    fn memory_is_bounded_and_old_records_still_count_as_seen() {
        let mut seen = SeenIds::default();
        for step in 0..10 * REMEMBERED as u64 {
            let identity = event(step);
            assert!(seen.note(&identity));
            seen.settle(&[identity]);
            assert!(bytes(&seen) <= 64 << 10, "step {step}");
        }
        for step in [0, 5, 10 * REMEMBERED as u64 - 1] {
            assert!(!seen.note(&event(step)), "step {step}");
        }
    }

    #[test]
    fn a_large_batch_keeps_no_more_memory_than_small_ones() {
        let mut seen = SeenIds::default();
        let batch: Vec<_> = (0..10 * REMEMBERED as u64).map(event).collect();
        assert!(batch.iter().all(|identity| seen.note(identity)));
        seen.settle(&batch);
        assert!(bytes(&seen) <= 64 << 10);
        assert!(!batch.iter().any(|identity| seen.note(identity)));
    }

    /// The last records of one stream and the repeated records of the next may arrive in any order.
    #[test]
    fn no_order_of_unacknowledged_records_loses_a_record() {
        const UNACKNOWLEDGED: u64 = 1_024;
        // A stride without a common divisor with the count visits every number.
        for stride in [1, 511, UNACKNOWLEDGED - 1] {
            let mut seen = SeenIds::default();
            for step in 0..5_000 {
                let identity = event(step);
                seen.note(&identity);
                seen.settle(&[identity]);
            }
            for index in 0..UNACKNOWLEDGED {
                let identity = event(5_000 + index * stride % UNACKNOWLEDGED);
                assert!(seen.note(&identity), "{identity:?}");
                assert!(!seen.note(&identity), "{identity:?}");
                seen.settle(&[identity]);
            }
        }
    }
}
