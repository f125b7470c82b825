//! The calls that an axon refuses: a counter for each cause, and a log line a second.

use std::fmt::Display;

use mirror_identity::Hotkey;
use mirror_net::counter::Counter;
use mirror_telemetry::metrics::{KeyValue, instruments};

/// The reason why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The call is not signed as the protocol requires, or its body states another hotkey.
    Signature,
    Blacklist,
    /// The queue is full, and the others in it have more stake.
    Queue,
}

impl Cause {
    /// Returns the name of the cause in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Blacklist => "blacklist",
            Self::Queue => "queue",
        }
    }
}

/// The refused calls of one axon.
#[derive(Debug)]
pub struct Refusals {
    uid: u32,
    signature: Counter,
    blacklist: Counter,
    queue: Counter,
}

impl Refusals {
    pub(crate) fn new(uid: u32) -> Self {
        Self {
            uid,
            signature: Counter::default(),
            blacklist: Counter::default(),
            queue: Counter::default(),
        }
    }

    /// Counts a refused call, and logs it if the last line with this cause is old enough. `caller` is `None` if it is
    /// not known.
    pub(crate) fn note(&self, cause: Cause, caller: Option<Hotkey>, reason: &dyn Display) {
        let attributes = [
            KeyValue::new("mirror.uid", i64::from(self.uid)),
            KeyValue::new("mirror.cause", cause.name()),
        ];
        instruments().refusals.add(1, &attributes);
        if let Some(times) = self.counter(cause).count() {
            let caller = caller.map(tracing::field::display);
            tracing::warn!(uid = self.uid, ?cause, times, caller, %reason, "the axon refused a call");
        }
    }

    fn counter(&self, cause: Cause) -> &Counter {
        match cause {
            Cause::Signature => &self.signature,
            Cause::Blacklist => &self.blacklist,
            Cause::Queue => &self.queue,
        }
    }
}
