//! Delays: the distributions named in an experiment file, and the links from one caller to the axons that it calls.
//!
//! Each delay is drawn from the random seed and the identity of a call, so it is repeatable. Whether a delay exceeds a
//! deadline is decided by comparing the two numbers, not by a race of timers.

mod delay;
mod links;

pub use delay::Delays;
pub use links::Links;
