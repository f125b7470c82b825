//! Analyses a run's tables: calls, answers, pay and incidents.
//!
//! [`RunData::read`] reads the tables once, in batches, and keeps data whose size is bounded by the number of uids:
//! counts, means, samples, and series over time that become coarser instead of longer. [`Summary::of`] computes the
//! table of uids from it. [`Report`] has the results in sentences, every table and every plot of [`plots::PLOTS`], as a
//! page or as JSON. [`Report::draw_named`] adds the plots and predictions that the user names, of the columns of a
//! sample.

pub mod chart;
mod collect;
mod columns;
pub mod comparison;
mod error;
mod features;
mod forwards;
mod frame;
mod group;
pub mod inference;
mod moments;
mod named;
mod numbers;
pub mod plots;
mod report;
mod run_data;
mod sentences;
mod series;
mod summary;
mod tables;
pub mod terminal_table;

pub use collect::agreement::{Agreement, Correlation, Pairs};
pub use collect::calls::UidTally;
pub use collect::epochs::{Earned, Epochs};
pub use collect::events::Events;
pub use collect::exchange::Exchange;
pub use collect::faults::{Change, FaultTally, Faults, Period};
pub use collect::learning::Learning;
pub use collect::marks::{Incidents, Moment};
pub use collect::outcome::{OUTCOMES, Outcome, OutcomeCounts};
pub use collect::sample::{Sample, SampledForward};
pub use collect::scores::{ScoreTally, Scores};
pub use collect::steps::{Bar, SlowStep, StepTraces, TraceOfRun};
pub use collect::weights::Weights;
pub use error::AnalysisError;
pub use features::TextModels;
pub use group::GroupData;
pub use moments::{Count, Mean, Moments, Range};
pub use report::Report;
pub use run_data::RunData;
pub use sentences::{Sentence, SentenceKind};
pub use series::{Absorb, Series};
pub use summary::{Pay, Summary, Totals, UidRow};
