//! Results of the chain's epochs for the uids.

use std::collections::BTreeMap;

use arrow_array::{Float32Array, RecordBatch, UInt32Array, UInt64Array};
use mirror_runs::tables::EpochRow;

use crate::columns::column;
use crate::error::AnalysisError;
use crate::moments::Mean;
use crate::series::Series;

/// Maximum number of columns of a heat map over epochs.
const COLUMNS: usize = 100;

/// Rao per TAO.
pub(crate) const RAO_PER_TAO: f64 = 1e9;

/// Results of the chain's epochs.
#[derive(Clone, Debug, Default)]
pub struct Epochs {
    /// Earnings of each uid that was in an epoch.
    pub uids: BTreeMap<u32, Earned>,
    /// Number of the last epoch, from 1. 0 if there was no epoch.
    pub last: u64,
}

/// Earnings of a uid.
#[derive(Clone, Debug)]
pub struct Earned {
    /// Amount paid for incentive and dividends over all epochs, in rao.
    pub emission: u64,
    /// Incentive in the last epoch. `None` for a uid that earned only dividends.
    pub incentive: Option<f64>,
    /// Dividends in the last epoch. `None` if they were 0.
    pub dividends: Option<f64>,
    /// Share of the weights set for the uid that was within consensus in the last epoch.
    pub trust: f64,
    /// Share of the weights set by the uid that was within consensus in the last epoch.
    pub validator_trust: f64,
    /// Amount paid for incentive by epoch, in TAO.
    pub emission_over_time: Series<Mean>,
    /// Incentive by epoch.
    pub incentive_over_time: Series<Mean>,
    /// Number of the epoch of the shares.
    last: u64,
}

impl Default for Earned {
    fn default() -> Self {
        Self {
            emission: 0,
            incentive: None,
            dividends: None,
            trust: 0.0,
            validator_trust: 0.0,
            emission_over_time: Series::new(COLUMNS),
            incentive_over_time: Series::new(COLUMNS),
            last: 0,
        }
    }
}

impl Epochs {
    pub(crate) const COLUMNS: [&'static str; 8] = [
        "epoch",
        "uid",
        "incentive",
        "dividends",
        "trust",
        "validator_trust",
        "server_emission",
        "validator_emission",
    ];

    pub(crate) fn read(&mut self, batch: &RecordBatch) -> Result<(), AnalysisError> {
        let epoch: &UInt64Array = column::<EpochRow, _>(batch, "epoch")?;
        let uid: &UInt32Array = column::<EpochRow, _>(batch, "uid")?;
        let incentive: &Float32Array = column::<EpochRow, _>(batch, "incentive")?;
        let dividends: &Float32Array = column::<EpochRow, _>(batch, "dividends")?;
        let trust: &Float32Array = column::<EpochRow, _>(batch, "trust")?;
        let validator_trust: &Float32Array = column::<EpochRow, _>(batch, "validator_trust")?;
        let server: &UInt64Array = column::<EpochRow, _>(batch, "server_emission")?;
        let validator: &UInt64Array = column::<EpochRow, _>(batch, "validator_emission")?;
        for row in 0..batch.num_rows() {
            let epoch = epoch.value(row);
            let earned = self.uids.entry(uid.value(row)).or_default();
            let paid = server.value(row).saturating_add(validator.value(row));
            earned.emission = earned.emission.saturating_add(paid);
            let for_incentive = server.value(row) as f64 / RAO_PER_TAO;
            earned.emission_over_time.at(epoch).push(for_incentive);
            let incentive = f64::from(incentive.value(row));
            let dividends = f64::from(dividends.value(row));
            // A uid that earns only dividends is a validator, so an incentive of 0 does not count as one of a miner.
            let incentive = (incentive > 0.0 || dividends == 0.0).then_some(incentive);
            if let Some(incentive) = incentive {
                earned.incentive_over_time.at(epoch).push(incentive);
            }
            // The epochs of a run in progress are not necessarily in order.
            if epoch >= earned.last {
                earned.last = epoch;
                earned.incentive = incentive;
                earned.dividends = (dividends > 0.0).then_some(dividends);
                earned.trust = f64::from(trust.value(row));
                earned.validator_trust = f64::from(validator_trust.value(row));
            }
            self.last = self.last.max(epoch);
        }
        Ok(())
    }
}
