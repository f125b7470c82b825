//! A validator's weights: the moving averages, the chain's limits, and the calls that submit them.

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
