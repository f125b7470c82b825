//! The log, the spans and the metrics of a process, the clock of a node, and the trace context by which a prompt is
//! followed through all processes.
//!
//! Each call between processes has a span and carries its W3C trace context in its metadata. The identifiers are
//! derived from the identity of the call, so the same run has the same traces.

pub mod clock;
mod context;
mod log;
pub mod metrics;
pub mod spans;

pub use context::{ParseTraceParentError, TraceContext};
pub use log::{LogError, init};
pub use spans::{Instrument, Span, current, span};
