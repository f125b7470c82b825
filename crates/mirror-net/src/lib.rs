//! Servers and channels, done once: limits, deadlines, health checking, what travels in a call's metadata, links, and how
//! transactions are signed.

pub mod channel;
pub mod delay;
mod gathering;
pub mod link;
pub mod metadata;
pub mod server;
pub mod signed;
pub mod tracer;
