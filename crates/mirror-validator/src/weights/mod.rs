//! What a validator thinks of each uid, and what of that the chain lets it say.

mod history;
mod limits;

pub use history::{History, Reset};
pub use limits::{Limits, Processed, process, to_u16};
