//! The experiment's query: steps, each followed by the block barrier, the resync and, at the tempo, the weights.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use mirror_chain::Block;
use mirror_dataset::Dataset;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{DispatchError, Purpose, SubmitReply, WeightsSet, record};
use mirror_proto::protocol::METAGRAPH_SYNC_BLOCKS;
use mirror_spec::{BlockTime, ForwardArgs, InferenceArgs, Method, Query, TrainArgs};
use mirror_subtensor_client::transaction::sign_call;
use tokio::sync::{Mutex, watch};

use crate::conversation::Conversation;
use crate::learned::Learned;
use crate::neuron::{Ask, Choice, Ends, Judgement, Neuron, Which};
use crate::weights::Stage;

/// How far a query has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Steps finished.
    pub steps_done: u64,
    /// Steps in all.
    pub steps_total: u64,
    /// Forwards that found no completion.
    pub failed_forwards: u64,
}

/// A query at work on a neuron, for as long as it has the neuron to itself.
struct Run<'a> {
    neuron: &'a mut Neuron,
    progress: &'a watch::Sender<Progress>,
    /// When the metagraph was fetched, for chains that run on the clock.
    synced_at: &'a mut Instant,
}

/// Works through `query`, from where `learned` ends. Between two steps the neuron is free for whoever waits for it.
pub async fn run(
    neuron: &Mutex<Neuron>,
    query: &Query,
    questions: Option<&Path>,
    learned: &[Learned],
    progress: &watch::Sender<Progress>,
) -> anyhow::Result<()> {
    let steps = Steps::open(query, questions)?;
    progress.send_modify(|progress| progress.steps_total = steps.count());
    let mut synced_at = Instant::now();
    let first = {
        let neuron = &mut neuron.lock().await;
        Run {
            neuron,
            progress,
            synced_at: &mut synced_at,
        }
        .resume(learned)
        .await?
    };
    for step in first..steps.count() {
        let neuron = &mut neuron.lock().await;
        let mut run = Run {
            neuron,
            progress,
            synced_at: &mut synced_at,
        };
        run.step(&steps, step).await?;
        run.after_step(step).await?;
    }
    let neuron = &mut neuron.lock().await;
    Run {
        neuron,
        progress,
        synced_at: &mut synced_at,
    }
    .close(steps.count())
    .await
}

/// What the steps of a query are.
enum Steps {
    Train(TrainArgs),
    Forward {
        args: ForwardArgs,
        questions: Questions,
    },
    Inference {
        args: InferenceArgs,
        questions: Questions,
    },
}

/// The questions of the data, so many a step.
struct Questions {
    dataset: Dataset,
    chunk_size: u32,
}

impl Steps {
    fn open(query: &Query, questions: Option<&Path>) -> anyhow::Result<Self> {
        let open = || {
            let path = questions
                .context("the query asks the questions of the data, and the launch description names none")?;
            let dataset = Dataset::open(path)
                .with_context(|| format!("cannot map the questions {}", path.display()))?;
            anyhow::Ok(Questions {
                dataset,
                chunk_size: query.chunk_size.max(1),
            })
        };
        Ok(match &query.method {
            Method::Train(args) => Self::Train(args.clone()),
            Method::Forward(args) => Self::Forward {
                args: args.clone(),
                questions: open()?,
            },
            Method::Inference(args) => Self::Inference {
                args: args.clone(),
                questions: open()?,
            },
        })
    }

    fn count(&self) -> u64 {
        match self {
            Self::Train(args) => args.max_iter,
            Self::Forward { questions, .. } | Self::Inference { questions, .. } => {
                u64::from(questions.dataset.len().div_ceil(questions.chunk_size))
            }
        }
    }
}

impl Questions {
    fn of_step(&self, step: u64) -> impl Iterator<Item = &str> {
        let first = step * u64::from(self.chunk_size);
        let rows = first..(first + u64::from(self.chunk_size)).min(self.dataset.len().into());
        rows.filter_map(|row| self.dataset.question(row as u32))
    }
}

impl Run<'_> {
    /// Takes in what was learned before and returns the step to go on with.
    async fn resume(&mut self, learned: &[Learned]) -> anyhow::Result<u64> {
        let Some(last) = learned.last() else {
            self.resync(None).await?;
            self.neuron.block = self.neuron.synced_block;
            self.neuron.epoch_block = self.neuron.synced_block;
            return Ok(0);
        };
        self.resync(self.on_the_barrier(last.synced_block)).await?;
        self.neuron.resets.clear();
        let seen = self.neuron.restore(last.step + 1)?;
        for learned in learned {
            if let Some(waiting) = &learned.waiting {
                self.neuron.waiting.clone_from(waiting);
            }
            self.neuron.take_in(learned);
            if learned.step >= seen {
                self.neuron.train_again(learned);
            }
        }
        self.neuron.remembered.clone_from(&self.neuron.waiting);
        self.neuron.epoch_block = last.epoch_block;
        let done = last.step + 1;
        tracing::info!(steps = done, "goes on with what it had learned before");
        self.after_step(last.step).await?;
        Ok(done)
    }

    /// The block itself where blocks wait for steps; the clock has moved on, and its metagraph is the one of now.
    fn on_the_barrier(&self, block: u64) -> Option<u64> {
        (self.neuron.launch.block_time == BlockTime::PerStep).then_some(block)
    }

    async fn step(&mut self, steps: &Steps, step: u64) -> anyhow::Result<()> {
        let failed = match steps {
            Steps::Train(args) => self.train_step(args, step).await?,
            Steps::Forward { args, questions } => {
                let ask = |question| self.neuron.forward_ask(args, question);
                let asks = questions.of_step(step).map(ask).collect();
                self.together(asks, step).await?
            }
            Steps::Inference { args, questions } => {
                let ask = |question| self.neuron.inference_ask(args, self.neuron.question(question));
                let asks = questions.of_step(step).map(ask).collect();
                self.together(asks, step).await?
            }
        };
        self.progress
            .send_modify(|progress| progress.failed_forwards += failed);
        Ok(())
    }

    /// A question from the network, then the best one asked of it. Returns how many of the two failed.
    async fn train_step(&mut self, args: &TrainArgs, step: u64) -> anyhow::Result<u64> {
        let which = |step_sub| Which {
            purpose: Purpose::Query,
            step,
            step_sub,
        };
        let ask = self.neuron.question_ask(args);
        let question = self.neuron.forward(ask, which(0), Ends::WithoutBest).await?;
        let Some(question) = question.completion() else {
            return Ok(1);
        };
        let ask = self.neuron.answer_ask(args, question);
        let answer = self.neuron.forward(ask, which(1), Ends::Always).await?;
        Ok(u64::from(answer.best.is_none()))
    }

    async fn together(&mut self, asks: Vec<Ask>, step: u64) -> anyhow::Result<u64> {
        let settled = self.neuron.forward_together(asks, step).await?;
        Ok(settled.iter().filter(|settled| settled.best.is_none()).count() as u64)
    }

    /// The barrier, then what v4 does between two steps: resync every ten blocks, weights at the tempo. Weights that were
    /// committed to are revealed when their epoch has come.
    async fn after_step(&mut self, step: u64) -> anyhow::Result<()> {
        self.wait_for_block(step).await?;
        if self.neuron.block >= self.neuron.synced_block + METAGRAPH_SYNC_BLOCKS {
            self.resync_now().await?;
        }
        self.reveal_weights().await?;
        if self.neuron.block >= self.neuron.epoch_block + self.epoch_length() {
            self.resync_now().await?;
            self.neuron.epoch_block = self.neuron.block;
            self.submit_weights(step).await?;
        }
        if self.neuron.checkpoints.is_due(step + 1) {
            self.neuron.write_checkpoint(step + 1)?;
        }
        self.progress
            .send_modify(|progress| progress.steps_done = step + 1);
        Ok(())
    }

    /// Lets one more block close, in which the last weights apply, and waits until everything is acknowledged.
    async fn close(mut self, steps: u64) -> anyhow::Result<()> {
        if !self.neuron.checkpoints.is_due(steps) {
            self.neuron.write_checkpoint(steps)?;
        }
        self.wait_for_block(steps).await?;
        self.neuron.reporter.drained().await
    }

    async fn wait_for_block(&mut self, step: u64) -> anyhow::Result<()> {
        match self.neuron.launch.block_time {
            BlockTime::PerStep => {
                let closed = self.neuron.barrier.step_done(step).await?;
                self.neuron.block = closed.block;
                for record in self.neuron.waiting.take_applied(&closed.applied) {
                    self.report_weights(record).await?;
                }
                Ok(())
            }
            BlockTime::Seconds(seconds) => {
                let passed = self.synced_at.elapsed().as_secs_f64() / seconds;
                self.neuron.block = self.neuron.synced_block + passed as u64;
                Ok(())
            }
        }
    }

    /// Says what the neuron thinks of others: in the open, or by a commitment where the chain wants that first.
    async fn submit_weights(&mut self, step: u64) -> anyhow::Result<()> {
        let weights = match self.neuron.compute_weights() {
            Ok(weights) => weights,
            Err(unweighable) => {
                tracing::error!(step, "no weights are set: {unweighable}");
                let record = self.neuron.unset_weights_record(step);
                return self.report_weights(record).await;
            }
        };
        let record = self.neuron.weights_record(step, weights);
        let (call, stage) = if self.neuron.reveal_period().is_some() {
            (
                Call::CommitWeights(self.neuron.committed(&record)),
                Stage::Committing,
            )
        } else {
            (Call::SetWeights(self.neuron.said(&record)), Stage::Setting)
        };
        self.submit(record, call, stage).await
    }

    /// Says in the open what was committed to, where its epoch has come.
    async fn reveal_weights(&mut self) -> anyhow::Result<()> {
        let open = Block(self.neuron.block + 1);
        let period = self.neuron.reveal_period();
        for record in self.neuron.waiting.take_due(open, period) {
            let call = Call::RevealWeights(self.neuron.revealed(&record));
            self.submit(record, call, Stage::Revealing).await?;
        }
        Ok(())
    }

    /// Submits a call about weights. They are recorded when they are set or refused: at the barrier the chain tells what
    /// became of a call as its block closes, and with the clock nobody does, so that it counts as done.
    async fn submit(&mut self, mut record: WeightsSet, call: Call, stage: Stage) -> anyhow::Result<()> {
        let nonce = self.neuron.waiting.next_nonce(self.neuron.block);
        let closed = self.neuron.synced_block;
        let transaction = sign_call(&self.neuron.key, nonce, closed, call);
        let SubmitReply { refusal, block } = self.neuron.subtensor.submit(transaction).await?;
        tracing::info!(nonce, block, ?stage, uids = record.uids.len(), refusal = ?DispatchError::from_field(refusal), "weights");
        if refusal.is_some() {
            record.refusal = refusal;
            return self.report_weights(record).await;
        }
        let stage = match (self.neuron.launch.block_time, stage) {
            (BlockTime::PerStep, stage) => stage,
            (BlockTime::Seconds(_), Stage::Committing | Stage::Committed) => Stage::Committed,
            (BlockTime::Seconds(_), Stage::Setting | Stage::Revealing) => {
                return self.report_weights(record).await;
            }
        };
        self.neuron.waiting.push(record, stage, nonce, block);
        Ok(())
    }

    async fn report_weights(&mut self, record: WeightsSet) -> anyhow::Result<()> {
        if let Some(refusal) = DispatchError::from_field(record.refusal) {
            tracing::warn!(%refusal, "the chain did not take the weights");
        }
        let record = record::Kind::Weights(record);
        self.neuron.reporter.report(record, None).await
    }

    /// The metagraph of the block that closed last; on the clock, of now.
    async fn resync_now(&mut self) -> anyhow::Result<()> {
        match self.neuron.launch.block_time {
            BlockTime::PerStep => self.resync(Some(self.neuron.block)).await,
            BlockTime::Seconds(_) => {
                self.resync(None).await?;
                self.neuron.block = self.neuron.synced_block;
                Ok(())
            }
        }
    }

    async fn resync(&mut self, block: Option<u64>) -> anyhow::Result<()> {
        if block.is_some_and(|block| block == self.neuron.synced_block) {
            return Ok(());
        }
        self.neuron.resync(block).await?;
        *self.synced_at = Instant::now();
        Ok(())
    }

    fn epoch_length(&self) -> u64 {
        let overridden = u64::try_from(self.neuron.launch.neuron.epoch_length_override).ok();
        overridden
            .unwrap_or(self.neuron.metagraph.hyperparameters.validator_epoch_length)
            .max(1)
    }
}

impl Neuron {
    /// A user's question under the base prompt.
    pub(crate) fn question(&self, text: &str) -> Conversation {
        Conversation::question(&self.launch.neuron.base_prompt, text)
    }

    /// Those of the query where it trains, else the defaults.
    pub(crate) fn train_args(&self) -> TrainArgs {
        match self.launch.query.as_ref().map(|query| &query.method) {
            Some(Method::Train(args)) => args.clone(),
            _ => TrainArgs::default(),
        }
    }

    /// 'Ask a question', to the network.
    pub(crate) fn question_ask(&self, args: &TrainArgs) -> Ask {
        let question = self.question(&self.launch.neuron.question_prompt);
        Ask {
            is_question: true,
            ..self.training_ask(args, question)
        }
    }

    /// The network's own question, back to it.
    pub(crate) fn answer_ask(&self, args: &TrainArgs, question: &str) -> Ask {
        self.training_ask(args, self.question(question))
    }

    fn training_ask(&self, args: &TrainArgs, conversation: Conversation) -> Ask {
        Ask {
            conversation,
            is_question: false,
            topk: Some(self.launch.neuron.training_topk.into()),
            choice: choice(args.random_sample_uids),
            judgement: Judgement::Reward {
                train_gating_model: args.train_gating_model,
                train_network: args.train_network,
            },
            timeout: self.launch.neuron.training_timeout,
            method: "train",
        }
    }

    /// One forward for a question of the data.
    fn forward_ask(&self, args: &ForwardArgs, question: &str) -> Ask {
        Ask {
            conversation: self.question(question),
            is_question: false,
            topk: args.topk.or(Some(self.launch.neuron.training_topk.into())),
            choice: choice(args.random_sample_uids),
            judgement: Judgement::Reward {
                train_gating_model: args.train_gating_model,
                train_network: args.train_network,
            },
            timeout: args.timeout.unwrap_or(self.launch.neuron.training_timeout),
            method: "forward",
        }
    }

    /// One inference: the best-scored axons, and the completion of the best-scored or the best rewarded.
    pub(crate) fn inference_ask(&self, args: &InferenceArgs, conversation: Conversation) -> Ask {
        let judgement = if args.use_reward_model {
            Judgement::TrustRewards
        } else {
            Judgement::TrustScores
        };
        Ask {
            conversation,
            is_question: false,
            topk: Some(self.launch.neuron.inference_topk.into()),
            choice: Choice::BestScores,
            judgement,
            timeout: args.timeout.unwrap_or(self.launch.neuron.inference_timeout),
            method: "inference",
        }
    }
}

/// The file says it with a truth value, as v4 does.
pub(crate) fn choice(random_sample_uids: bool) -> Choice {
    if random_sample_uids {
        Choice::Sample
    } else {
        Choice::BestScores
    }
}
