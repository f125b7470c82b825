//! SQL over the tables of runs. DuckDB answers each query as a child process with bounded memory, disk space and time.
//!
//! [`Engine::find`] finds the executable. [`Engine::answer`] answers a query, [`Engine::judge`] evaluates an
//! expectation of an experiment file, and [`Engine::check`] checks before a run whether an expectation could be
//! evaluated.
//!
//! A query takes two child processes, and an expectation two more for the values that it compares. The first parses the
//! text and finds which tables it reads (`statement`). The second opens those tables (`tables`), drops every permission
//! that it does not need, and only then executes the text (`execution`). DuckDB reads the text from a file into a
//! variable and executes it with its table function `query`, which accepts one `SELECT` only. The text is therefore
//! never part of a script, and no quote, comment, semicolon or dot command in it can become part of one.

mod answer;
mod child;
mod engine;
mod error;
mod execution;
mod judge;
mod statement;
mod tables;

pub use answer::{Answer, Format};
pub use engine::{Engine, MINIMUM_VERSION, PROGRAM};
pub use error::{EngineError, SqlError};
