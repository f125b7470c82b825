//! The traces of a run, read from its table `spans`.
//!
//! [`traces`] iterates over the traces of a run and [`find`] looks one up. A [`Trace`] is a tree of spans whose times
//! are corrected for the clocks of the nodes. [`CriticalPath`] states which spans the duration of a trace consists of,
//! [`Waterfall`] is the picture of a trace, [`Comparison`] compares two runs, and [`export`] writes the formats of
//! other programs.

mod bootstrap;
mod clock;
mod compare;
mod critical_path;
mod duration;
pub mod export;
mod lookup;
mod trace;
mod waterfall;

pub use clock::ClockOffset;
pub use compare::{Change, Comparison, Grouping, Interval, Pairing, SAMPLE, Verdict, compare};
pub use critical_path::{CriticalPath, PathTotals, Phase, Segment, UidTotals};
pub use duration::duration_text;
pub use lookup::{FindError, Selector, SelectorError, Traces, count, find, traces};
pub use trace::{EndedNodes, Place, Span, Trace};
pub use waterfall::{Folding, Line, TextLine, Tone, Waterfall};
