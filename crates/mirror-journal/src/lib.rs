//! An append-only log of records on disk that survives `kill -9` of its writer.
//!
//! A journal is a folder of segments, `000001.journal`, `000002.journal`, …. Each segment is a sequence of frames:
//!
//! ```text
//! length: u32, little-endian │ crc32 of length and payload: u32, little-endian │ payload
//! ```
//!
//! Once [`Writer::append_batch`] has returned, its records are with the operating system, and the death of any process
//! does not lose them. Once [`Writer::sync`] has returned, they also survive a power failure. A writer that died during
//! a write leaves a torn tail. [`Reader`] stops before the torn tail, [`Writer::open`] cuts it off, and both report its
//! size in bytes. Damage anywhere else is an error that names the place.

mod error;
mod frame;
mod reader;
mod segment;
mod writer;

pub use error::JournalError;
pub use frame::MAX_RECORD;
pub use reader::{Entry, Reader};
pub use writer::{MAX_BATCH, Opened, Position, Writer};
