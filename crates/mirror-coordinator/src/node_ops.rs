//! Long-running operations on nodes, which the orchestrator runs as background tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use mirror_cluster::{Liveness, NodeSpec, Placement, PlacementError};
use mirror_net::channel::is_passing;
use mirror_net::tracer::{Traced, Tracer};
use mirror_proto::mirror::v1::neuron_client::NeuronClient;
use mirror_proto::mirror::v1::{
    BarrierRetirement, IncidentKind, NodeIncident, QueryProgress, QueryRequest, record,
};
use mirror_proto::protocol::METAGRAPH_SYNC_BLOCKS;
use mirror_runs::Layout;
use mirror_spec::BlockTime;
use mirror_subtensor_client::{Detail, RequestError, SubtensorClient};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use crate::fault::Hold;
use crate::health::Outage;
use crate::metagraphs;
use crate::network_spec::{self, NetworkSpec, SUBTENSOR, Subtensor};
use crate::report_service::ReportService;

/// How long the subtensor may take for what the coordinator asks of it, beside the time that it takes to notice that it
/// hangs and to start it again.
const CONTROL_PATIENCE: Duration = Duration::from_mins(1);

/// Time for the chain to show that it lives, when another node waits in vain.
const CHAIN_CHECK: Duration = Duration::from_secs(1);

/// Time for a chain that runs already to answer, before a person is told that nothing does.
const RUNNING_CHAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Pause between two attempts to reach a validator, and between two looks at the metagraph.
const PAUSE: Duration = Duration::from_millis(100);

/// How far the history of the metagraph is kept.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The block of the next sync; `None` before the first.
    next: Option<u64>,
    /// As of the sync before.
    version: Option<u64>,
}

/// What a task needs.
pub(crate) struct NodeOps<P> {
    pub(crate) placement: Arc<P>,
    pub(crate) spec: Arc<NetworkSpec>,
    pub(crate) reports: ReportService,
    pub(crate) tracer: Tracer,
    /// Where the subtensor is.
    pub(crate) subtensor_address: watch::Receiver<SocketAddr>,
    /// A client of the subtensor that waits for it without end.
    pub(crate) subtensor: SubtensorClient,
    pub(crate) coordinator: SocketAddr,
    pub(crate) ready_timeout: Duration,
    pub(crate) hang_timeout: Duration,
    /// When the subtensor was last out of reach.
    pub(crate) outage: Outage,
    pub(crate) history: Arc<tokio::sync::Mutex<History>>,
    /// Where the run lies.
    pub(crate) layout: Layout,
    /// How often each node was started before, by the placement's count.
    pub(crate) incarnations: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl<P> Clone for NodeOps<P> {
    fn clone(&self) -> Self {
        Self {
            placement: self.placement.clone(),
            spec: self.spec.clone(),
            reports: self.reports.clone(),
            tracer: self.tracer.clone(),
            subtensor_address: self.subtensor_address.clone(),
            subtensor: self.subtensor.clone(),
            coordinator: self.coordinator,
            ready_timeout: self.ready_timeout,
            hang_timeout: self.hang_timeout,
            outage: self.outage.clone(),
            history: self.history.clone(),
            layout: self.layout.clone(),
            incarnations: self.incarnations.clone(),
        }
    }
}

/// Why a node is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartCause {
    /// The run begins.
    FirstStart,
    /// It died or hung, and its policy is to start it again.
    Policy,
    /// The schedule of faults has it started again after this step.
    Schedule { step: u64 },
}

/// What became of the start of a node.
pub(crate) struct Started {
    pub(crate) node: String,
    pub(crate) cause: StartCause,
    /// `None`: there was no process.
    pub(crate) incarnation: Option<u32>,
    /// Where it serves, once it was ready.
    pub(crate) outcome: Result<SocketAddr, PlacementError>,
}

/// How the following of a query ended.
pub(crate) enum Followed {
    /// The query is over.
    Done,
    /// The validator refused it, or failed in it.
    Failed(Status),
    /// The validator is gone; the placement tells of its end.
    Gone,
}

impl<P: Placement> NodeOps<P> {
    /// Starts a node and waits until it is ready.
    pub(crate) async fn start(&self, node: String, cause: StartCause) -> Started {
        let incarnation = match self.spec(&node) {
            Some(spec) => self.placement.spawn(&spec).await,
            None => Err(PlacementError::Unknown { node: node.clone() }),
        };
        let (incarnation, outcome) = match incarnation {
            Ok(incarnation) => {
                self.incarnations().insert(node.clone(), incarnation);
                (Some(incarnation), self.ready(&node).await)
            }
            Err(error) => (None, Err(error)),
        };
        Started {
            node,
            cause,
            incarnation,
            outcome,
        }
    }

    /// Waits until a node is ready. Miners wait for the chain, so time in which the chain was away is given back to
    /// them.
    async fn ready(&self, node: &str) -> Result<SocketAddr, PlacementError> {
        loop {
            let since = Instant::now();
            match self.placement.ready(node, self.ready_timeout).await {
                Err(PlacementError::NotReady { .. })
                    if node != SUBTENSOR && (self.outage.touches(since) || self.chain_is_silent().await) =>
                {
                    tracing::info!(node, "waits on for a node: the subtensor was out of reach");
                }
                outcome => return outcome,
            }
        }
    }

    /// Whether the chain, where it is a node of this run, does not answer at this moment.
    async fn chain_is_silent(&self) -> bool {
        let found = self.placement.check_liveness(SUBTENSOR, CHAIN_CHECK).await;
        found == Liveness::Silent
    }

    /// What a node is started with now.
    fn spec(&self, node: &str) -> Option<NodeSpec> {
        let subtensor = *self.subtensor_address.borrow();
        if node == SUBTENSOR {
            return match self.spec.subtensor(Some(self.coordinator)) {
                Subtensor::Ours(spec) => Some(*spec),
                Subtensor::Runs(_) => None,
            };
        }
        if let Some(index) = network_spec::validator_index(node) {
            return Some(self.spec.validator(index, subtensor, self.coordinator));
        }
        let first = node.split('-').nth(1)?.parse().ok()?;
        Some(self.spec.miner(first, subtensor))
    }

    /// How often a node was started before.
    pub(crate) fn incarnation(&self, node: &str) -> u32 {
        self.incarnations().get(node).copied().unwrap_or_default()
    }

    /// Writes down what happened to a node.
    pub(crate) async fn incident(
        &self,
        node: &str,
        what: IncidentKind,
        detail: String,
        last_log: String,
    ) -> anyhow::Result<()> {
        let incarnation = self.incarnation(node);
        let incident = NodeIncident {
            node: node.to_owned(),
            what: what.into(),
            detail,
            at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64()),
            incarnation,
            last_log,
        };
        self.reports.record(record::Kind::Incident(incident)).await
    }

    fn incarnations(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u32>> {
        self.incarnations
            .lock()
            .expect("nobody panics while holding the incarnations")
    }

    /// Has the chain begin, and the history of its metagraph with it.
    pub(crate) async fn begin_run(&self) -> anyhow::Result<()> {
        self.begin().await?;
        if self.spec.keeps_history() {
            self.catch_up(&self.subtensor).await?;
        }
        Ok(())
    }

    /// Has the chain begin: the first block, and the clock where there is one.
    pub(crate) async fn begin(&self) -> anyhow::Result<()> {
        Ok(self.bounded_subtensor().begin().await?)
    }

    /// Has the chain go on until an epoch has paid for what validators said last.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        Ok(self.bounded_subtensor().settle().await?)
    }

    /// Takes a validator out of the barrier for good, where there is one.
    pub(crate) async fn retire(&self, index: u32, reason: String) -> anyhow::Result<()> {
        if self.spec.network().block_time != BlockTime::PerStep {
            return Ok(());
        }
        let hotkey = self.spec.validator_hotkey(index);
        let subtensor = self.bounded_subtensor();
        let block = subtensor.retire(&hotkey, reason.clone()).await?;
        let retirement = BarrierRetirement {
            validator: network_spec::validator_name(index),
            block,
            reason,
        };
        self.reports.record(record::Kind::Barrier(retirement)).await
    }

    /// Waits until the barrier stands still after `step`, does what is due at this hold, and lets the barrier go on.
    /// Returns what became of the starts.
    pub(crate) async fn break_things(&self, step: u64, hold: Hold) -> anyhow::Result<Vec<Started>> {
        self.subtensor.await_hold(step).await?;
        let started = hold.carry_out(self, step).await?;
        self.bounded_subtensor().release(step).await?;
        Ok(started)
    }

    /// Names of the processes that these uids live in.
    pub(crate) fn processes(&self, uids: &BTreeSet<u32>) -> BTreeSet<String> {
        uids.iter()
            .map(|uid| network_spec::miner_name(&self.spec.process_of(*uid)))
            .collect()
    }

    /// Follows a validator through its query, and asks again when the stream breaks while the validator lives.
    pub(crate) async fn follow_query(&self, index: u32, progress: mpsc::Sender<QueryProgress>) -> Followed {
        let name = network_spec::validator_name(index);
        while let Some(address) = self.placement.address(&name) {
            let mut client = NeuronClient::new(self.tracer.channel(address));
            match follow(&mut client, &progress).await {
                Ok(()) => return Followed::Done,
                Err(status) if !is_passing(&status) => return Followed::Failed(status),
                Err(status) => tracing::debug!(name, %status, "the stream of a query broke"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Followed::Gone
    }

    /// A client of the subtensor that gives up when the subtensor is neither there nor started again in time.
    fn bounded_subtensor(&self) -> SubtensorClient {
        let deadline = CONTROL_PATIENCE + self.hang_timeout + self.ready_timeout;
        self.subtensor.with_deadline(deadline)
    }

    /// Keeps the metagraph of the last block, and what the history of the metagraph lacks.
    pub(crate) async fn keep_last_metagraphs(&self) {
        let subtensor = self.bounded_subtensor();
        if self.spec.keeps_history()
            && let Err(error) = self.catch_up(&subtensor).await
        {
            tracing::warn!("the end of the metagraph's history is not kept: {error:#}");
        }
        if let Err(error) = self.keep_metagraph(&subtensor, None).await {
            tracing::warn!("the last metagraph is not kept: {error:#}");
        }
    }

    /// Has the run keep the metagraph of a block, or that of now.
    async fn keep_metagraph(&self, subtensor: &SubtensorClient, block: Option<u64>) -> anyhow::Result<()> {
        let metagraph = subtensor.metagraph(block, Detail::Full).await?;
        metagraphs::save(&self.layout, metagraph)
    }

    /// Keeps the metagraph of each sync in which it has changed, for as long as the run goes on.
    pub(crate) async fn keep_history(&self) -> anyhow::Result<()> {
        loop {
            self.catch_up(&self.subtensor).await?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Brings the history of the metagraph to the block that closed last.
    async fn catch_up(&self, subtensor: &SubtensorClient) -> anyhow::Result<()> {
        let caught_up = self.try_catch_up(subtensor).await;
        caught_up.context("keeping the metagraph's history")
    }

    async fn try_catch_up(&self, subtensor: &SubtensorClient) -> anyhow::Result<()> {
        let mut history = self.history.lock().await;
        let now = subtensor.current_block().await?;
        let mut block = history.next.unwrap_or(now);
        while block <= now {
            let version = subtensor.metagraph(Some(block), Detail::Lite).await?.version;
            if history.version != Some(version) {
                self.keep_metagraph(subtensor, Some(block)).await?;
            }
            block = (block / METAGRAPH_SYNC_BLOCKS + 1) * METAGRAPH_SYNC_BLOCKS;
            *history = History {
                next: Some(block),
                version: Some(version),
            };
        }
        Ok(())
    }

    /// Whether a chain that runs already can be this experiment's: everybody who plays is registered there, and the
    /// barrier has not let anybody by.
    pub(crate) async fn check_running_chain(&self) -> anyhow::Result<()> {
        let subtensor = self.subtensor.with_deadline(RUNNING_CHAIN_DEADLINE);
        let metagraph = match subtensor.metagraph(None, Detail::Lite).await {
            Ok(metagraph) => metagraph,
            Err(error @ RequestError::DeadlineExceeded { .. }) => {
                return Err(error).context(
                    "nothing answers there: start a chain with `mirror chain serve`, and name where it listens",
                );
            }
            Err(error) => return Err(error).context("it is no `mirror-subtensor` of this version"),
        };
        for (uid, hotkey) in self.spec.hotkeys() {
            let there = metagraph.neurons.get(uid as usize);
            if there.is_none_or(|neuron| neuron.hotkey != hotkey) {
                bail!(
                    "its uid {uid} is not {hotkey}, by which this experiment plays it: start the chain from this file with \
                     the same seed, miners and validators"
                );
            }
        }
        let begun = metagraph
            .neurons
            .first()
            .is_some_and(|neuron| metagraph.block > neuron.block_at_registration);
        if begun && self.spec.network().block_time == BlockTime::PerStep {
            bail!(
                "it is at block {} already, and the steps of a run with `block_time: per_step` begin with the chain: start a \
                 new one, or let blocks close by the clock",
                metagraph.block
            );
        }
        Ok(())
    }
}

async fn follow(
    client: &mut NeuronClient<Traced>,
    progress: &mpsc::Sender<QueryProgress>,
) -> Result<(), Status> {
    let mut told = client.query(QueryRequest {}).await?.into_inner();
    while let Some(message) = told.message().await? {
        let finished = message.finished;
        if progress.send(message).await.is_err() || finished {
            return Ok(());
        }
    }
    Err(Status::unavailable("the stream ended before the query did"))
}
