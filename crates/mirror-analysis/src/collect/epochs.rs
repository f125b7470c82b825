//! Results of the chain's epochs for the uids.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{Array, Float32Array, RecordBatch, UInt32Array, UInt64Array};
use mirror_runs::Run;
use mirror_runs::tables::EpochRow;

use crate::columns::{batches, column, known_uids};
use crate::error::AnalysisError;
use crate::moments::Mean;
use crate::series::{Absorb, Series};

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
    /// The epochs in which no uid earned incentive or dividends, so that the chain paid by stake.
    unpaid: BTreeSet<u64>,
    /// The first and the last epoch, each with its block.
    ends: Option<((u64, u64), (u64, u64))>,
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
    /// Share of the weights set for the uid that was within consensus in the last epoch. `None` if it was not recorded.
    pub trust: Option<f64>,
    /// Share of the weights set by the uid that was within consensus in the last epoch. `None` if it was not recorded.
    pub validator_trust: Option<f64>,
    /// Amount paid for incentive by epoch, in TAO.
    pub emission_over_time: Series<Mean>,
    /// Incentive by epoch.
    pub incentive_over_time: Series<Mean>,
    /// Amount paid for dividends by epoch, in TAO.
    pub dividends_over_time: Series<Mean>,
    /// Share of the weights set for the uid that was within consensus, by epoch.
    pub trust_over_time: Series<Mean>,
    /// Share of the weights set by the uid that was within consensus, by epoch.
    pub validator_trust_over_time: Series<Mean>,
    /// Weight on which validators agree for the uid, by epoch.
    pub consensus_over_time: Series<Mean>,
    /// Amount paid for incentive over all epochs, in rao.
    pub for_incentive: u64,
    /// Amount paid for dividends over all epochs, in rao.
    pub for_dividends: u64,
    /// Number of epochs in which the uid was in the subnet and someone earned incentive or dividends.
    pub epochs: u64,
    /// Sum over the epochs of the amount paid for dividends relative to the stake before the payment.
    stake_yield: f64,
    /// Number of the epoch of the shares.
    last: u64,
}

impl Default for Earned {
    fn default() -> Self {
        Self {
            emission: 0,
            incentive: None,
            dividends: None,
            trust: None,
            validator_trust: None,
            emission_over_time: Series::new(COLUMNS),
            incentive_over_time: Series::new(COLUMNS),
            dividends_over_time: Series::new(COLUMNS),
            trust_over_time: Series::new(COLUMNS),
            validator_trust_over_time: Series::new(COLUMNS),
            consensus_over_time: Series::new(COLUMNS),
            for_incentive: 0,
            for_dividends: 0,
            epochs: 0,
            stake_yield: 0.0,
            last: 0,
        }
    }
}

impl Earned {
    /// Returns the mean over the epochs of the amount paid for dividends relative to the stake before the payment.
    /// `None` without an epoch.
    pub fn yield_per_epoch(&self) -> Option<f64> {
        (self.epochs > 0).then(|| self.stake_yield / self.epochs as f64)
    }

    /// Returns the mean amount paid for incentive in an epoch, in TAO. `None` without an epoch.
    pub fn incentive_per_epoch(&self) -> Option<f64> {
        (self.epochs > 0).then(|| self.for_incentive as f64 / RAO_PER_TAO / self.epochs as f64)
    }

    /// Returns the mean share of the weights set by the uid that was within consensus. `None` without an epoch.
    pub fn mean_validator_trust(&self) -> Option<f64> {
        let mut all = Mean::default();
        for (_, bin) in self.validator_trust_over_time.bins() {
            all.absorb(bin);
        }
        all.mean()
    }
}

impl Epochs {
    pub(crate) const COLUMNS: [&'static str; 11] = [
        "epoch",
        "block",
        "stake",
        "consensus",
        "uid",
        "incentive",
        "dividends",
        "trust",
        "validator_trust",
        "server_emission",
        "validator_emission",
    ];

    /// Returns whether there was no epoch.
    pub fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    fn note_block(&mut self, epoch: u64, block: u64) {
        let now = (epoch, block);
        let (first, last) = self.ends.unwrap_or((now, now));
        self.ends = Some((first.min(now), last.max(now)));
    }

    /// Returns the place of a block on an axis of epochs, from the first and the last epoch, between which epochs have
    /// equal distances. `None` with fewer than two epochs.
    pub(crate) fn place_of_block(&self, block: u64) -> Option<f64> {
        let ((first, first_block), (last, last_block)) = self.ends?;
        let blocks = last_block.checked_sub(first_block).filter(|blocks| *blocks > 0)?;
        let per_block = (last - first) as f64 / blocks as f64;
        Some(first as f64 + (block as f64 - first_block as f64) * per_block)
    }

    /// Notes the epochs of a run in which no uid earned incentive or dividends. `earlier` is added to the number of
    /// every epoch.
    pub(crate) fn note_unpaid(&mut self, run: &Run, earlier: u64) -> Result<(), AnalysisError> {
        let mut paid = true;
        let mut current = None;
        for batch in batches::<EpochRow>(run, &["epoch", "incentive", "dividends"])? {
            let batch = batch?;
            let epoch: &UInt64Array = column::<EpochRow, _>(&batch, "epoch")?;
            let incentive: &Float32Array = column::<EpochRow, _>(&batch, "incentive")?;
            let dividends: &Float32Array = column::<EpochRow, _>(&batch, "dividends")?;
            for row in 0..batch.num_rows() {
                let number = earlier.saturating_add(epoch.value(row));
                if current != Some(number) {
                    self.unpaid.extend(current.filter(|_| !paid));
                    (current, paid) = (Some(number), false);
                }
                paid |= incentive.value(row) > 0.0 || dividends.value(row) > 0.0;
            }
        }
        self.unpaid.extend(current.filter(|_| !paid));
        Ok(())
    }

    /// Adds a batch of epochs. `earlier` is added to the number of every epoch.
    pub(crate) fn read(&mut self, batch: &RecordBatch, earlier: u64) -> Result<(), AnalysisError> {
        let epoch: &UInt64Array = column::<EpochRow, _>(batch, "epoch")?;
        let block: &UInt64Array = column::<EpochRow, _>(batch, "block")?;
        let uid: &UInt32Array = column::<EpochRow, _>(batch, "uid")?;
        let stake: &UInt64Array = column::<EpochRow, _>(batch, "stake")?;
        let consensus: &Float32Array = column::<EpochRow, _>(batch, "consensus")?;
        let incentive: &Float32Array = column::<EpochRow, _>(batch, "incentive")?;
        let dividends: &Float32Array = column::<EpochRow, _>(batch, "dividends")?;
        let trust: &Float32Array = column::<EpochRow, _>(batch, "trust")?;
        let validator_trust: &Float32Array = column::<EpochRow, _>(batch, "validator_trust")?;
        let server: &UInt64Array = column::<EpochRow, _>(batch, "server_emission")?;
        let validator: &UInt64Array = column::<EpochRow, _>(batch, "validator_emission")?;
        known_uids(uid)?;
        for row in 0..batch.num_rows() {
            let epoch = earlier.saturating_add(epoch.value(row));
            self.note_block(epoch, block.value(row));
            let earned = self.uids.entry(uid.value(row)).or_default();
            let paid = server.value(row).saturating_add(validator.value(row));
            earned.emission = earned.emission.saturating_add(paid);
            if !self.unpaid.contains(&epoch) {
                let for_incentive = server.value(row) as f64 / RAO_PER_TAO;
                earned.emission_over_time.at(epoch).push(for_incentive);
                let for_dividends = validator.value(row) as f64;
                let dividends = &mut earned.dividends_over_time;
                dividends.at(epoch).push(for_dividends / RAO_PER_TAO);
                earned.for_incentive = earned.for_incentive.saturating_add(server.value(row));
                earned.for_dividends = earned.for_dividends.saturating_add(validator.value(row));
                earned.epochs += 1;
                // The stake of the table is that after the payments.
                let staked = stake.value(row).saturating_sub(paid) as f64;
                if staked > 0.0 {
                    earned.stake_yield += for_dividends / staked;
                }
            }
            // A column is null in every row if the run is of a version that did not record it.
            let push = |series: &mut Series<Mean>, column: &Float32Array| {
                if !column.is_null(row) {
                    series.at(epoch).push(f64::from(column.value(row)));
                }
            };
            push(&mut earned.trust_over_time, trust);
            push(&mut earned.validator_trust_over_time, validator_trust);
            push(&mut earned.consensus_over_time, consensus);
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
                let known =
                    |column: &Float32Array| (!column.is_null(row)).then(|| f64::from(column.value(row)));
                earned.trust = known(trust);
                earned.validator_trust = known(validator_trust);
            }
            self.last = self.last.max(epoch);
        }
        Ok(())
    }
}
