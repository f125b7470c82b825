//! Traces of a run, read from its table `spans`.
//!
//! [`Traces`] returns one [`Trace`] after the other, so that memory is bounded by the largest trace. [`Wanted`] names
//! one trace. [`critical_path`] finds the spans that a step waited for, [`waterfall`] arranges the spans of a trace for
//! a person, [`compare`] compares two runs, and [`export`] writes traces in the formats of other programs.

mod clock;
pub mod compare;
pub mod critical_path;
pub mod duration;
pub mod export;
mod find;
mod incidents;
mod neurons;
mod no_spans;
pub mod otlp;
mod phase;
mod trace;
mod traces;
pub mod waterfall;

pub use clock::ClockOffset;
pub use find::{FindError, Wanted, WantedError, find};
pub use incidents::Incidents;
pub use neurons::Neurons;
pub use no_spans::NoSpans;
pub use phase::Phase;
pub use trace::{CLIENT, Detached, SERVER, Span, Trace};
pub use traces::{Traces, has_spans};
