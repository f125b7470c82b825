//! Servers and channels, done once: limits, deadlines, health checking, what travels in a call's metadata, and links.

pub mod channel;
mod gathering;
pub mod link;
pub mod metadata;
pub mod server;
pub mod tracer;
