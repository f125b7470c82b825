//! The experiment's query: steps, each followed by the block barrier, the resync and, at the tempo, the weights.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use mirror_dataset::Dataset;
use mirror_proto::mirror::v1::Purpose;
use mirror_spec::{BlockTime, ForwardArgs, InferenceArgs, Method, Query, TrainArgs};
use mirror_telemetry::Instrument;
use mirror_telemetry::metrics::instruments;
use tokio::sync::{Mutex, watch};

use crate::learned::LearningRecord;
use crate::neuron::ask::{Ask, user_message};
use crate::neuron::{ForwardId, Neuron, StepEnd};

/// Progress of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Number of finished steps.
    pub steps_done: u64,
    /// Total number of steps.
    pub steps_total: u64,
    /// Number of forwards without a completion.
    pub failed_forwards: u64,
}

/// A query with exclusive access to the neuron.
struct Run<'a> {
    neuron: &'a mut Neuron,
    progress: &'a watch::Sender<Progress>,
    /// Time of the last resync, for chains whose blocks close by the clock.
    synced_at: &'a mut Instant,
}

/// Runs `query` from the step after the last one in `learned`. Other tasks can lock the neuron between two steps.
pub async fn run(
    neuron: &Mutex<Neuron>,
    query: &Query,
    questions: Option<&Path>,
    learned: &[LearningRecord],
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
        let span = run.neuron.step_span(Purpose::Query, step);
        let started = Instant::now();
        let whole = async {
            run.step(&steps, step).await?;
            run.after_step(step).await
        };
        whole.instrument(span).await?;
        instruments().steps.record(started.elapsed().as_secs_f64(), &[]);
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

/// The steps of a query, by method.
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

/// The questions of the data set, `chunk_size` per step.
struct Questions {
    dataset: Dataset,
    chunk_size: u32,
}

impl Steps {
    fn open(query: &Query, questions: Option<&Path>) -> anyhow::Result<Self> {
        let open = || {
            let path = questions
                .context("the query needs a data set of questions, and the launch config names none")?;
            let dataset = Dataset::open(path)
                .with_context(|| format!("cannot map the question data set {}", path.display()))?;
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
    /// Replays the learning records and returns the first step to run.
    async fn resume(&mut self, learned: &[LearningRecord]) -> anyhow::Result<u64> {
        let Some(last) = learned.last() else {
            self.resync(None).await?;
            let chain = self.neuron.chain_mut();
            let synced = chain.synced_block();
            chain.advance(synced);
            chain.begin_epoch(synced);
            return Ok(0);
        };
        self.resync(self.on_the_barrier(last.synced_block)).await?;
        self.neuron.replay(learned, last)?;
        let done = last.step + 1;
        tracing::info!(steps = done, "resumed from the learning records");
        self.after_step(last.step).await?;
        Ok(done)
    }

    /// Returns `block` if blocks close by steps. `None` if they close by the clock, where the latest metagraph is used.
    fn on_the_barrier(&self, block: u64) -> Option<u64> {
        (self.neuron.launch().block_time == BlockTime::PerStep).then_some(block)
    }

    async fn step(&mut self, steps: &Steps, step: u64) -> anyhow::Result<()> {
        let failed = match steps {
            Steps::Train(args) => self.train_step(args, step).await?,
            Steps::Forward { args, questions } => {
                let ask = |question| Ask::forward(self.neuron.launch(), args, question);
                let asks = questions.of_step(step).map(ask).collect();
                self.together(asks, step).await?
            }
            Steps::Inference { args, questions } => {
                let launch = self.neuron.launch();
                let ask = |question| Ask::inference(launch, args, user_message(launch, question));
                let asks = questions.of_step(step).map(ask).collect();
                self.together(asks, step).await?
            }
        };
        self.progress
            .send_modify(|progress| progress.failed_forwards += failed);
        Ok(())
    }

    /// Asks the network for a question, and then asks it the best question. Returns the number of forwards that failed.
    /// The second is not made if the first fails.
    async fn train_step(&mut self, args: &TrainArgs, step: u64) -> anyhow::Result<u64> {
        let id = |forward_index| ForwardId {
            purpose: Purpose::Query,
            step,
            forward_index,
        };
        let ask = Ask::for_question(self.neuron.launch(), args);
        let question = self.neuron.forward(ask, id(0), StepEnd::WithoutBest).await?;
        let Some(question) = question.completion() else {
            return Ok(1);
        };
        let ask = Ask::for_answer(self.neuron.launch(), args, question);
        let answer = self.neuron.forward(ask, id(1), StepEnd::Always).await?;
        Ok(u64::from(answer.best.is_none()))
    }

    async fn together(&mut self, asks: Vec<Ask>, step: u64) -> anyhow::Result<u64> {
        let settled = self.neuron.forward_together(asks, step).await?;
        Ok(settled.iter().filter(|settled| settled.best.is_none()).count() as u64)
    }

    /// Waits at the block barrier and then does what v4 does between two steps: resync every ten blocks, set weights at
    /// the tempo. Reveals committed weights when their epoch has come.
    async fn after_step(&mut self, step: u64) -> anyhow::Result<()> {
        self.wait_for_block(step).await?;
        if self.neuron.chain().is_sync_due() {
            self.resync_now().await?;
        }
        self.neuron.reveal_weights().await?;
        if self.neuron.chain().is_epoch_over(self.epoch_length()) {
            self.resync_now().await?;
            let block = self.neuron.chain().block();
            self.neuron.chain_mut().begin_epoch(block);
            self.neuron.submit_weights(step).await?;
        }
        if self.neuron.is_checkpoint_due(step + 1) {
            self.neuron.write_checkpoint(step + 1)?;
        }
        self.progress
            .send_modify(|progress| progress.steps_done = step + 1);
        Ok(())
    }

    /// Lets one more block close, in which the last weights apply, and waits until all records are acknowledged.
    async fn close(mut self, steps: u64) -> anyhow::Result<()> {
        if !self.neuron.is_checkpoint_due(steps) {
            self.neuron.write_checkpoint(steps)?;
        }
        self.wait_for_block(steps).await?;
        self.neuron.drained().await
    }

    async fn wait_for_block(&mut self, step: u64) -> anyhow::Result<()> {
        match self.neuron.launch().block_time {
            BlockTime::PerStep => self.neuron.step_done(step).await,
            BlockTime::Seconds(seconds) => {
                let passed = self.synced_at.elapsed().as_secs_f64() / seconds;
                let chain = self.neuron.chain_mut();
                chain.advance(chain.synced_block() + passed as u64);
                Ok(())
            }
        }
    }

    /// Fetches the metagraph at the last closed block, or the latest one if blocks close by the clock.
    async fn resync_now(&mut self) -> anyhow::Result<()> {
        match self.neuron.launch().block_time {
            BlockTime::PerStep => self.resync(Some(self.neuron.chain().block())).await,
            BlockTime::Seconds(_) => {
                self.resync(None).await?;
                let chain = self.neuron.chain_mut();
                chain.advance(chain.synced_block());
                Ok(())
            }
        }
    }

    async fn resync(&mut self, block: Option<u64>) -> anyhow::Result<()> {
        if block.is_some_and(|block| block == self.neuron.chain().synced_block()) {
            return Ok(());
        }
        self.neuron.resync(block).await?;
        *self.synced_at = Instant::now();
        Ok(())
    }

    fn epoch_length(&self) -> u64 {
        let overridden = u64::try_from(self.neuron.launch().neuron.epoch_length_override).ok();
        overridden
            .unwrap_or(
                self.neuron
                    .chain()
                    .metagraph()
                    .hyperparameters
                    .validator_epoch_length,
            )
            .max(1)
    }
}
