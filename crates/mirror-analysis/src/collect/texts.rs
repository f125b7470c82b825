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
    /// The text, shortened. `None` for a text that occurred once, after rare texts have been dropped.
    pub(crate) content: Option<String>,
    /// Finite rewards of the calls with this text: those of the completion, or of all answers to the prompt.
    pub(crate) rewards: Moments,
    /// Number of occurrences by second since the first forward of the run, from the second occurrence on.
    over_time: Option<Box<Series<Count>>>,
    /// Second of the first occurrence.
    first: Option<u64>,
}

impl Text {
    fn new() -> Self {
        Self {
            content: None,
            rewards: Moments::default(),
            over_time: None,
            first: None,
        }
    }

    /// Returns the number of occurrences by second since the first forward of the run.
    pub(crate) fn over_time(&self) -> Series<Count> {
        let mut over_time = self
            .over_time
            .as_deref()
            .cloned()
            .unwrap_or_else(|| Series::new(BINS));
        if let Some(first) = self.first {
            over_time.at(first).push();
        }
        over_time
    }
}

/// Counts a text that occurred at a second since the first forward. Most texts of a long run occur once and are dropped
/// again, so memory for the text and its times is only allocated for texts that are kept.
fn count<'a>(
    texts: &'a mut Frequent<Text>,
    key: u64,
    position: u64,
    text: &str,
    since: Option<u64>,
) -> &'a mut Text {
    let keeps_all = texts.missed() == 0;
    let counted = texts.count(key, position, Text::new);
    let item = &mut counted.item;
    if item.content.is_none() && (keeps_all || counted.count > 1) {
        item.content = Some(shortened(text, LONGEST));
    }
    if let Some(since) = since {
        if counted.count == 1 {
            item.first = Some(since);
        } else {
            let over_time = item.over_time.get_or_insert_with(|| Box::new(Series::new(BINS)));
            over_time.at(since).push();
        }
    }
    item
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

    /// Forgets all texts.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.extent);
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
        let prompt = count(&mut self.prompts, key(message), position, message, since);
        for call in forward.calls() {
            if !call.is_success() {
                continue;
            }
            let reward = call.reward().filter(|reward| reward.is_finite());
            if let Some(reward) = reward {
                prompt.rewards.push(reward);
            }
            let completion = call.completion();
            let key = key(completion);
            let counted = count(&mut self.completions, key, position, completion, since);
            if let Some(reward) = reward {
                counted.rewards.push(reward);
            }
            let uid = call.uid() as usize;
            if uid >= self.by_uid.len() {
                self.by_uid.resize_with(uid + 1, || Frequent::new(TEXTS_OF_UID));
            }
            self.by_uid[uid].count(key, position, || ());
        }
    }
}
