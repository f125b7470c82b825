//! Question-and-answer data: finds, loads and samples it, and compiles it to a memory-mapped file that any number of
//! miner processes share through the page cache.
//!
//! The coordinator calls [`resolve`] with the settings of the experiment file, selects rows with [`Sample::apply`], and
//! passes the path from [`compile_cached`] to the nodes. A node only calls [`Dataset::open`].
//!
//! | module | content |
//! |---|---|
//! | `resolve` | location of a data set: a path, a name in one of three places, or [`builtin`] |
//! | `source` | the file formats: JSON lines, JSON, CSV, Parquet |
//! | `split` | selection of the training files of a published data set |
//! | `sample` | selection of the rows that an experiment uses |
//! | [`builtin`] | the builtin data set, generated from tables of facts |
//! | `compiled` | the memory-mapped form, written by one process and read by many |
//! | `cache` | the cache of compiled data sets, keyed by content |

pub mod builtin;
mod cache;
mod compiled;
mod resolve;
mod row;
mod sample;
mod source;
mod split;

pub use cache::compile_cached;
pub use compiled::{Answers, CompileError, Dataset, OpenError, compile};
pub use resolve::{Request, ResolveError, Resolved, resolve};
pub use row::{Row, RowError, Schema, TEXT_MAX};
pub use sample::{Sample, SampleError};
pub use source::{Place, Problem, SourceError};
