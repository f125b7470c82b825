//! Setting weights: they are computed from the moving averages, submitted to the chain, and recorded.

use mirror_chain::{Block, RevealPeriod};
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{Applied, DispatchError, SubmitReply, WeightsSet, record};
use mirror_spec::BlockTime;
use mirror_subtensor_client::transaction::sign_call;
use mirror_telemetry::metrics::{KeyValue, instruments};
use mirror_telemetry::{Instrument, span};

use super::Neuron;
use crate::behaviour::WeightInputs;
use crate::weights::{self, InvalidAverages, Limits, ProcessedWeights, Stage, WeightsCalls};

/// Adds submitted weights to the metrics.
fn measure(weights: &ProcessedWeights) {
    for (uid, weight) in weights.uids.iter().zip(&weights.weights) {
        let uid = KeyValue::new("mirror.uid", i64::from(*uid));
        instruments().weights.record(f64::from(*weight), &[uid]);
    }
}

impl Neuron {
    /// Submits weights, in the open or as a commitment if the chain requires one.
    pub(crate) async fn submit_weights(&mut self, step: u64) -> anyhow::Result<()> {
        self.compute_and_submit(step)
            .instrument(span("weights").start())
            .await
    }

    async fn compute_and_submit(&mut self, step: u64) -> anyhow::Result<()> {
        let weights = match self.compute_weights() {
            Ok(weights) => weights,
            Err(invalid) => {
                tracing::error!(step, "cannot set weights: {invalid}");
                let record = self.unset_weights_record(step);
                return self.report_weights(record).await;
            }
        };
        measure(&weights);
        let record = self.weights_record(step, weights);
        let (call, stage) = if self.reveal_period().is_some() {
            (
                Call::CommitWeights(self.weights_calls().commit(&record)),
                Stage::Committing,
            )
        } else {
            (
                Call::SetWeights(self.weights_calls().set(&record)),
                Stage::Setting,
            )
        };
        self.submit(record, call, stage).await
    }

    /// Reveals the committed weights whose epoch has come.
    pub(crate) async fn reveal_weights(&mut self) -> anyhow::Result<()> {
        let open = Block(self.chain.block() + 1);
        let period = self.reveal_period();
        for record in self.pending_weights.now().take_due(open, period) {
            let call = Call::RevealWeights(self.weights_calls().reveal(&record));
            self.submit(record, call, Stage::Revealing).await?;
        }
        Ok(())
    }

    /// Records the weights whose calls were applied or rejected in a closed block.
    pub(super) async fn report_applied_weights(&mut self, applied: &[Applied]) -> anyhow::Result<()> {
        for record in self.pending_weights.now().take_applied(applied) {
            self.report_weights(record).await?;
        }
        Ok(())
    }

    /// Submits a call about weights. Weights are recorded when they are set or rejected. If blocks close by steps, the
    /// chain reports the result of a call when its block closes. If they close by the clock it does not, so an accepted
    /// call counts as applied.
    async fn submit(&mut self, mut record: WeightsSet, call: Call, stage: Stage) -> anyhow::Result<()> {
        let nonce = self.pending_weights.now().next_nonce(self.chain.block());
        let closed = self.chain.synced_block();
        let transaction = sign_call(&self.key, nonce, closed, call);
        let SubmitReply { refusal, block } = self.subtensor.submit(transaction).await?;
        tracing::info!(nonce, block, ?stage, uids = record.uids.len(), refusal = ?DispatchError::from_field(refusal), "weights");
        if refusal.is_some() {
            record.refusal = refusal;
            return self.report_weights(record).await;
        }
        let stage = match (self.launch.block_time, stage) {
            (BlockTime::PerStep, stage) => stage,
            (BlockTime::Seconds(_), Stage::Committing | Stage::Committed) => Stage::Committed,
            (BlockTime::Seconds(_), Stage::Setting | Stage::Revealing) => {
                return self.report_weights(record).await;
            }
        };
        self.pending_weights.now().push(record, stage, nonce, block);
        Ok(())
    }

    async fn report_weights(&mut self, record: WeightsSet) -> anyhow::Result<()> {
        if let Some(refusal) = DispatchError::from_field(record.refusal) {
            tracing::warn!(%refusal, "the chain rejected the weights");
        }
        let record = record::Kind::Weights(record);
        self.reporter.report(record, None).await
    }

    /// Computes the weights of the validator's behaviour, within the chain's limits.
    ///
    /// # Errors
    /// Returns [`InvalidAverages`] if the behaviour's weights or their sum are not finite.
    fn compute_weights(&self) -> Result<ProcessedWeights, InvalidAverages> {
        let metagraph = self.chain.metagraph();
        let known = WeightInputs {
            averages: self.history.averages(metagraph.neurons.len()),
            metagraph,
            seed: self.seed.numbered_child("weights", self.chain.epoch_block()),
        };
        let limits = Limits::from(&metagraph.hyperparameters);
        weights::process(&self.behaviours.current().weigh(known), &limits)
    }

    /// Builds the record of weights that cannot be set because they are not finite, with zero for every uid.
    fn unset_weights_record(&self, step: u64) -> WeightsSet {
        let uids: Vec<_> = (0..self.chain.metagraph().neurons.len() as u32).collect();
        let weights = vec![0.0; uids.len()];
        WeightsSet {
            refusal: Some(DispatchError::WeightsNotFinite.into()),
            ..self.weights_record(step, ProcessedWeights { uids, weights })
        }
    }

    /// Builds the record of weights that are about to be set.
    fn weights_record(&self, step: u64, weights: ProcessedWeights) -> WeightsSet {
        WeightsSet {
            validator: self.name.clone(),
            step,
            block: self.chain.block(),
            uids: weights.uids,
            weights: weights.weights,
            refusal: None,
        }
    }

    fn weights_calls(&self) -> WeightsCalls {
        WeightsCalls {
            hotkey: self.key.public(),
            netuid: self.launch.netuid,
            version_key: self.launch.neuron.version_key,
            seed: self.seed.numbered_child("validator", self.launch.index.into()),
        }
    }

    fn reveal_period(&self) -> Option<RevealPeriod> {
        self.chain.reveal_period(self.launch.netuid)
    }
}
