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
//!   roles.json                      what each uid was told to be
//!   expectations.json  junit.xml    what became of what was expected of it
//!   logs/  state/                   of the processes
//! ```
//!
//! [`RunDirectory::create`] makes it, a [`Recorder`] fills it, [`recover`] ends what a killed coordinator left behind,
//! [`Run`] reads it in any of these states, [`view`] shows its events as one table, [`diff`] compares two,
//! [`expectations`] keeps what became of its expectations.

mod catalogue;
mod cell;
mod close;
mod diff;
mod directory;
mod error;
pub mod expectations;
mod files;
mod group;
mod layout;
mod lock;
mod manifest;
mod parts;
mod recorder;
pub mod roles;
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
pub use group::{Group, runs_of_group};
pub use layout::Layout;
pub use manifest::{Counts, Ended, Host, Manifest, State};
pub use recorder::{Appended, Encoded, Recorder};
pub use roles::Role;
pub use run::Run;
