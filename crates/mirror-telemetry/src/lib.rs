//! Logs and trace context: how every process says what it does, and how one prompt is followed through all of them.
//!
//! Spans stand at every boundary between processes. Each call carries its W3C trace context in its metadata; the
//! identifiers come from the call's identity, so the same run has the same traces.

mod context;
mod log;

pub use context::{ParseTraceParentError, TraceContext};
pub use log::{LogError, init};
