//! Weights on their way to the chain, with their changes since the last learning record.

use super::InFlightWeights;

/// Weights on their way to the chain, at present and in the last learning record.
#[derive(Debug, Default)]
pub(crate) struct PendingWeights {
    now: InFlightWeights,
    remembered: InFlightWeights,
}

impl PendingWeights {
    /// Restores the weights from the learning records after a restart.
    pub(crate) fn restored(remembered: InFlightWeights) -> Self {
        Self {
            now: remembered.clone(),
            remembered,
        }
    }

    /// Returns the current weights on their way.
    pub(crate) fn now(&mut self) -> &mut InFlightWeights {
        &mut self.now
    }

    /// Returns the weights on their way if they have changed since the last call, and marks them as recorded.
    pub(crate) fn take_change(&mut self) -> Option<InFlightWeights> {
        (self.now != self.remembered).then(|| {
            self.remembered.clone_from(&self.now);
            self.now.clone()
        })
    }
}
