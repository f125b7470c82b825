//! Weights on their way to the chain, and which of their changes the validator's memory does not have yet.

use super::InFlightWeights;

/// Weights on their way to the chain, now and as the memory has them.
#[derive(Debug, Default)]
pub(crate) struct PendingWeights {
    now: InFlightWeights,
    remembered: InFlightWeights,
}

impl PendingWeights {
    /// The weights on their way as the memory had them before a restart.
    pub(crate) fn restored(remembered: InFlightWeights) -> Self {
        Self {
            now: remembered.clone(),
            remembered,
        }
    }

    /// The weights on their way now.
    pub(crate) fn now(&mut self) -> &mut InFlightWeights {
        &mut self.now
    }

    /// The weights on their way, if they have changed since this was called last. They count as remembered from then
    /// on.
    pub(crate) fn take_change(&mut self) -> Option<InFlightWeights> {
        (self.now != self.remembered).then(|| {
            self.remembered.clone_from(&self.now);
            self.now.clone()
        })
    }
}
