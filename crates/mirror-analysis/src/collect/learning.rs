//! Losses of the gating model and norms of its gradients.

use std::collections::BTreeMap;

use arrow_array::{Float32Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use mirror_runs::Run;
use mirror_runs::tables::{LossRow, ParameterRow};

use super::POINTS;
use crate::columns::{batches, column};
use crate::error::AnalysisError;
use crate::forwards::{Extent, QUERY};
use crate::moments::Mean;
use crate::series::Series;

/// Maximum number of iterations of a step, and of parameters, that are kept.
const KEPT: usize = 64;

/// The training of the gating model.
#[derive(Clone, Debug, Default)]
pub struct Learning {
    /// Loss by forward index and step.
    pub losses: BTreeMap<u32, Series<Mean>>,
    /// Euclidean norm of the gradient by parameter and number of the forward.
    pub gradients: BTreeMap<String, Series<Mean>>,
}

impl Learning {
    /// Adds the losses and gradients of a run. `first_step` is added to every step.
    pub(crate) fn read(&mut self, run: &Run, first_step: u64, extent: Extent) -> Result<(), AnalysisError> {
        let columns = ["purpose", "step", "forward_index", "loss"];
        for batch in batches::<LossRow>(run, &columns)? {
            self.read_losses(&batch?, first_step)?;
        }
        let columns = ["purpose", "step", "forward_index", "parameter", "gradient_norm"];
        for batch in batches::<ParameterRow>(run, &columns)? {
            self.read_gradients(&batch?, first_step, extent)?;
        }
        Ok(())
    }

    fn read_losses(&mut self, batch: &RecordBatch, first_step: u64) -> Result<(), AnalysisError> {
        let purpose: &StringArray = column::<LossRow, _>(batch, "purpose")?;
        let step: &UInt64Array = column::<LossRow, _>(batch, "step")?;
        let forward_index: &UInt32Array = column::<LossRow, _>(batch, "forward_index")?;
        let loss: &Float32Array = column::<LossRow, _>(batch, "loss")?;
        for row in 0..batch.num_rows() {
            let (index, loss) = (forward_index.value(row), f64::from(loss.value(row)));
            let is_kept = self.losses.contains_key(&index) || self.losses.len() < KEPT;
            if purpose.value(row) == QUERY && loss.is_finite() && is_kept {
                let series = self.losses.entry(index);
                series
                    .or_insert_with(|| Series::new(POINTS))
                    .at(first_step.saturating_add(step.value(row)))
                    .push(loss);
            }
        }
        Ok(())
    }

    fn read_gradients(
        &mut self,
        batch: &RecordBatch,
        first_step: u64,
        extent: Extent,
    ) -> Result<(), AnalysisError> {
        let purpose: &StringArray = column::<ParameterRow, _>(batch, "purpose")?;
        let step: &UInt64Array = column::<ParameterRow, _>(batch, "step")?;
        let forward_index: &UInt32Array = column::<ParameterRow, _>(batch, "forward_index")?;
        let parameter: &StringArray = column::<ParameterRow, _>(batch, "parameter")?;
        let norm: &Float32Array = column::<ParameterRow, _>(batch, "gradient_norm")?;
        for row in 0..batch.num_rows() {
            let (name, norm) = (parameter.value(row), f64::from(norm.value(row)));
            if purpose.value(row) != QUERY || !norm.is_finite() {
                continue;
            }
            if !self.gradients.contains_key(name) {
                if self.gradients.len() == KEPT {
                    continue;
                }
                self.gradients.insert(name.to_owned(), Series::new(POINTS));
            }
            let number = extent.forward_number(
                first_step.saturating_add(step.value(row)),
                forward_index.value(row),
            );
            if let Some(series) = self.gradients.get_mut(name) {
                series.at(number).push(norm);
            }
        }
        Ok(())
    }
}
