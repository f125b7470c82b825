//! The weights that validators set.

use std::collections::BTreeMap;

use arrow_array::{Array, Float32Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use mirror_runs::tables::WeightRow;

use super::calls::UidTally;
use crate::columns::{column, known_uids};
use crate::error::AnalysisError;

/// Number of accepted and refused settings of weights, and the last accepted weights of each validator.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    /// Number of settings that the chain accepted.
    pub set: u64,
    /// Number of settings that the chain refused.
    pub refused: u64,
    last: BTreeMap<String, WeightsAt>,
    /// Validator, step and block of the weights to which the previous row belongs.
    current: Option<(String, (u64, u64))>,
}

/// The weights of one validator at one time.
#[derive(Clone, Debug, Default)]
struct WeightsAt {
    /// Step and block.
    at: (u64, u64),
    weights: BTreeMap<u32, f64>,
}

impl Weights {
    pub(crate) const COLUMNS: [&'static str; 6] = ["validator", "step", "block", "uid", "weight", "refusal"];

    /// Returns the mean over the validators of the last weight that the chain accepted from each. `None` if it accepted
    /// none.
    pub fn last_mean(&self, uid: u32) -> Option<f64> {
        let weights = self
            .last
            .values()
            .map(|setting| setting.weights.get(&uid).copied().unwrap_or(0.0));
        let validators = self.last.len();
        (validators > 0).then(|| weights.sum::<f64>() / validators as f64)
    }

    /// Adds a batch of weights. `first_step` is added to every step.
    pub(crate) fn read(
        &mut self,
        batch: &RecordBatch,
        first_step: u64,
        uids: &mut BTreeMap<u32, UidTally>,
    ) -> Result<(), AnalysisError> {
        let validator: &StringArray = column::<WeightRow, _>(batch, "validator")?;
        let step: &UInt64Array = column::<WeightRow, _>(batch, "step")?;
        let block: &UInt64Array = column::<WeightRow, _>(batch, "block")?;
        let uid: &UInt32Array = column::<WeightRow, _>(batch, "uid")?;
        let weight: &Float32Array = column::<WeightRow, _>(batch, "weight")?;
        let refusal: &StringArray = column::<WeightRow, _>(batch, "refusal")?;
        known_uids(uid)?;
        for row in 0..batch.num_rows() {
            let step = first_step.saturating_add(step.value(row));
            let at = (step, block.value(row));
            let taken = refusal.is_null(row);
            self.note_setting(validator.value(row), at, taken);
            let weight = f64::from(weight.value(row));
            if taken && weight.is_finite() {
                self.take(validator.value(row), at, uid.value(row), weight);
                let tally = uids.entry(uid.value(row)).or_default();
                tally.weights_over_time.at(step).push(weight);
            }
        }
        Ok(())
    }

    /// Counts a setting at its first row. The rows of a setting are adjacent.
    fn note_setting(&mut self, validator: &str, at: (u64, u64), taken: bool) {
        let same = |(whose, when): &(String, (u64, u64))| whose == validator && *when == at;
        if self.current.as_ref().is_some_and(same) {
            return;
        }
        self.current = Some((validator.to_owned(), at));
        let count = if taken { &mut self.set } else { &mut self.refused };
        *count += 1;
    }

    fn take(&mut self, validator: &str, at: (u64, u64), uid: u32, weight: f64) {
        let last = self.last.entry(validator.to_owned()).or_default();
        if at > last.at {
            *last = WeightsAt {
                at,
                weights: BTreeMap::new(),
            };
        }
        if at == last.at {
            last.weights.insert(uid, weight);
        }
    }
}
