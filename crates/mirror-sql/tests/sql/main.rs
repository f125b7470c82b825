//! DuckDB's executable against runs on disk: what is answered, what is refused, and how expectations are decided.

mod answers;
mod bounds;
mod expectations;
mod hostile;
mod runs;
