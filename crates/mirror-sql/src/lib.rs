//! SQL over the tables of runs. DuckDB answers each question as a child process with bounded memory, disk and time.
//!
//! [`Engine::find`] looks for the executable. [`Engine::answer`] answers a question, [`Engine::judge`] decides an
//! expectation of an experiment file, and [`Engine::check`] tells before there is a run whether an expectation could be
//! decided.
//!
//! A question takes two child processes, and an expectation two more for the values that it compares. The first parses
//! the text (`statement`) and tells which tables it reads. The second opens those tables (`tables`), gives up every
//! right that it does not need, and only then executes the text (`execution`). DuckDB reads the text from a file into a
//! variable and executes it by its table function `query`, which takes one `SELECT` and nothing else. So the text is
//! never part of a script, and no quote, comment, semicolon or dot command in it can end up in one.

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
