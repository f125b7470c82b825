//! An append-only log of records on disk that survives `kill -9` of its writer.
//!
//! A journal is a folder of segments, `000001.journal`, `000002.journal`, …, each a row of frames:
//!
//! ```text
//! length: u32, little-endian │ crc32 of length and payload: u32, little-endian │ payload
//! ```
//!
//! What [`Writer::append_batch`] has returned for is with the operating system: the death of any process loses none of
//! it. What [`Writer::sync`] has returned for survives a power cut as well.
//! A writer that died inside a write leaves a torn tail; [`Reader`] stops before it and [`Writer::open`] cuts it off,
//! and both say how many bytes that were. Damage anywhere else is an error that names the place.

mod error;
mod frame;
mod reader;
mod segment;
mod writer;

pub use error::JournalError;
pub use frame::MAX_RECORD;
pub use reader::{Entry, Reader};
pub use writer::{MAX_BATCH, Opened, Position, Writer};
