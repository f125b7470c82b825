//! Selects the completions with the highest rewards, each with its prompt.

use crate::collect::steps::TraceOfRun;
use crate::forwards::{Collect, Forward};
use crate::numbers::shortened;

/// Maximum number of completions that are kept.
const KEPT: usize = 5;

/// Maximum number of characters of a text that are kept.
const LONGEST: usize = 600;

/// A completion with its prompt.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Exchange {
    /// Name of the validator: `validator-0`.
    pub validator: String,
    /// Step of the query, from 0.
    pub step: u64,
    /// Forward index, from 0.
    pub forward_index: u32,
    /// The uid that answered.
    pub uid: u32,
    /// The trace of the step. `None` if it is unknown.
    pub trace: Option<TraceOfRun>,
    /// Reward of the completion.
    pub reward: f64,
    /// The prompt, shortened.
    pub message: String,
    /// The completion, shortened.
    pub completion: String,
}

/// The best completions, best first, without duplicate texts. Of equal rewards, the earlier completion is first.
#[derive(Clone, Debug, Default)]
pub(crate) struct BestExchanges {
    best: Vec<Exchange>,
}

impl BestExchanges {
    pub(crate) fn into_best(self) -> Vec<Exchange> {
        self.best
    }

    /// Returns whether a completion with this reward would be kept, regardless of its text.
    fn would_keep(&self, reward: f64) -> bool {
        match self.best.last() {
            Some(worst) if self.best.len() == KEPT => reward > worst.reward,
            _ => true,
        }
    }

    fn offer(&mut self, exchange: Exchange) {
        let same = self
            .best
            .iter()
            .position(|kept| kept.completion == exchange.completion);
        if let Some(same) = same {
            if self.best[same].reward >= exchange.reward {
                return;
            }
            self.best.remove(same);
        }
        let place = self.best.partition_point(|kept| kept.reward >= exchange.reward);
        self.best.insert(place, exchange);
        self.best.truncate(KEPT);
    }
}

impl Collect for BestExchanges {
    fn add(&mut self, forward: &Forward<'_>) {
        for call in forward.calls() {
            let Some(reward) = call.reward().filter(|reward| reward.is_finite()) else {
                continue;
            };
            if self.would_keep(reward) {
                self.offer(Exchange {
                    validator: forward.validator().to_owned(),
                    step: forward.step(),
                    forward_index: forward.forward_index(),
                    uid: call.uid(),
                    trace: forward.trace(),
                    reward,
                    message: shortened(forward.message(), LONGEST),
                    completion: shortened(call.completion(), LONGEST),
                });
            }
        }
    }
}
