//! Selects the completions with the highest rewards, each with its prompt.

use arrow_array::{RecordBatch, StringArray, UInt32Array, UInt64Array};
use mirror_runs::Run;
use mirror_runs::tables::EventRow;

use crate::columns::{batches, column};
use crate::error::AnalysisError;
use crate::numbers::shortened;
use crate::run_data::QUERY;

/// Maximum number of completions that are kept.
const KEPT: usize = 5;

/// Maximum number of characters of a text that are kept.
const LONGEST: usize = 600;

/// A completion with its prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Name of the validator: `validator-0`.
    pub validator: String,
    /// Step of the query, from 0.
    pub step: u64,
    /// Forward index, from 0.
    pub forward_index: u32,
    /// The uid that answered.
    pub uid: u32,
    /// Reward of the completion.
    pub reward: f64,
    /// The prompt, shortened.
    pub message: String,
    /// The completion, shortened.
    pub completion: String,
}

/// The best completions, best first, without duplicate texts. Of equal rewards, the earlier completion is first.
#[derive(Debug, Default)]
pub(crate) struct BestExchanges {
    best: Vec<Exchange>,
}

impl BestExchanges {
    /// Returns whether a completion with this reward would be kept, regardless of its text.
    pub(crate) fn would_keep(&self, reward: f64) -> bool {
        match self.best.last() {
            Some(worst) if self.best.len() == KEPT => reward > worst.reward,
            _ => true,
        }
    }

    pub(crate) fn offer(&mut self, mut exchange: Exchange) {
        exchange.completion = shortened(&exchange.completion, LONGEST);
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

    /// Adds the prompts and returns the completions.
    pub(crate) fn with_messages(mut self, run: &Run) -> Result<Vec<Exchange>, AnalysisError> {
        if self.best.is_empty() {
            return Ok(self.best);
        }
        let columns = ["validator", "purpose", "step", "forward_index", "message"];
        for batch in batches::<EventRow>(run, &columns)? {
            self.find_messages(&batch?)?;
        }
        Ok(self.best)
    }

    fn find_messages(&mut self, batch: &RecordBatch) -> Result<(), AnalysisError> {
        let validator: &StringArray = column::<EventRow, _>(batch, "validator")?;
        let purpose: &StringArray = column::<EventRow, _>(batch, "purpose")?;
        let step: &UInt64Array = column::<EventRow, _>(batch, "step")?;
        let forward_index: &UInt32Array = column::<EventRow, _>(batch, "forward_index")?;
        let message: &StringArray = column::<EventRow, _>(batch, "message")?;
        for row in 0..batch.num_rows() {
            for exchange in &mut self.best {
                let asked = exchange.step == step.value(row)
                    && exchange.forward_index == forward_index.value(row)
                    && exchange.validator == validator.value(row)
                    && purpose.value(row) == QUERY;
                if asked {
                    exchange.message = shortened(message.value(row), LONGEST);
                }
            }
        }
        Ok(())
    }
}
