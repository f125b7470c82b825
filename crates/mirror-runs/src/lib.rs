//! The run directory: it is written so that a crash loses no acknowledged record, and it can be read back and compared.
//!
//! ```text
//! runs/<id>/
//!   experiment.yml  resolved.yml    the experiment, as given and with every default
//!   manifest.json                   description of the run and how it ended
//!   lock                            held by the coordinator while the run is in progress
//!   journal/                        every record, in order of arrival   ┐
//!   parts/<segment>/<table>.parquet the journal's full segments as rows ┘ both are removed when all is in the tables
//!   <table>.parquet                 the rows of the whole run, sorted
//!   neurons.json                    the kind, role and label of each uid
//!   expectations.json  junit.xml    the results of its expectations
//!   logs/  state/                   logs and state of the processes
//!   profiles/                       CPU profiles of the processes, if the run was profiled
//! ```
//!
//! [`RunDirectory::create`] creates it, a [`Recorder`] writes its records, [`recover`] finishes a run whose coordinator
//! was killed, [`Run`] reads it in any of these states, [`view`] shows its events as one table, [`diff`] compares two
//! runs, and [`expectations`] stores the results of its expectations.

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
pub mod neurons;
mod parts;
pub mod profiles;
mod recorder;
mod run;
mod seen;
pub mod tables;
pub mod telemetry;
pub mod view;

pub use catalogue::{Listed, find, is_run, runs};
pub use cell::ColumnError;
pub use close::{OnLoss, Recovery, recover};
pub use diff::{Difference, Disagreement, Divergence, Parting, Sample, Values, Verdict, diff};
pub use directory::{NewRun, RunDirectory};
pub use error::RunError;
pub use files::{Batches, Rows};
pub use group::{Found, FoundGroup, Group, find_run_or_group, groups};
pub use layout::Layout;
pub use manifest::{Counts, Ended, Host, IMPORT, Manifest, State};
pub use mirror_journal::{Loss, Missing};
pub use neurons::{Neuron, NeuronKind};
pub use recorder::{Appended, Encoded, Recorder};
pub use run::Run;
