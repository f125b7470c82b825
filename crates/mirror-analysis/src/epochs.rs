//! What the chain's epochs found of the uids, and paid them.

use std::collections::BTreeMap;

use arrow_array::{Float32Array, RecordBatch, UInt32Array, UInt64Array};
use mirror_runs::tables::EpochRow;

use crate::columns::column;
use crate::error::AnalysisError;
use crate::moments::Mean;
use crate::series::Series;

/// Columns of a heat map over epochs, at most.
const COLUMNS: usize = 100;

/// Rao in a TAO.
pub(crate) const RAO_PER_TAO: f64 = 1e9;

/// The chain's epochs, by uid.
#[derive(Clone, Debug, Default)]
pub struct Epochs {
    /// of each uid that was in an epoch
    pub uids: BTreeMap<u32, Earned>,
    /// which was the last one, from 1; 0: there was none
    pub last: u64,
}

/// What a uid earned.
#[derive(Clone, Debug)]
pub struct Earned {
    /// rao paid over all epochs, for incentive and for dividends
    pub emission: u64,
    /// share of the last epoch's pay for what was given to it; none of one that earns only by what it gives
    pub incentive: Option<f64>,
    /// share of the last epoch's pay for what it gave; none where there was none
    pub dividends: Option<f64>,
    /// of the last epoch, what part of the weights given to it was within consensus
    pub trust: f64,
    /// of the last epoch, what part of the weights that it gave was within consensus
    pub validator_trust: f64,
    /// TAO paid for incentive, by epoch
    pub emission_over_time: Series<Mean>,
    /// incentive by epoch
    pub incentive_over_time: Series<Mean>,
    /// Which epoch the shares are of.
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
            // Who earns by what it gives is no miner that was given nothing.
            let incentive = (incentive > 0.0 || dividends == 0.0).then_some(incentive);
            if let Some(incentive) = incentive {
                earned.incentive_over_time.at(epoch).push(incentive);
            }
            // Of a run that goes on, epochs need not come in their order.
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
