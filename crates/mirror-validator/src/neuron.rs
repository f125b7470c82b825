//! The neuron: makes forwards and learns from them.
//!
//! A forward is planned (`plan`: the axons to call), sent (the fan-out) and settled: its replies are judged (`judge`),
//! the gating model learns from them (`training`), and one event records them (`event`). The steps are those of the v4
//! core validator.

pub mod ask;
pub mod chain_view;
mod event;
mod judge;
mod plan;
mod training;
mod weights;

use std::collections::HashMap;
use std::sync::Arc;

use mirror_identity::SecretKey;
use mirror_models::gating::{GatingModel, ResponseLength};
use mirror_models::reward::RewardModel;
use mirror_net::tracer::block_span;
use mirror_proto::mirror::v1::{Purpose, record};
use mirror_seed::Seed;
use mirror_spec::launch::ValidatorLaunch;
use mirror_subtensor_client::{Barrier, Detail, SubtensorClient};
use mirror_telemetry::metrics::{KeyValue, instruments};
use mirror_telemetry::spans::Kind;
use mirror_telemetry::{Instrument, Span, span};

use self::ask::{Ask, Judgement};
use self::chain_view::ChainView;
use self::event::ForwardRecord;
use self::judge::JudgedReplies;
pub use self::plan::ForwardId;
use self::plan::{Answered, Plan, Planner};
use self::training::Training;
use crate::behaviour::Behaviours;
use crate::checkpoint::{self, Checkpoints};
use crate::dendrite::{DendritePool, Reply, ServedAxon};
use crate::learned::LearningRecord;
use crate::reporter::Reporter;
use crate::weights::{History, PendingWeights};

/// A running validator.
pub struct Neuron {
    launch: ValidatorLaunch,
    /// The node's name in the run, such as `validator-0`.
    name: String,
    seed: Seed,
    /// The key that signs the validator's transactions.
    key: SecretKey,
    subtensor: SubtensorClient,
    barrier: Barrier,
    dendrite: DendritePool,
    gating: Box<dyn GatingModel>,
    checkpoints: Checkpoints,
    reward: Box<dyn RewardModel>,
    behaviours: Arc<Behaviours>,
    reporter: Reporter,
    history: History,
    chain: ChainView,
    pending_weights: PendingWeights,
    /// Number of the last manual forward.
    manual_forwards: u64,
    incarnation: u32,
}

/// The parts of a neuron. The rest is derived from its launch config.
pub struct NeuronParts {
    /// The launch config.
    pub launch: ValidatorLaunch,
    /// The behaviour of the validator.
    pub behaviours: Arc<Behaviours>,
    /// The node's name in the run, such as `validator-0`.
    pub name: String,
    /// Number of earlier starts of the node.
    pub incarnation: u32,
    /// The random seed of the experiment.
    pub seed: Seed,
    /// The validator's hotkey.
    pub key: SecretKey,
    /// The client of the chain's node.
    pub subtensor: SubtensorClient,
    /// Channels to the axons.
    pub dendrite: DendritePool,
    /// The gating model.
    pub gating: Box<dyn GatingModel>,
    /// The reward model.
    pub reward: Box<dyn RewardModel>,
    /// The reporter to the coordinator.
    pub reporter: Reporter,
}

/// The result of a forward.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardOutcome {
    /// The identity of the forward.
    pub id: ForwardId,
    /// The uids that were called.
    pub asked: Vec<u32>,
    /// The uids that succeeded, with their completions and rewards.
    pub succeeded: Vec<(u32, String, Option<f32>)>,
    /// Index of the best entry in `succeeded`.
    pub best: Option<usize>,
}

impl ForwardOutcome {
    /// Returns the best completion.
    pub fn completion(&self) -> Option<&str> {
        self.succeeded
            .get(self.best?)
            .map(|(_, completion, _)| completion.as_str())
    }

    /// Returns the uid that gave the best completion.
    pub fn best_uid(&self) -> Option<u32> {
        self.succeeded.get(self.best?).map(|(uid, _, _)| *uid)
    }
}

/// Whether a step is over after an event. It determines what a validator repeats after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEnd {
    /// The step is over with this event.
    Always,
    /// The step is over unless there is a best completion to continue with.
    WithoutBest,
    /// More events of the step follow.
    Never,
}

impl Neuron {
    /// Creates a neuron that has not synchronised with the chain yet.
    pub fn new(parts: NeuronParts) -> Self {
        let NeuronParts {
            launch,
            behaviours,
            name,
            incarnation,
            seed,
            key,
            subtensor,
            dendrite,
            gating,
            reward,
            reporter,
        } = parts;
        Self {
            name,
            seed,
            barrier: subtensor.barrier(key.public()),
            key,
            subtensor,
            dendrite,
            gating,
            checkpoints: Checkpoints::new(launch.checkpoints.clone(), launch.neuron.checkpoint_every),
            reward,
            behaviours,
            reporter,
            history: History::new(launch.alpha, launch.neuron.max_history as usize),
            chain: ChainView::default(),
            pending_weights: PendingWeights::default(),
            // The coordinator identifies manual forwards by their numbers, so the count must not start from the same
            // number after a restart.
            manual_forwards: u64::from(incarnation) << 32,
            incarnation,
            launch,
        }
    }

    /// Returns the launch config.
    pub fn launch(&self) -> &ValidatorLaunch {
        &self.launch
    }

    /// Returns the neuron's view of the chain.
    pub fn chain(&self) -> &ChainView {
        &self.chain
    }

    /// Returns the neuron's view of the chain for changes.
    pub(crate) fn chain_mut(&mut self) -> &mut ChainView {
        &mut self.chain
    }

    /// Makes one forward: plan, fan-out, settlement.
    pub async fn forward(
        &mut self,
        ask: Ask,
        id: ForwardId,
        ends: StepEnd,
    ) -> anyhow::Result<ForwardOutcome> {
        let span = forward_span(id);
        let whole = async {
            let plan = self.plan(ask, id);
            let answered = plan.ask(&self.dendrite).await;
            self.settle(plan, answered, ends).await
        };
        whole.instrument(span).await
    }

    /// Creates the span of a step, the root of its trace. Forwards and the work between two steps belong to it.
    pub(crate) fn step_span(&self, purpose: Purpose, step: u64) -> Span {
        let trace = self.dendrite.trace_of(purpose, step);
        let trace = u128::from_be_bytes(trace);
        let nth = u64::from(self.incarnation);
        let name = if purpose == Purpose::Manual {
            "manual"
        } else {
            "step"
        };
        span(name)
            .in_trace(trace, 0)
            .nth(nth)
            .with("mirror.step", step)
            .start()
    }

    /// Makes the forwards of one step concurrently and settles them in order.
    pub async fn forward_together(
        &mut self,
        asks: Vec<Ask>,
        step: u64,
    ) -> anyhow::Result<Vec<ForwardOutcome>> {
        let count = asks.len();
        let plans: Vec<(Plan, Span)> = (0u32..)
            .zip(asks)
            .map(|(forward_index, ask)| {
                let id = ForwardId {
                    purpose: Purpose::Query,
                    step,
                    forward_index,
                };
                let span = forward_span(id);
                let plan = span.in_scope(|| self.plan(ask, id));
                (plan, span)
            })
            .collect();
        let dendrite = &self.dendrite;
        let asking = plans
            .iter()
            .map(|(plan, span)| plan.ask(dendrite).instrument(span.clone()));
        let answered = futures::future::join_all(asking).await;
        let mut settled = Vec::with_capacity(count);
        for (position, ((plan, span), answered)) in plans.into_iter().zip(answered).enumerate() {
            let ends = if position + 1 == count {
                StepEnd::Always
            } else {
                StepEnd::Never
            };
            settled.push(self.settle(plan, answered, ends).instrument(span).await?);
        }
        Ok(settled)
    }

    /// Returns the identity of the first forward of the next manual step.
    pub fn next_manual_forward(&mut self) -> ForwardId {
        self.manual_forwards += 1;
        ForwardId {
            purpose: Purpose::Manual,
            step: self.manual_forwards,
            forward_index: 0,
        }
    }

    fn plan(&mut self, ask: Ask, id: ForwardId) -> Plan {
        let behaviour = self.behaviours.current();
        let planner = Planner {
            seed: &self.seed,
            caller: self.dendrite.hotkey(),
            num_nodes: self.launch.num_nodes,
            time_scale: self.launch.time_scale,
            gating: &mut *self.gating,
            behaviour: &*behaviour,
            chain: &self.chain,
        };
        planner.plan(ask, id)
    }

    async fn settle(
        &mut self,
        plan: Plan,
        answered: Answered,
        ends: StepEnd,
    ) -> anyhow::Result<ForwardOutcome> {
        let Answered { replies, call_time } = answered;
        let reward_model: Option<&mut dyn RewardModel> = if self.launch.neuron.no_reward_model {
            None
        } else {
            Some(&mut *self.reward)
        };
        let judged = span("reward")
            .start()
            .in_scope(|| JudgedReplies::new(&plan, &replies, reward_model));
        let watch_every = self.launch.neuron.watch_every;
        let training = span("gating.backward")
            .start()
            .in_scope(|| Training::run(&mut *self.gating, &plan, &replies, &judged, watch_every));
        let mut rewarded = HashMap::new();
        if let Judgement::Reward {
            train_network: true, ..
        } = plan.ask.judgement
        {
            rewarded = self.dendrite.backward(judged.backwards(&plan, &replies)).await;
        }
        let last_of_step = match ends {
            StepEnd::Always => true,
            StepEnd::WithoutBest => judged.best.is_none(),
            StepEnd::Never => false,
        };
        let learned = self.learn(&plan, &replies, &judged, &training, last_of_step);
        measure(&judged);
        let record = ForwardRecord {
            plan: &plan,
            replies: &replies,
            judged: &judged,
            training: &training,
            rewarded: &rewarded,
            call_time,
            trace_id: self.dendrite.trace(&plan.fan_out.forward).to_vec(),
        };
        let write = span("event.write").start();
        let writing = async {
            let event = record.event(&self.name, &self.chain);
            self.reporter.report(record::Kind::Event(event), learned).await
        };
        writing.instrument(write).await?;
        let mut settled = ForwardOutcome {
            id: plan.id,
            asked: plan.fan_out.uids,
            succeeded: Vec::with_capacity(judged.successes.len()),
            best: judged.best_success(),
        };
        for (position, reply) in replies.into_iter().enumerate() {
            if judged.successes.contains(&position) {
                settled
                    .succeeded
                    .push((reply.uid, reply.completion, judged.rewards[position]));
            }
        }
        Ok(settled)
    }

    /// Updates the moving averages and passes the lengths of the completions to the gating model. Returns the learning
    /// record of an event of the query.
    fn learn(
        &mut self,
        plan: &Plan,
        replies: &[Reply],
        judged: &JudgedReplies,
        training: &Training,
        last_of_step: bool,
    ) -> Option<LearningRecord> {
        let mut learned = LearningRecord {
            step: plan.id.step,
            forward_index: plan.id.forward_index,
            last_of_step,
            synced_block: self.chain.synced_block(),
            epoch_block: self.chain.epoch_block(),
            ..LearningRecord::default()
        };
        if matches!(plan.ask.judgement, Judgement::Reward { .. }) {
            for (position, reward) in judged.rewarded() {
                let reply = &replies[position];
                learned.uids.push(reply.uid);
                learned.rewards.push(reward);
                learned.lengths.push(reply.completion.chars().count() as u32);
            }
            learned.trained_on = training.loss.map(|_| plan.text.clone());
        }
        let of_query = plan.id.purpose == Purpose::Query;
        // v4 detects changed hotkeys between two events of its history, which contains only successes.
        if of_query && !learned.uids.is_empty() {
            learned.resets = self.chain.take_resets();
        }
        if of_query {
            learned.waiting = self.pending_weights.take_change();
        }
        self.apply(&learned);
        of_query.then_some(learned)
    }

    /// Applies an event to the moving averages and the gating model, both live and during replay after a restart.
    fn apply(&mut self, learned: &LearningRecord) {
        if !learned.uids.is_empty() {
            self.history
                .record(&learned.uids, &learned.rewards, &learned.resets);
        }
        let both = learned.uids.iter().zip(&learned.lengths);
        let lengths: Vec<ResponseLength> = both
            .map(|(uid, length)| ResponseLength {
                uid: *uid,
                length: *length,
            })
            .collect();
        self.gating.observe(&lengths);
    }

    /// Replays the finished steps before a restart, of which `last` is the last record. The gating model starts from
    /// its newest checkpoint and is trained again on the later steps.
    pub(crate) fn replay(&mut self, learned: &[LearningRecord], last: &LearningRecord) -> anyhow::Result<()> {
        // Replayed events contain their own resets.
        self.chain.take_resets();
        let steps_of_checkpoint = self.restore(last.step + 1)?;
        for learned in learned {
            self.apply(learned);
            if learned.step >= steps_of_checkpoint {
                training::train_again(&mut *self.gating, self.dendrite.hotkey(), learned);
            }
        }
        let waiting = learned.iter().rev().find_map(|learned| learned.waiting.clone());
        self.pending_weights = waiting.map_or_else(PendingWeights::default, PendingWeights::restored);
        self.chain.begin_epoch(last.epoch_block);
        Ok(())
    }

    /// Loads the newest checkpoint of at most `steps` finished steps into the gating model. Returns the number of steps
    /// of the checkpoint, 0 if there is none.
    fn restore(&mut self, steps: u64) -> anyhow::Result<u64> {
        let Some((seen, path)) = self.checkpoints.newest(steps)? else {
            return Ok(0);
        };
        checkpoint::restore(&mut *self.gating, &path)?;
        tracing::info!(steps = seen, path = %path.display(), "resuming from a checkpoint");
        Ok(seen)
    }

    /// Returns whether a checkpoint is due after `steps` finished steps.
    pub(crate) fn is_checkpoint_due(&self, steps: u64) -> bool {
        self.checkpoints.is_due(steps)
    }

    /// Writes a checkpoint of the gating model after `steps` finished steps.
    pub(crate) fn write_checkpoint(&mut self, steps: u64) -> anyhow::Result<()> {
        self.checkpoints.write(steps, &mut *self.gating)
    }

    /// Reports at the barrier that a step is done, and waits until its block closes.
    pub(crate) async fn step_done(&mut self, step: u64) -> anyhow::Result<()> {
        let span = span("barrier.wait").kind(Kind::Client).start();
        let closed = self.barrier.step_done(step).instrument(span.clone()).await?;
        let (trace, root) = block_span(&self.seed, closed.block);
        span.record("mirror.block", closed.block);
        span.link(trace, root);
        drop(span);
        self.chain.advance(closed.block);
        instruments().block.record(closed.block as f64, &[]);
        self.report_applied_weights(&closed.applied).await
    }

    /// Waits until all reported records are acknowledged.
    pub(crate) async fn drained(&mut self) -> anyhow::Result<()> {
        self.reporter.drained().await
    }

    /// Fetches the nominators and the metagraph at `block`, or the latest metagraph if it is `None`.
    pub(crate) async fn resync(&mut self, block: Option<u64>) -> anyhow::Result<()> {
        self.fetch(block).instrument(span("resync").start()).await
    }

    async fn fetch(&mut self, block: Option<u64>) -> anyhow::Result<()> {
        let metagraph = self.subtensor.metagraph(block, Detail::Lite).await?;
        let axons = metagraph.neurons.iter().map(|neuron| {
            let hotkey = neuron.hotkey;
            neuron.axon.map(|address| ServedAxon { hotkey, address })
        });
        self.dendrite.resync(axons);
        self.chain.update_metagraph(metagraph);
        let nominators = self.subtensor.nominators(&self.key.public()).await?;
        self.chain.update_nominators(nominators);
        tracing::info!(
            block = self.chain.synced_block(),
            version = self.chain.metagraph().version,
            serving = self.chain.metagraph().serving(self.launch.num_nodes).count(),
            nominators = self.chain.nominators().len(),
            "resynced the metagraph"
        );
        Ok(())
    }
}

/// Adds a forward to the metrics.
fn measure(judged: &JudgedReplies) {
    let has_completion = KeyValue::new("mirror.has_completion", judged.best.is_some());
    instruments().forwards.add(1, &[has_completion]);
    for (_, reward) in judged.rewarded() {
        instruments().rewards.record(f64::from(reward), &[]);
    }
}

/// Creates the span of a forward, under that of its step.
fn forward_span(id: ForwardId) -> Span {
    span("forward")
        .nth(id.forward_index.into())
        .with("mirror.step", id.step)
        .with("mirror.forward_index", id.forward_index)
        .start()
}
