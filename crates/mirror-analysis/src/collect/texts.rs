//! The most frequent prompts and completions, and the most frequent completions of each uid.

use super::frequent::{Frequent, key};
use crate::forwards::{Collect, Extent, Forward};
use crate::moments::{Count, Moments};
use crate::numbers::shortened;
use crate::series::Series;

/// Number of texts that are counted exactly, at least.
const TEXTS: usize = 5_000;

/// Number of texts of one uid that are counted exactly, at least.
const TEXTS_OF_UID: usize = 500;

/// Maximum number of time bins of a text.
const BINS: usize = 100;

/// Maximum number of characters of a text that are kept.
const LONGEST: usize = 200;

/// A prompt or a completion.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// The text, shortened.
    pub(crate) content: String,
    /// Finite rewards of the calls with this text: those of the completion, or of all answers to the prompt.
    pub(crate) rewards: Moments,
    /// Number of occurrences by second since the first forward of the run.
    pub(crate) over_time: Series<Count>,
}

impl Text {
    fn new(text: &str) -> Self {
        Self {
            content: shortened(text, LONGEST),
            rewards: Moments::default(),
            over_time: Series::new(BINS),
        }
    }
}

/// The texts of a run.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    pub(crate) prompts: Frequent<Text>,
    pub(crate) completions: Frequent<Text>,
    /// Successful completions by uid, from 0.
    pub(crate) by_uid: Vec<Frequent<()>>,
    extent: Extent,
}

impl Texts {
    pub(crate) fn new(extent: Extent) -> Self {
        Self {
            prompts: Frequent::new(TEXTS),
            completions: Frequent::new(TEXTS),
            by_uid: Vec::new(),
            extent,
        }
    }
}

impl Collect for Texts {
    fn add(&mut self, forward: &Forward<'_>) {
        let position = forward.position();
        let since = forward
            .started_at()
            .and_then(|at| self.extent.seconds_until(at))
            .map(|seconds| seconds as u64);
        let message = forward.message();
        let prompt = self.prompts.count(key(message), position, || Text::new(message));
        if let Some(since) = since {
            prompt.item.over_time.at(since).push();
        }
        for call in forward.calls() {
            if !call.is_success() {
                continue;
            }
            let reward = call.reward().filter(|reward| reward.is_finite());
            if let Some(reward) = reward {
                prompt.item.rewards.push(reward);
            }
            let completion = call.completion();
            let key = key(completion);
            let counted = self.completions.count(key, position, || Text::new(completion));
            if let Some(reward) = reward {
                counted.item.rewards.push(reward);
            }
            if let Some(since) = since {
                counted.item.over_time.at(since).push();
            }
            let uid = call.uid() as usize;
            if uid >= self.by_uid.len() {
                self.by_uid.resize_with(uid + 1, || Frequent::new(TEXTS_OF_UID));
            }
            self.by_uid[uid].count(key, position, || ());
        }
    }
}
