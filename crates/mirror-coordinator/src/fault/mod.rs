//! Faults: damage that the run does deliberately.
//!
//! [`schedule`] decides when a fault begins and ends, [`active`] holds the faults in effect, and each kind of fault has
//! a file in [`kinds`], which changes the state that a node is to have ([`NodeState`]). The orchestrator brings the
//! nodes into that state: at the holds of the block barrier, at times by the clock, and whenever a node has been
//! restarted.
//!
//! A state depends only on the faults in effect, so that faults may begin and end in any order:
//! - a node is dead while at least one fault kills it, and paused while at least one fault pauses it;
//! - rules of links apply in the order of the file, and then in the order in which they were added;
//! - of several faults that set the same limit, clock or behaviour, the one that began last applies.

pub(crate) mod active;
mod kinds;
pub(crate) mod schedule;

pub(crate) use active::{Active, ActiveFault, NodeState};
pub(crate) use schedule::{Due, Occurrence, Schedule};
