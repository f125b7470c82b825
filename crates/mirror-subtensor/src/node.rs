//! The task that owns the ledger and its log, and the handle through which calls reach it.
//!
//! The task works in batches: all waiting calls change the ledger, then the log is written once, then the calls are
//! answered. A block therefore costs one write, however many reports and transactions it has.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use mirror_chain::{
    Block, BlockUnavailable, Chain, ClosedBlock, DispatchError, Metagraph, SETTLING_BLOCKS, Submitted,
};
use mirror_identity::Hotkey;
use mirror_net::tracer::block_span;
use mirror_proto::mirror::v1 as proto;
use mirror_seed::Seed;
use mirror_telemetry::metrics::{KeyValue, instruments};
use mirror_telemetry::span;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at};

use crate::admission::SignedTx;
use crate::barrier::{BarrierError, Hold, Report};
use crate::history;
use crate::ledger::Ledger;
use crate::log::{Change, Log, PastMetagraph, Retired, StepClosed};
use crate::reports::{BlockRecords, Reports};
use crate::wire::{self, Detail};

/// Capacity of the task's queue of calls. Further calls wait in their connections.
const WAITING_CALLS: usize = 1_024;

/// Maximum number of calls in a batch.
const BATCH: usize = 256;

/// Interval at which the log is synced to disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Sends calls to the task.
#[derive(Clone)]
pub(crate) struct Handle {
    calls: mpsc::Sender<Call>,
    current: watch::Receiver<Current>,
    /// Permit for reading the history. Only one read runs at a time, because a read may need much memory.
    reading: Arc<Semaphore>,
}

/// The task that owns the ledger and the log.
pub(crate) struct Node {
    ledger: Ledger,
    /// The random seed of the experiment, from which the ids of spans derive.
    seed: Seed,
    log: Log,
    /// Reports blocks to the coordinator once they are in the log. `None` without a coordinator.
    reports: Option<Reports>,
    calls: mpsc::Receiver<Call>,
    current: watch::Sender<Current>,
    /// Time between two blocks. `None` if the barrier closes blocks.
    clock: Option<Duration>,
    /// Waiting report of each validator.
    waiting: BTreeMap<Hotkey, WaitingReport>,
    /// Waiting calls for the hold after a step.
    holds: Vec<(u64, Reply<Block>)>,
    answers: Vec<Answer>,
}

/// The last closed block and its metagraph.
#[derive(Clone)]
pub(crate) struct Current {
    block: Block,
    metagraph: Arc<Version>,
}

/// A version of the metagraph, and its messages, which are built on first use.
struct Version {
    metagraph: Arc<Metagraph>,
    full: OnceLock<proto::Metagraph>,
    lite: OnceLock<proto::Metagraph>,
}

/// Error of a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Barrier(#[from] BarrierError),
    #[error(transparent)]
    BlockUnavailable(#[from] BlockUnavailable),
    #[error("this chain has no barrier: its blocks are closed by the clock")]
    ByTheClock,
    #[error("superseded by a report of the same validator on another stream")]
    ReportedElsewhere,
    #[error("the validator was retired from the barrier; report again to rejoin")]
    Retired,
    #[error("cannot read the history: {0:#}")]
    History(anyhow::Error),
    #[error("the node is shutting down")]
    Ending,
}

type Reply<T> = oneshot::Sender<Result<T, CallError>>;

/// Sends the reply of a call once the log is written.
type Answer = Box<dyn FnOnce() + Send>;

/// Reads from the chain and returns the answer.
type Read = dyn FnOnce(&Chain) -> Answer + Send;

struct WaitingReport {
    step: u64,
    reply: Reply<proto::BlockClosed>,
}

/// Result of a submission and the number of the block that was open.
pub(crate) struct SubmitAnswer {
    pub(crate) open: Block,
    pub(crate) submitted: Result<Submitted, DispatchError>,
}

enum Call {
    Submit {
        signed_tx: Box<SignedTx>,
        reply: Reply<SubmitAnswer>,
    },
    Report {
        hotkey: Hotkey,
        step: u64,
        reply: Reply<proto::BlockClosed>,
    },
    Read(Box<Read>),
    MetagraphAt {
        block: Block,
        reply: Reply<PastMetagraph>,
    },
    Begin {
        reply: Reply<Block>,
    },
    Settle {
        reply: Reply<Block>,
    },
    Retire {
        hotkey: Hotkey,
        reason: String,
        reply: Reply<Block>,
    },
    AddHold {
        step: Option<u64>,
        reply: Reply<u64>,
    },
    AwaitHold {
        step: u64,
        reply: Reply<Block>,
    },
    Release {
        step: u64,
        reply: Reply<Block>,
    },
}

/// Creates the task of a ledger and a handle to it. The caller runs the task.
pub(crate) fn new(
    ledger: Ledger,
    seed: Seed,
    log: Log,
    clock: Option<Duration>,
    reports: Option<Reports>,
) -> (Handle, Node) {
    let (sender, calls) = mpsc::channel(WAITING_CALLS);
    let (current, watched) = watch::channel(Current::of(&ledger));
    let node = Node {
        ledger,
        seed,
        log,
        reports,
        calls,
        current,
        clock,
        waiting: BTreeMap::new(),
        holds: Vec::new(),
        answers: Vec::new(),
    };
    (
        Handle {
            calls: sender,
            current: watched,
            reading: Arc::new(Semaphore::new(1)),
        },
        node,
    )
}

impl Handle {
    pub(crate) async fn submit(&self, signed_tx: SignedTx) -> Result<SubmitAnswer, CallError> {
        let signed_tx = Box::new(signed_tx);
        self.ask(|reply| Call::Submit { signed_tx, reply }).await
    }

    pub(crate) async fn report(&self, hotkey: Hotkey, step: u64) -> Result<proto::BlockClosed, CallError> {
        self.ask(|reply| Call::Report { hotkey, step, reply }).await
    }

    /// Evaluates `read` on the current chain.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Chain) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        self.ask(|reply| Call::Read(Box::new(move |chain| answer(reply, Ok(read(chain))))))
            .await
    }

    /// Returns the metagraph as of a closed block, from memory or from disk.
    pub(crate) async fn metagraph_at(&self, block: Block) -> Result<Arc<Metagraph>, CallError> {
        let folder = match self.ask(|reply| Call::MetagraphAt { block, reply }).await? {
            PastMetagraph::Held(metagraph) => return Ok(metagraph),
            PastMetagraph::Written(folder) => folder,
        };
        let reading = Arc::clone(&self.reading).acquire_owned().await;
        let reading = reading.map_err(|_| CallError::Ending)?;
        let read = tokio::task::spawn_blocking(move || {
            let _one_at_a_time = reading;
            match history::read(&folder, block)? {
                Some(metagraph) => Ok(Ok(Arc::new(metagraph))),
                None => Ok(Err(history::begins(&folder)?)),
            }
        });
        match read
            .await
            .map_err(|_| CallError::Ending)?
            .map_err(CallError::History)?
        {
            Ok(metagraph) => Ok(metagraph),
            Err(oldest) => Err(BlockUnavailable::TooOld {
                block,
                oldest: oldest.unwrap_or(block.next()),
            }
            .into()),
        }
    }

    pub(crate) async fn begin(&self) -> Result<Block, CallError> {
        self.ask(|reply| Call::Begin { reply }).await
    }

    pub(crate) async fn settle(&self) -> Result<Block, CallError> {
        self.ask(|reply| Call::Settle { reply }).await
    }

    pub(crate) async fn retire(&self, hotkey: Hotkey, reason: String) -> Result<Block, CallError> {
        self.ask(|reply| Call::Retire {
            hotkey,
            reason,
            reply,
        })
        .await
    }

    pub(crate) async fn add_hold(&self, step: Option<u64>) -> Result<u64, CallError> {
        self.ask(|reply| Call::AddHold { step, reply }).await
    }

    pub(crate) async fn await_hold(&self, step: u64) -> Result<Block, CallError> {
        self.ask(|reply| Call::AwaitHold { step, reply }).await
    }

    pub(crate) async fn release(&self, step: u64) -> Result<Block, CallError> {
        self.ask(|reply| Call::Release { step, reply }).await
    }

    /// Returns a receiver of the current metagraph. It is notified when the version changes.
    pub(crate) fn current(&self) -> watch::Receiver<Current> {
        self.current.clone()
    }

    async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        self.calls
            .send(call(reply))
            .await
            .map_err(|_| CallError::Ending)?;
        answer.await.map_err(|_| CallError::Ending)?
    }
}

impl Current {
    /// Returns the number of the last closed block.
    pub(crate) fn block(&self) -> Block {
        self.block
    }

    /// Returns the metagraph as a message.
    pub(crate) fn message(&self, detail: Detail) -> proto::Metagraph {
        let Version {
            metagraph,
            full,
            lite,
        } = &*self.metagraph;
        let message = match detail {
            Detail::Full => full,
            Detail::Lite => lite,
        };
        let message = message.get_or_init(|| wire::metagraph(metagraph, metagraph.since, detail));
        proto::Metagraph {
            block: self.block.0,
            ..message.clone()
        }
    }

    fn of(ledger: &Ledger) -> Self {
        Self {
            block: ledger.chain().block(),
            metagraph: Arc::new(Version {
                metagraph: Arc::clone(ledger.chain().metagraph()),
                full: OnceLock::new(),
                lite: OnceLock::new(),
            }),
        }
    }
}

impl Node {
    /// Runs until every handle is dropped.
    ///
    /// # Errors
    /// Returns an error if the log cannot be written or records cannot be sent to the coordinator.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut sync = interval(SYNC_INTERVAL);
        sync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clock = None;
        loop {
            self.send_reports().await?;
            if clock.is_none() && self.ledger.has_begun() {
                clock = self.clock.map(start_clock);
            }
            tokio::select! {
                received = self.calls.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    for call in batch.drain(..) {
                        self.handle_reads(call);
                    }
                }
                () = tick(&mut clock) => {
                    self.close();
                }
                _ = sync.tick() => {
                    self.note_reported();
                    self.log.sync().context("cannot sync the log to disk")?;
                }
            }
            self.acknowledge()?;
        }
        self.log.sync().context("cannot sync the log to disk")
    }

    fn handle_reads(&mut self, call: Call) {
        match call {
            Call::Submit { signed_tx, reply } => {
                let answer = self.submit(*signed_tx);
                self.answer(reply, Ok(answer));
            }
            Call::Report { hotkey, step, reply } => self.report(hotkey, step, reply),
            Call::Read(read) => self.answers.push(read(self.ledger.chain())),
            Call::MetagraphAt { block, reply } => {
                let past = match self.ledger.chain().metagraph_at(block) {
                    Ok(metagraph) => Ok(PastMetagraph::Held(Arc::clone(metagraph))),
                    Err(BlockUnavailable::TooOld { .. }) => Ok(self.log.past(block)),
                    Err(error) => Err(error.into()),
                };
                self.answer(reply, past);
            }
            Call::Begin { reply } => {
                if !self.ledger.has_begun() {
                    self.close();
                    self.close_complete_step();
                }
                self.answer(reply, Ok(self.ledger.first_block()));
            }
            Call::Settle { reply } => {
                self.settle();
                self.answer(reply, Ok(self.ledger.chain().block()));
            }
            Call::Retire {
                hotkey,
                reason,
                reply,
            } => {
                let retired = self.retire(hotkey, reason);
                self.answer(reply, retired);
            }
            Call::AddHold { step, reply } => {
                let added = self.add_hold(step);
                self.answer(reply, added);
            }
            Call::AwaitHold { step, reply } => self.await_hold(step, reply),
            Call::Release { step, reply } => {
                let released = self.release(step);
                self.answer(reply, released);
            }
        }
    }

    fn submit(&mut self, SignedTx { message, checked }: SignedTx) -> SubmitAnswer {
        let open = self.ledger.chain().open_block();
        let submitted = self.ledger.submit(checked);
        if let Ok(Submitted::Included { .. }) = submitted {
            self.log.push(Change::Submitted(message));
        }
        SubmitAnswer { open, submitted }
    }

    fn report(&mut self, hotkey: Hotkey, step: u64, reply: Reply<proto::BlockClosed>) {
        if self.clock.is_some() {
            return self.answer(reply, Err(CallError::ByTheClock));
        }
        match self.ledger.report(&hotkey, step) {
            Ok(Report::Closed(closed)) => {
                let closed = wire::block_closed(closed, &hotkey);
                self.answer(reply, Ok(closed));
            }
            Ok(Report::Waits) => {
                if let Some(earlier) = self.waiting.insert(hotkey, WaitingReport { step, reply }) {
                    self.answer(earlier.reply, Err(CallError::ReportedElsewhere));
                }
                self.close_complete_step();
            }
            Err(error) => self.answer(reply, Err(error.into())),
        }
    }

    fn retire(&mut self, hotkey: Hotkey, reason: String) -> Result<Block, CallError> {
        if self.clock.is_some() {
            return Err(CallError::ByTheClock);
        }
        let open = self.ledger.chain().open_block();
        let block = self.ledger.retire(&hotkey)?;
        if block == open {
            tracing::info!(%hotkey, reason, block = block.0, "retired from the barrier");
            self.log.push(Change::Retired(Retired {
                hotkey: hotkey.bytes().to_vec(),
                reason,
            }));
        }
        if let Some(waiting) = self.waiting.remove(&hotkey) {
            self.answer(waiting.reply, Err(CallError::Retired));
        }
        self.close_complete_step();
        Ok(block)
    }

    fn add_hold(&mut self, step: Option<u64>) -> Result<u64, CallError> {
        if self.clock.is_some() {
            return Err(CallError::ByTheClock);
        }
        let step = self.ledger.add_hold(step)?;
        self.log.push(Change::HoldAdded(step));
        Ok(step)
    }

    fn await_hold(&mut self, step: u64, reply: Reply<Block>) {
        match self.ledger.hold(step) {
            Ok(Hold::Standing(block) | Hold::Released(block)) => self.answer(reply, Ok(block)),
            Ok(Hold::Ahead) => {
                self.holds.retain(|(_, waiting)| !waiting.is_closed());
                self.holds.push((step, reply));
            }
            Err(error) => self.answer(reply, Err(error.into())),
        }
    }

    fn release(&mut self, step: u64) -> Result<Block, CallError> {
        let before = self.ledger.hold(step)?;
        let block = self.ledger.release(step)?;
        if let Hold::Standing(_) = before {
            self.log.push(Change::Released(step));
            self.answer_reports();
            self.close_complete_step();
        }
        Ok(block)
    }

    fn close(&mut self) {
        let closed = self.traced(Ledger::close);
        self.log.push(Change::Closed(closed.block.0));
        self.log.keep(self.ledger.chain());
        self.note(&closed);
    }

    /// Closes a block within its span, which is the root of its trace.
    fn traced(&mut self, close: impl FnOnce(&mut Ledger) -> ClosedBlock) -> ClosedBlock {
        let open = self.ledger.chain().open_block();
        let (trace, _) = block_span(&self.seed, open.0);
        let closing = span("block")
            .in_trace(trace, 0)
            .with("mirror.block", open.0)
            .start();
        let _entered = closing.enter();
        let closed = if self.ledger.runs_epoch() {
            span("epoch")
                .with("mirror.block", open.0)
                .start()
                .in_scope(|| close(&mut self.ledger))
        } else {
            close(&mut self.ledger)
        };
        closing.record("mirror.transactions", closed.applied.len() as u64);
        closed
    }

    /// Closes blocks until the last closed block has run an epoch. Does nothing if it already has, if the clock closes
    /// blocks, or if no epoch is due within [`SETTLING_BLOCKS`].
    fn settle(&mut self) {
        while self.clock.is_none() && self.ledger.is_unsettled(SETTLING_BLOCKS) {
            self.close();
        }
    }

    /// Logs a warning for each failed transaction of a closed block and queues the block's records for the coordinator.
    fn note(&mut self, closed: &ClosedBlock) {
        trace_errors(closed);
        measure(closed);
        if let Some(reports) = &mut self.reports
            && let Some(block_records) = BlockRecords::new(closed, self.ledger.chain())
        {
            reports.add(block_records.clone());
            self.log.note(Some(block_records));
        }
    }

    /// Sends the records of the closed blocks to the coordinator, now that they are in the log. The chain pauses while
    /// the coordinator has too many records to acknowledge.
    async fn send_reports(&mut self) -> anyhow::Result<()> {
        match &mut self.reports {
            Some(reports) => reports.send().await,
            None => Ok(()),
        }
    }

    /// Logs the last block whose records the coordinator has acknowledged, so that a restart does not send them again.
    fn note_reported(&mut self) {
        if let Some(block) = self.reports.as_mut().and_then(Reports::acknowledged) {
            self.log.push(Change::Reported(block.0));
        }
    }

    fn close_complete_step(&mut self) {
        let Some((step, joined)) = self.ledger.complete_step() else {
            return;
        };
        let closed = self.traced(|ledger| ledger.close_step(step, &joined));
        for hotkey in &joined {
            tracing::info!(%hotkey, step, block = closed.block.0, "rejoined the barrier");
        }
        self.log.push(Change::StepClosed(StepClosed {
            block: closed.block.0,
            step,
            joined: joined.iter().map(|hotkey| hotkey.bytes().to_vec()).collect(),
        }));
        self.log.keep(self.ledger.chain());
        self.note(&closed);
        self.answer_reports();
        for (_, reply) in self
            .holds
            .extract_if(.., |(hold, _)| *hold == step)
            .collect::<Vec<_>>()
        {
            self.answer(reply, Ok(closed.block));
        }
    }

    /// Answers the reports of the last closed step, unless it is held.
    fn answer_reports(&mut self) {
        let Some(closed) = self.ledger.answered_step() else {
            return;
        };
        let answered = self
            .waiting
            .extract_if(.., |_, report| report.step == closed.step);
        for (hotkey, WaitingReport { reply, .. }) in answered {
            let message = wire::block_closed(closed, &hotkey);
            self.answers.push(answer(reply, Ok(message)));
        }
    }

    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, value: Result<T, CallError>) {
        self.answers.push(answer(reply, value));
    }

    /// Writes the changes of the batch to the log, then answers its calls.
    fn acknowledge(&mut self) -> anyhow::Result<()> {
        self.log
            .commit()
            .context("cannot write the log, so nothing can be acknowledged")?;
        let chain = self.ledger.chain();
        self.current.send_if_modified(|current| {
            current.block = chain.block();
            let changed = !Arc::ptr_eq(&current.metagraph.metagraph, chain.metagraph());
            if changed {
                *current = Current::of(&self.ledger);
            }
            changed
        });
        for answer in self.answers.drain(..) {
            answer();
        }
        self.log
            .shorten(&self.ledger)
            .context("cannot replace the log by a snapshot")
    }
}

fn answer<T: Send + 'static>(reply: Reply<T>, value: Result<T, CallError>) -> Answer {
    // The caller may no longer wait for the answer.
    Box::new(move || drop(reply.send(value)))
}

fn start_clock(block_time: Duration) -> Interval {
    let mut clock = interval_at(Instant::now() + block_time, block_time);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

async fn tick(clock: &mut Option<Interval>) {
    match clock {
        Some(clock) => {
            clock.tick().await;
        }
        None => pending().await,
    }
}

/// Adds a closed block to the metrics.
fn measure(closed: &ClosedBlock) {
    instruments().block.record(closed.block.0 as f64, &[]);
    for applied in &closed.applied {
        let outcome = applied
            .outcome
            .map_or_else(mirror_chain::DispatchError::name, |()| "applied");
        let outcome = KeyValue::new("mirror.outcome", outcome);
        instruments().transactions.add(1, &[outcome]);
    }
}

fn trace_errors(closed: &ClosedBlock) {
    for applied in &closed.applied {
        if let Err(refusal) = applied.outcome {
            tracing::warn!(
                key = %applied.signer,
                nonce = applied.nonce.0,
                block = closed.block.0,
                refusal = refusal.name(),
                "a transaction failed: {refusal}"
            );
        }
    }
}
