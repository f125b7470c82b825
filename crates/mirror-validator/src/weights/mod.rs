//! What a validator thinks of each uid, and what of that the chain lets it say.

mod calls;
mod history;
mod limits;
mod pending;
mod waiting;

pub(crate) use calls::WeightsCalls;
pub use history::{History, Reset};
pub use limits::{InvalidAverages, Limits, ProcessedWeights, process, to_u16};
pub(crate) use pending::PendingWeights;
pub use waiting::InFlightWeights;
pub(crate) use waiting::Stage;
