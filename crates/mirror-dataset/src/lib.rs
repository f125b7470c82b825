//! Question-and-answer data: find it, load it, sample it, and compile it to a memory-mapped file
//! that any number of miner processes share through the page cache.
//!
//! The coordinator calls [`resolve`] with what the experiment file says, thins the rows with
//! [`Sample::apply`] and hands [`compile_cached`]'s path to the nodes; a node calls
//! [`Dataset::open`] and nothing else of this crate.
//!
//! | module | what it knows |
//! |---|---|
//! | `resolve` | where a data set may lie: a path, a name in one of three places, or [`builtin`] |
//! | `source` | the file formats: JSON lines, JSON, CSV, Parquet |
//! | `split` | which files of a published data set are for training |
//! | `sample` | which rows of it an experiment uses |
//! | [`builtin`] | a data set of our own, made from tables of facts |
//! | `compiled` | the memory-mapped form, written by one process and read by many |
//! | `cache` | compiled data sets kept by their content |

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
