//! The run directory: written so that a crash loses nothing acknowledged, read back, compared.
//!
//! ```text
//! runs/<id>/
//!   experiment.yml  resolved.yml    the experiment, as given and with every default
//!   manifest.json                   what this run is and how it ended
//!   lock                            held by the coordinator while the run goes on
//!   journal/                        every record, as it came            ┐
//!   parts/<segment>/<table>.parquet the journal's full segments as rows ┘ both gone once the run has ended
//!   <table>.parquet                 the rows of the whole run, sorted
//!   logs/  state/                   of the processes
//! ```
//!
//! [`RunDirectory::create`] makes it, a [`Recorder`] fills it, [`recover`] ends what a killed coordinator left behind,
//! [`Run`] reads it in any of these states, [`view`] shows its events as one table, [`diff`] compares two.

mod catalogue;
mod cell;
mod close;
mod diff;
mod directory;
mod error;
mod files;
mod layout;
mod lock;
mod manifest;
mod parts;
mod recorder;
mod run;
mod seen;
pub mod tables;
pub mod view;

pub use catalogue::{Listed, find, runs};
pub use cell::ColumnError;
pub use close::{Recovery, recover};
pub use diff::{Difference, Disagreement, Divergence, Sample, Verdict, diff};
pub use directory::{NewRun, RunDirectory};
pub use error::RunError;
pub use files::{Batches, Rows};
pub use layout::Layout;
pub use manifest::{Counts, Ended, Host, Manifest, State};
pub use recorder::{Appended, Encoded, Recorder};
pub use run::Run;
