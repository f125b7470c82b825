//! Tests of the DuckDB executable with runs on disk: answers, refused statements, limits, and the evaluation of
//! expectations.

mod answers;
mod bounds;
mod expectations;
mod hostile;
mod runs;
