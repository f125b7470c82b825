//! Compares the series of every plot with those that pandas computes from the Parquet files of a run, and reads runs
//! that are empty, old, hostile or in progress.

mod bad_input;
mod comparisons;
#[path = "../made_up/mod.rs"]
mod made_up;
mod plots;
mod report;
mod run;
