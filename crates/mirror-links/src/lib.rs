//! Delays: the distributions that an experiment file names, and the links from one caller to the axons that it calls.
//!
//! Each delay is drawn from the seed and the identity of a call, so it repeats. Whether a delay exceeds a deadline is
//! decided by comparing the two numbers, not by a race of timers.

mod delay;
mod links;

pub use delay::Delays;
pub use links::Links;
