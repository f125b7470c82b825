//! The step and the forward index of an event.
//!
//! An event of a run is identified by its validator, purpose, step and forward index, and the events of a validator
//! ascend in this order. A log of a real validator has no steps. Several files may each begin at step 0.

use std::collections::HashMap;

use mirror_proto::mirror::v1::ForwardEvent;

use crate::event::{LARGEST_FORWARD_INDEX, LARGEST_STEP, Logged};
use crate::finding::Reason;

/// Maximum number of validators, each with each purpose.
const MOST_SOURCES: usize = 1_024;

/// Numbers the events of each validator and purpose.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    last: HashMap<(String, i32), Last>,
}

/// The last event of a validator and purpose.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// Step as logged.
    logged: u64,
    forward_index: u32,
    /// Number that is added to the steps as logged.
    offset: u64,
}

impl Steps {
    /// Returns the event with its step and forward index. An event without a step has the step after that of the last
    /// event. An event with the step of the last event, but without a forward index, has the next forward index. If the
    /// steps do not ascend, they are numbered onwards, which is the second result.
    pub(crate) fn number(&mut self, logged: Logged) -> Result<(ForwardEvent, bool), Reason> {
        let mut event = logged.event;
        let source = (event.validator.clone(), event.purpose);
        let Some(last) = self.last.get(&source).copied() else {
            if self.last.len() == MOST_SOURCES {
                return Err(Reason::TooManyValidators);
            }
            event.step = logged.step.unwrap_or(0);
            event.forward_index = logged.forward_index.unwrap_or(0);
            let first = Last {
                logged: event.step,
                forward_index: event.forward_index,
                offset: 0,
            };
            self.last.insert(source, first);
            return Ok((event, false));
        };
        let step = logged.step.unwrap_or(last.logged + 1);
        let repeated = step == last.logged;
        let next_index = if repeated {
            Some(last.forward_index + 1).filter(|index| *index <= LARGEST_FORWARD_INDEX)
        } else {
            Some(0)
        };
        let forward_index = (logged.forward_index.or(next_index)).ok_or(Reason::StepTooLarge)?;
        let ascends = (step, forward_index) > (last.logged, last.forward_index);
        let offset = if ascends {
            last.offset
        } else {
            // The recorded step is the one after the last recorded step.
            last.offset + last.logged + 1 - step
        };
        let recorded = offset + step;
        if recorded > LARGEST_STEP {
            return Err(Reason::StepTooLarge);
        }
        let next = Last {
            logged: step,
            forward_index,
            offset,
        };
        self.last.insert(source, next);
        event.step = recorded;
        event.forward_index = forward_index;
        Ok((event, !ascends))
    }
}
