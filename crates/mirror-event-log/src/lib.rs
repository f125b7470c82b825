//! Event logs of validators, read into the tables of a run.
//!
//! A validator of Bittensor's version 4 writes its events with loguru, one JSON object per line. Upstream and
//! `mirror runs show RUN --events` write events as JSON lines or as CSV. [`import`] reads such files and writes a run
//! directory, so that an analysis reads a log in the same way as a run. [`named`] finds the files that an entry of
//! `analysis.requires` names.
//!
//! Files may have any size and any content. Memory does not grow with a file: the length of a line, the number of
//! values of a line, the length of a list and the depth of nesting are bounded. Whatever cannot be read with certainty
//! is left out, and is counted by reason ([`Finding`]).
//!
//! - `lines`: lines of a plain or gzip file
//! - `rows`: rows of CSV, which may contain ends of lines
//! - `literal`: values in the syntax of JSON or of Python
//! - `event`: the event of a line
//! - `steps`: the step and the forward index of an event
//! - `reader`: all events of a file
//! - `finding`: counts of what was left out
//! - `import`: the run directory
//! - `named`: names of files

mod event;
mod finding;
mod import;
mod lines;
mod literal;
mod named;
mod reader;
mod rows;
mod steps;

pub use finding::Finding;
pub use import::{ImportError, Imported, import};
pub use named::{NameError, Named, named};
