//! Which records were written already, so that one that comes again is acknowledged and not written twice.
//!
//! A node that lost its stream sends again what was not acknowledged, at most a thousand records, in the order in which
//! it made them. So it is enough to know the last two thousand of each source, and memory does not grow with the run.
//! They lie side by side: small pieces of memory, kept for long and each for its own time, would hold the pages around
//! them too.

use std::collections::{HashMap, VecDeque};

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

/// Places remembered one by one, a source: twice as many as a node holds unacknowledged. Whatever of these comes first,
/// fewer places stand above one that has not come, so that it is not taken for one that was forgotten.
const REMEMBERED: usize = 2_048;

/// Places that a source has room for between two batches.
const ROOM: usize = 2 * REMEMBERED;

/// What a record is one of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Source {
    Events { validator: String, purpose: i32 },
    Weights { validator: String },
    Barrier { validator: String },
    Transactions,
    Epochs,
}

/// Where in its source a record stands: step and half, block and place, or epoch and uid.
type Place = (u64, u32);

/// What makes a record the same as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    source: Source,
    place: Place,
}

impl Identity {
    /// None for an incident, which the coordinator itself sees and never sends again, and for kinds not known here.
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
            Kind::Incident(_) => return None,
        };
        Some(Self { source, place })
    }
}

/// The identities seen so far.
#[derive(Debug, Default)]
pub(crate) struct SeenIds {
    sources: HashMap<Source, Window>,
}

/// The newest places of a source, in their order; what lies at or below `floor` counts as seen.
#[derive(Debug, Default)]
struct Window {
    floor: Option<Place>,
    places: VecDeque<Place>,
}

impl Window {
    /// Whether `place` is new.
    fn note(&mut self, place: Place) -> bool {
        if self.floor.is_some_and(|floor| place <= floor) {
            return false;
        }
        // Nearly all come in their order.
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
        // A large batch had needed more.
        self.places.shrink_to(ROOM);
    }
}

impl SeenIds {
    /// Whether `identity` is new. It is seen from here on, unless it is taken back.
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

    /// Lets go of the oldest places, now that what was noted is written.
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
    fn what_was_taken_back_is_new_again() {
        let mut seen = SeenIds::default();
        assert!(seen.note(&event(1)));
        assert!(!seen.note(&event(1)));
        seen.take_back(&event(1));
        assert!(seen.note(&event(1)));
    }

    /// Bytes of the places that are remembered, with the room for more.
    fn bytes(seen: &SeenIds) -> usize {
        let places = seen.sources.values().map(|window| window.places.capacity());
        places.sum::<usize>() * size_of::<Place>()
    }

    #[test]
    fn memory_is_bounded_and_the_past_stays_seen() {
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
    fn a_large_batch_leaves_no_more_than_small_ones() {
        let mut seen = SeenIds::default();
        let batch: Vec<_> = (0..10 * REMEMBERED as u64).map(event).collect();
        assert!(batch.iter().all(|identity| seen.note(identity)));
        seen.settle(&batch);
        assert!(bytes(&seen) <= 64 << 10);
        assert!(!batch.iter().any(|identity| seen.note(identity)));
    }

    /// What the end of one stream brings and what its successor sends again come in any order.
    #[test]
    fn no_order_of_what_is_unacknowledged_loses_a_record() {
        const UNACKNOWLEDGED: u64 = 1_024;
        // A number without a common divisor with the count goes through all of them.
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
