//! An append-only log of records on disk that survives `kill -9` of its writer.
//!
//! A journal is a folder of segments, `000001.journal`, `000002.journal`, …. Each segment begins with a head, in two
//! equal copies, which is followed by frames. All numbers are little-endian:
//!
//! ```text
//! head:   "MNJ2" │ salt: u32 │ sequence number of the first record: u64 │ crc32 of these: u32
//! frame:  length: u32 │ sequence number: u64 │ crc32 of these: u32 │ crc32 of these and payload: u32 │ payload
//! ```
//!
//! The checksums of frames start from the random salt, so that no content of a record can look like a frame. A full
//! segment ends with a mark, a frame with the length 2³²-1 and no payload. Segments of earlier versions have no head,
//! no mark and no sequence numbers (length, crc32 of length and payload, payload). They can be read; a writer begins a
//! new segment after them.
//!
//! Once [`Writer::append_batch`] has returned, its records are with the operating system, and the death of any process
//! does not lose them. Once [`Writer::sync`] has returned, they also survive a power failure. A writer that died during
//! a write leaves a torn tail. [`Reader`] stops before the torn tail, [`Writer::open`] cuts it off, and both report its
//! size in bytes. Damage anywhere else is an error that names the place. [`Salvage`] reads all intact records of a
//! damaged journal and reports which are missing.

mod error;
mod frame;
mod reader;
mod salvage;
mod scan;
mod segment;
mod writer;

pub use error::JournalError;
pub use frame::MAX_RECORD;
pub use reader::{Entry, Reader};
pub use salvage::{Loss, Missing, Salvage, Salvaged};
pub use writer::{MAX_BATCH, Opened, Position, Writer};
