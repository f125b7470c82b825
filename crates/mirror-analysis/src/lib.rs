//! Analyses a run's tables: calls, answers, pay and incidents.
//!
//! [`RunData::read`] reads the tables once, in batches, and keeps data whose size is bounded by the number of uids:
//! counts, means, and series over time that become coarser instead of longer. [`Summary::of`] computes the table of
//! uids from it, for the terminal and the report. [`write_report`] writes the report with every plot of
//! [`plots::PLOTS`].

mod columns;
mod epochs;
mod error;
mod exchange;
mod group;
pub mod inference;
mod moments;
mod numbers;
mod outcome;
pub mod plots;
mod report;
mod run_data;
mod series;
mod summary;
mod table;
mod tally;
pub mod terminal_table;
mod weights;

pub use epochs::{Earned, Epochs};
pub use error::AnalysisError;
pub use exchange::Exchange;
pub use group::GroupData;
pub use moments::{Mean, Moments, Range};
pub use outcome::{OUTCOMES, Outcome, OutcomeCounts};
pub use report::{render_group_report, render_report, write_group_report, write_report};
pub use run_data::{Events, Incidents, RunData};
pub use series::{Absorb, Series};
pub use summary::{Pay, Summary, Totals, UidRow};
pub use tally::UidTally;
pub use weights::Weights;
