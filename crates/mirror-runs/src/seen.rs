//! Which records were written already, so that one that comes again is acknowledged and not written twice.
//!
//! A node that lost its stream sends again what was not acknowledged, at most some thousand records, in the order in which
//! it made them. So it is enough to know the last few thousand of each node, and memory does not grow with the run.

use std::collections::{BTreeSet, HashMap};

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

/// Places remembered one by one, a source. Several times what a node holds unacknowledged.
const REMEMBERED: usize = 8192;

/// What a record is one of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Source {
    Events { validator: String, purpose: i32 },
    Weights { validator: String },
    Barrier { validator: String, what: String },
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
                    (event.step, event.step_sub),
                )
            }
            Kind::Weights(set) => {
                let validator = set.validator.clone();
                (Source::Weights { validator }, (set.step, 0))
            }
            Kind::Barrier(change) => {
                let validator = change.validator.clone();
                let what = change.what.clone();
                (Source::Barrier { validator, what }, (change.block, 0))
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
pub(crate) struct Seen {
    sources: HashMap<Source, Window>,
}

/// The newest places of a source; what lies at or below `floor` counts as seen.
#[derive(Debug, Default)]
struct Window {
    floor: Option<Place>,
    places: BTreeSet<Place>,
}

impl Seen {
    /// Whether `identity` is new. It is seen from here on, unless it is taken back.
    pub(crate) fn note(&mut self, identity: &Identity) -> bool {
        if !self.sources.contains_key(&identity.source) {
            self.sources.insert(identity.source.clone(), Window::default());
        }
        self.sources.get_mut(&identity.source).is_some_and(|window| {
            let above = window.floor.is_none_or(|floor| identity.place > floor);
            above && window.places.insert(identity.place)
        })
    }

    /// Forgets an identity whose record could not be written.
    pub(crate) fn take_back(&mut self, identity: &Identity) {
        if let Some(window) = self.sources.get_mut(&identity.source) {
            window.places.remove(&identity.place);
        }
    }

    /// Lets go of the oldest places, now that what was noted is written.
    pub(crate) fn settle(&mut self, identities: &[Identity]) {
        for identity in identities {
            let Some(window) = self.sources.get_mut(&identity.source) else {
                continue;
            };
            while window.places.len() > REMEMBERED {
                window.floor = window.places.pop_first();
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
        let mut seen = Seen::default();
        assert!(seen.note(&event(1)));
        assert!(!seen.note(&event(1)));
        seen.take_back(&event(1));
        assert!(seen.note(&event(1)));
    }

    #[test]
    fn memory_is_bounded_and_the_past_stays_seen() {
        let mut seen = Seen::default();
        for step in 0..10 * REMEMBERED as u64 {
            let identity = event(step);
            assert!(seen.note(&identity));
            seen.settle(&[identity]);
        }
        let kept: usize = seen.sources.values().map(|window| window.places.len()).sum();
        assert_eq!(kept, REMEMBERED);
        for step in [0, 5, 10 * REMEMBERED as u64 - 1] {
            assert!(!seen.note(&event(step)), "step {step}");
        }
    }
}
