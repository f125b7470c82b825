//! A sample of the forwards with all their texts, for plots of columns that the user names.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use crate::collect::steps::TraceOfRun;
use crate::forwards::{Collect, Forward};

/// Maximum number of forwards in the sample.
const FORWARDS: usize = 20_000;

/// Maximum size of the sample in bytes. It is sufficient for 20,000 forwards with ten answers of a thousand characters.
const BYTES: usize = 256 << 20;

/// A forward with its calls.
#[derive(Clone, Debug)]
pub struct SampledForward {
    /// Id of the run.
    pub run: String,
    /// Name of the validator.
    pub validator: String,
    /// Step, from 0.
    pub step: u64,
    /// Forward index, from 0.
    pub forward_index: u32,
    /// Block.
    pub block: u64,
    /// Whether the network was asked for a question.
    pub is_question: bool,
    /// The trace of the step. `None` if it is unknown.
    pub trace: Option<TraceOfRun>,
    /// Duration in seconds. `None` if it is unknown.
    pub call_time: Option<f64>,
    /// The prompt.
    pub message: String,
    /// The best completion. `None` if no call succeeded.
    pub completion: Option<String>,
    /// The uids whose calls succeeded, in the order of the calls.
    pub uids: Vec<u32>,
    /// The reward of each of `uids`. NaN if the reward model gave none.
    pub rewards: Vec<f64>,
    /// Scores of the gating model by uid.
    pub scores: Vec<f32>,
    /// The uids that were called, in the order of the calls.
    pub all_uids: Vec<u32>,
    /// The completion of each of `all_uids`.
    pub all_completions: Vec<String>,
}

impl SampledForward {
    fn of(forward: &Forward<'_>) -> Self {
        let best = forward.best_uid();
        let succeeded = || forward.calls().filter(super::super::forwards::Call::is_success);
        Self {
            run: forward.run().to_owned(),
            validator: forward.validator().to_owned(),
            step: forward.step(),
            forward_index: forward.forward_index(),
            block: forward.block(),
            is_question: forward.is_question(),
            trace: forward.trace(),
            call_time: forward.call_time(),
            message: forward.message().to_owned(),
            completion: succeeded()
                .find(|call| Some(call.uid()) == best)
                .map(|call| call.completion().to_owned()),
            uids: succeeded().map(|call| call.uid()).collect(),
            rewards: succeeded()
                .map(|call| call.reward().unwrap_or(f64::NAN))
                .collect(),
            scores: forward.scores().to_vec(),
            all_uids: forward.calls().map(|call| call.uid()).collect(),
            all_completions: forward.calls().map(|call| call.completion().to_owned()).collect(),
        }
    }

    fn bytes(&self) -> usize {
        let completions: usize = self.all_completions.iter().map(|text| text.len() + 24).sum();
        let best = self.completion.as_ref().map_or(0, String::len);
        400 + self.message.len()
            + best
            + completions
            + 12 * self.uids.len()
            + 4 * self.scores.len()
            + 4 * self.all_uids.len()
    }
}

/// A sample of the forwards. Which ones it contains depends only on their identities, so that it is the same each time.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Number of all forwards.
    pub of: u64,
    /// The sampled forwards with their positions, by the hash that decides which ones are kept.
    kept: BTreeMap<(u64, u64), SampledForward>,
    bytes: usize,
    /// Forwards with a hash of at least this are left out.
    limit: Option<u64>,
}

impl Sample {
    /// Returns the sampled forwards in the order of the events.
    pub fn forwards(&self) -> Vec<&SampledForward> {
        let mut forwards: Vec<(u64, &SampledForward)> = self
            .kept
            .iter()
            .map(|((_, position), forward)| (*position, forward))
            .collect();
        forwards.sort_by_key(|(position, _)| *position);
        forwards.into_iter().map(|(_, forward)| forward).collect()
    }

    /// Returns the number of sampled forwards.
    pub fn count(&self) -> usize {
        self.kept.len()
    }
}

impl Collect for Sample {
    fn add(&mut self, forward: &Forward<'_>) {
        self.of += 1;
        let mut hasher = DefaultHasher::new();
        hasher.write(forward.validator().as_bytes());
        hasher.write_u64(forward.number());
        let hash = hasher.finish();
        if self.limit.is_some_and(|limit| hash >= limit) {
            return;
        }
        let sampled = SampledForward::of(forward);
        self.bytes += sampled.bytes();
        self.kept.insert((hash, forward.position()), sampled);
        while self.kept.len() > FORWARDS || (self.bytes > BYTES && self.kept.len() > 1) {
            if let Some(((hash, _), dropped)) = self.kept.pop_last() {
                self.bytes -= dropped.bytes();
                self.limit = Some(hash);
            }
        }
    }
}
