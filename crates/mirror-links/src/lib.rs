//! Links between nodes: the distributions of delays that an experiment file names, and the rules of faults that delay
//! calls or let them fail.
//!
//! Each draw is a hash of the random seed, the name of the rule and effect, and the identity of a call, so it is
//! repeatable, and a new rule does not change the draws of another. Whether a delay exceeds a deadline is decided by
//! comparing the two numbers, not by a race of timers. [`Transport`] lets calls fail below the gRPC client, so that the
//! caller gets the same errors as from a real network.

mod delay;
mod fate;
mod http2;
mod links;
mod rule;
mod transport;

pub use delay::Delays;
pub use fate::{Fate, Plan};
pub use links::{Links, MAX_RULES, TooManyRules};
pub use transport::Transport;
