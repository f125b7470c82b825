//! Long-running operations on nodes, which the orchestrator runs as background tasks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use mirror_cluster::{Liveness, NodeSpec, Placement, PlacementError, Program, Role};
use mirror_net::channel::is_passing;
use mirror_net::tracer::{Traced, Tracer};
use mirror_proto::mirror::v1::neuron_client::NeuronClient;
use mirror_proto::mirror::v1::node_control_client::NodeControlClient;
use mirror_proto::mirror::v1::proxy_client::ProxyClient;
use mirror_proto::mirror::v1::{
    BarrierRetirement, DispatchError, IncidentKind, NodeIncident, QueryProgress, QueryRequest, ServeTarget,
    WireRules, record,
};
use mirror_proto::protocol::{CHAIN_TARGET, METAGRAPH_SYNC_BLOCKS};
use mirror_runs::Layout;
use mirror_spec::BlockTime;
use mirror_subtensor_client::{Detail, RequestError, SubtensorClient};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use crate::fault::{Active, NodeState};
use crate::health::Outage;
use crate::metagraphs;
use crate::network_spec::{self, NetworkSpec, PROXY, SUBTENSOR, Subtensor};
use crate::report_service::ReportService;

/// Maximum time for a control request to the subtensor. The time to detect that the subtensor hangs and to restart it
/// is added.
const CONTROL_PATIENCE: Duration = Duration::from_mins(1);

/// Time that the chain has to answer a health check when another node is not ready in time.
const CHAIN_CHECK: Duration = Duration::from_secs(1);

/// Time that a chain that is already running has to answer before the run fails.
const RUNNING_CHAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Time that a node has to acknowledge a change of its faults.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(5);

/// Maximum number of bytes of a log in an error.
const LAST_LOG: u64 = 4 << 10;

/// Pause between two attempts to reach a validator, and between two checks of the metagraph.
const PAUSE: Duration = Duration::from_millis(100);

/// State of the metagraph's history.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The block of the next sync. `None` before the first sync.
    next: Option<u64>,
    /// Version of the metagraph at the previous sync.
    version: Option<u64>,
}

/// Shared state of the background tasks.
pub(crate) struct NodeOps<P> {
    pub(crate) placement: Arc<P>,
    pub(crate) spec: Arc<NetworkSpec>,
    pub(crate) reports: ReportService,
    pub(crate) tracer: Tracer,
    /// Address of the subtensor.
    pub(crate) subtensor_address: watch::Receiver<SocketAddr>,
    /// Address at which the nodes reach the subtensor: its own, or that of the proxy for it.
    pub(crate) subtensor_for_nodes: watch::Receiver<SocketAddr>,
    /// A client of the subtensor that waits for it indefinitely.
    pub(crate) subtensor: SubtensorClient,
    pub(crate) coordinator: SocketAddr,
    pub(crate) ready_timeout: Duration,
    pub(crate) hang_timeout: Duration,
    /// The latest period in which the subtensor was unreachable.
    pub(crate) outage: Outage,
    pub(crate) history: Arc<tokio::sync::Mutex<History>>,
    /// The directory of the run.
    pub(crate) layout: Layout,
    /// The directory of the CPU profiles. `None` if the run is not profiled.
    pub(crate) profiles: Option<PathBuf>,
    /// The latest incarnation of each node, as the placement counts them.
    pub(crate) incarnations: Arc<Mutex<BTreeMap<String, u32>>>,
    /// The faults in effect.
    pub(crate) active: Arc<Mutex<Active>>,
    /// Number of fault states that were sent to nodes.
    pub(crate) revisions: Arc<AtomicU64>,
}

impl<P> Clone for NodeOps<P> {
    fn clone(&self) -> Self {
        Self {
            placement: self.placement.clone(),
            spec: self.spec.clone(),
            reports: self.reports.clone(),
            tracer: self.tracer.clone(),
            subtensor_address: self.subtensor_address.clone(),
            subtensor_for_nodes: self.subtensor_for_nodes.clone(),
            subtensor: self.subtensor.clone(),
            coordinator: self.coordinator,
            ready_timeout: self.ready_timeout,
            hang_timeout: self.hang_timeout,
            outage: self.outage.clone(),
            history: self.history.clone(),
            layout: self.layout.clone(),
            profiles: self.profiles.clone(),
            incarnations: self.incarnations.clone(),
            active: self.active.clone(),
            revisions: self.revisions.clone(),
        }
    }
}

/// The reason for the start of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartCause {
    /// The run begins.
    FirstStart,
    /// The node died or hung, and its restart policy is to restart it.
    Policy,
    /// A fault that had stopped it has ended, or restarts it.
    Fault,
}

/// The outcome of the start of a node.
pub(crate) struct Started {
    pub(crate) node: String,
    pub(crate) cause: StartCause,
    /// The incarnation. `None` if no process was started.
    pub(crate) incarnation: Option<u32>,
    /// The address that the node serves at, once it is ready.
    pub(crate) outcome: Result<SocketAddr, PlacementError>,
    /// The faults with which the node was started.
    pub(crate) state: Box<NodeState>,
}

/// The outcome of following a query.
pub(crate) enum Followed {
    /// The query has completed.
    Done,
    /// The validator rejected the query, or failed during it.
    Failed(Status),
    /// The validator has exited. The placement reports its exit.
    Gone,
}

impl<P: Placement> NodeOps<P> {
    /// Starts a node and waits until it is ready. A node that a fault keeps dead is not started.
    pub(crate) async fn start(&self, node: String, cause: StartCause) -> Started {
        let state = self.active().state_of(&node, &self.spec);
        if state.is_dead {
            return Started {
                outcome: Err(PlacementError::NotRunning { node: node.clone() }),
                incarnation: None,
                node,
                cause,
                state: Box::new(state),
            };
        }
        let incarnation = match self.node_spec(&node, &state) {
            Some(spec) => self.placement.spawn(&spec).await,
            None => Err(PlacementError::Unknown { node: node.clone() }),
        };
        let (incarnation, outcome) = match incarnation {
            Ok(incarnation) => {
                self.incarnations().insert(node.clone(), incarnation);
                (
                    Some(incarnation),
                    self.ready_and_announced(&node, incarnation).await,
                )
            }
            Err(error) => (None, Err(error)),
        };
        Started {
            node,
            cause,
            incarnation,
            outcome,
            state: Box::new(state),
        }
    }

    /// Waits until a node is ready, and announces its axon if it is a program of others.
    async fn ready_and_announced(&self, node: &str, incarnation: u32) -> Result<SocketAddr, PlacementError> {
        let address = self.ready(node).await?;
        let Some(uid) = self.spec.uid_of_program(node) else {
            return Ok(address);
        };
        match self.announce(uid, incarnation, address).await {
            Ok(()) => Ok(address),
            Err(error) => Err(PlacementError::NotReady {
                node: node.to_owned(),
                timeout: self.ready_timeout,
                reason: format!("its axon cannot be announced: {error:#}"),
                last_log: self.placement.logs(node, LAST_LOG).unwrap_or_default(),
            }),
        }
    }

    /// Waits until a node is ready. Other nodes wait for the chain, so the timeout starts again if the chain was
    /// unreachable in the meantime.
    async fn ready(&self, node: &str) -> Result<SocketAddr, PlacementError> {
        loop {
            let since = Instant::now();
            match self.placement.ready(node, self.ready_timeout).await {
                Err(PlacementError::NotReady { .. })
                    if node != SUBTENSOR && (self.outage.touches(since) || self.chain_is_silent().await) =>
                {
                    tracing::info!(
                        node,
                        "a node gets more time to become ready: the subtensor was unreachable"
                    );
                }
                outcome => return outcome,
            }
        }
    }

    /// Returns whether the chain is a node of this run and does not answer a health check now.
    async fn chain_is_silent(&self) -> bool {
        let found = self.placement.check_liveness(SUBTENSOR, CHAIN_CHECK).await;
        matches!(found, Liveness::Silent | Liveness::Paused)
    }

    /// Returns the current specification of a node with the faults of `state`.
    fn node_spec(&self, node: &str, state: &NodeState) -> Option<NodeSpec> {
        let mut spec = self.spec_of_role(node, state)?;
        if let Program::Ours {
            clock_skew,
            telemetry,
            profiles,
            role,
            ..
        } = &mut spec.program
        {
            *clock_skew = state.clock_skew;
            *telemetry = self.spec.telemetry(self.coordinator);
            *profiles = match role {
                Role::Subtensor(_) | Role::Validator(_) => self.profiles.clone(),
                Role::Miner(_) | Role::Proxy(_) => None,
            };
        }
        Some(spec)
    }

    fn spec_of_role(&self, node: &str, state: &NodeState) -> Option<NodeSpec> {
        let subtensor = *self.subtensor_for_nodes.borrow();
        if node == PROXY {
            return Some(self.spec.proxy());
        }
        if node == SUBTENSOR {
            return match self.spec.subtensor(Some(self.coordinator)) {
                Subtensor::Ours(spec) => Some(*spec),
                Subtensor::Runs(_) => None,
            };
        }
        if let Some(index) = network_spec::validator_index(node) {
            return Some(self.spec.validator(index, subtensor, self.coordinator, state));
        }
        let uid = *self.spec.uids_of_process(node).first()?;
        if let Some(program) = self.spec.program(uid) {
            return Some(program);
        }
        Some(
            self.spec
                .miner(uid, subtensor, self.placement.address(PROXY), state),
        )
    }

    /// Returns the latest incarnation of a node, from 0.
    pub(crate) fn incarnation(&self, node: &str) -> u32 {
        self.incarnations().get(node).copied().unwrap_or_default()
    }

    /// Records an incident of a node.
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
            at: unix_time(),
            incarnation,
            last_log,
        };
        self.reports.record(record::Kind::Incident(incident)).await
    }

    fn incarnations(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u32>> {
        self.incarnations
            .lock()
            .expect("no thread panics while it holds the lock")
    }

    /// Starts the chain, and the history of its metagraph.
    pub(crate) async fn begin_run(&self) -> anyhow::Result<()> {
        self.begin().await?;
        if self.spec.keeps_history() {
            self.catch_up(&self.subtensor).await?;
        }
        Ok(())
    }

    /// Starts the chain: its first block, and its clock if it has one.
    pub(crate) async fn begin(&self) -> anyhow::Result<()> {
        Ok(self.bounded_subtensor().begin().await?)
    }

    /// Lets the chain proceed until an epoch has paid for the validators' last weights.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        Ok(self.bounded_subtensor().settle().await?)
    }

    /// Removes a validator permanently from the barrier, if there is one.
    pub(crate) async fn retire(&self, index: u32, reason: String) -> anyhow::Result<()> {
        if self.spec.network().block_time != BlockTime::PerStep {
            return Ok(());
        }
        let hotkey = self.spec.validator_hotkey(index);
        let block = self.subtensor.retire(&hotkey, reason.clone()).await?;
        let retirement = BarrierRetirement {
            validator: network_spec::validator_name(index),
            block,
            reason,
        };
        self.reports.record(record::Kind::Barrier(retirement)).await
    }

    /// Lets the barrier hold after `step`, or after the open step, and waits until it does. Returns the step.
    pub(crate) async fn hold(&self, step: Option<u64>) -> anyhow::Result<u64> {
        // A fault may have paused or cut off the chain, which is then available again when the fault ends.
        let step = self.subtensor.add_hold(step).await?;
        self.subtensor.await_hold(step).await?;
        Ok(step)
    }

    /// Lets the barrier hold after `step`.
    pub(crate) async fn add_hold(&self, step: u64) -> anyhow::Result<()> {
        self.bounded_subtensor().add_hold(Some(step)).await?;
        Ok(())
    }

    /// Releases the hold after `step`. Before that, lets the barrier hold after `next`, so that it cannot pass it.
    pub(crate) async fn release(&self, step: u64, next: Option<u64>) -> anyhow::Result<()> {
        // A fault may have paused or cut off the chain, which is then available again when the fault ends.
        if let Some(next) = next {
            self.subtensor.add_hold(Some(next)).await?;
        }
        Ok(self.subtensor.release(step).await?)
    }

    /// Waits until a block has closed, for a chain whose blocks close by the clock.
    pub(crate) async fn block_closed(&self, block: u64) -> anyhow::Result<()> {
        while self.subtensor.current_block().await? < block {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Returns the last closed block. `None` if the chain does not answer soon.
    pub(crate) async fn current_block(&self) -> Option<u64> {
        self.subtensor
            .with_deadline(CHAIN_CHECK)
            .current_block()
            .await
            .ok()
    }

    /// Submits the transactions that register miners with these uids. They apply in the open block.
    pub(crate) async fn register(&self, uids: Range<u32>) -> anyhow::Result<()> {
        let block = self.subtensor.current_block().await?;
        for uid in uids {
            let transaction = self.spec.registration(uid, block);
            let reply = self.subtensor.submit(transaction).await?;
            if let Some(error) = DispatchError::from_field(reply.refusal) {
                bail!("the subtensor rejected the registration of uid {uid}: {error}");
            }
        }
        Ok(())
    }

    /// Checks that the miners with these uids are registered after the last closed block.
    pub(crate) async fn check_registered(&self, uids: Range<u32>) -> anyhow::Result<()> {
        let metagraph = self.subtensor.metagraph(None, Detail::Lite).await?;
        for uid in uids {
            let hotkey = self.spec.newcomer_hotkey(uid);
            match metagraph.neurons.get(uid as usize) {
                Some(neuron) if neuron.hotkey == hotkey => {}
                Some(neuron) => bail!(
                    "uid {uid} has the hotkey {} instead of {hotkey}: another neuron was registered",
                    neuron.hotkey
                ),
                None => bail!("uid {uid} was not registered: the chain's table of transactions shows why"),
            }
        }
        Ok(())
    }

    /// Waits until a block after `block` has closed.
    pub(crate) async fn next_block(&self) -> anyhow::Result<()> {
        let block = self.subtensor.current_block().await?;
        self.block_closed(block.saturating_add(1)).await
    }

    /// Sends a node the part of its fault state that it puts into effect itself, and waits for the acknowledgement.
    pub(crate) async fn send_faults(&self, node: &str, state: &NodeState) -> anyhow::Result<()> {
        let address = self
            .placement
            .control(node)
            .with_context(|| format!("{node} is not running"))?;
        let revision = self.revisions.fetch_add(1, Ordering::Relaxed) + 1;
        let mut client = NodeControlClient::new(self.tracer.secure_channel(address, node));
        tokio::time::timeout(ACKNOWLEDGEMENT, client.apply(state.message(revision)))
            .await
            .with_context(|| format!("{node} did not acknowledge the fault within {ACKNOWLEDGEMENT:?}"))?
            .with_context(|| format!("{node} refused the fault"))?;
        Ok(())
    }

    /// Lets the proxy pass connections on to the chain at `address`. Returns the address at which the nodes reach it.
    pub(crate) async fn serve_through_proxy(&self, address: SocketAddr) -> anyhow::Result<SocketAddr> {
        self.serve_target_through_proxy(CHAIN_TARGET.to_owned(), address)
            .await
    }

    /// Lets the proxy pass connections on to the target `name` at `address`. Returns the address at which callers reach
    /// it.
    pub(crate) async fn serve_target_through_proxy(
        &self,
        name: String,
        address: SocketAddr,
    ) -> anyhow::Result<SocketAddr> {
        let target = ServeTarget {
            name: name.clone(),
            address: address.to_string(),
        };
        let mut client = self.proxy_client()?;
        let served = tokio::time::timeout(ACKNOWLEDGEMENT, client.serve(target))
            .await
            .context("the proxy does not answer")?
            .with_context(|| format!("the proxy cannot serve the {name}"))?;
        let served = served.into_inner().address;
        served
            .parse()
            .with_context(|| format!("the proxy serves the {name} at `{served}`, which is no address"))
    }

    /// Sends the proxy all rules in effect, and waits until they are.
    pub(crate) async fn send_wire_rules(&self) -> anyhow::Result<()> {
        let source = |node: &str| self.placement.source(node);
        let rules = self.active().wire_rules(&self.spec, &source);
        let mut client = self.proxy_client()?;
        tokio::time::timeout(ACKNOWLEDGEMENT, client.set_rules(WireRules { rules }))
            .await
            .context("the proxy does not answer")?
            .context("the proxy refused the rules")?;
        Ok(())
    }

    fn proxy_client(&self) -> anyhow::Result<ProxyClient<Traced>> {
        let address = self
            .placement
            .address(PROXY)
            .context("the proxy is not running")?;
        Ok(ProxyClient::new(self.tracer.secure_channel(address, PROXY)))
    }

    /// Returns the faults in effect.
    pub(crate) fn active(&self) -> std::sync::MutexGuard<'_, Active> {
        self.active
            .lock()
            .expect("no thread panics while it holds the lock")
    }

    /// Follows the query of a validator, and reconnects if the stream breaks while the validator is running.
    pub(crate) async fn follow_query(&self, index: u32, progress: mpsc::Sender<QueryProgress>) -> Followed {
        let name = network_spec::validator_name(index);
        while let Some(address) = self.placement.address(&name) {
            let mut client = NeuronClient::new(self.tracer.secure_channel(address, &name));
            match follow(&mut client, &progress).await {
                Ok(()) => return Followed::Done,
                Err(status) if !is_passing(&status) => return Followed::Failed(status),
                Err(status) => tracing::debug!(name, %status, "the stream of a query broke"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Followed::Gone
    }

    /// Returns a client of the subtensor with a deadline that allows for one restart of the subtensor.
    fn bounded_subtensor(&self) -> SubtensorClient {
        let deadline = CONTROL_PATIENCE + self.hang_timeout + self.ready_timeout;
        self.subtensor.with_deadline(deadline)
    }

    /// Saves the metagraph of the last block, and completes the history of the metagraph.
    pub(crate) async fn keep_last_metagraphs(&self) {
        let subtensor = self.bounded_subtensor();
        if self.spec.keeps_history()
            && let Err(error) = self.catch_up(&subtensor).await
        {
            tracing::warn!("cannot save the end of the metagraph's history: {error:#}");
        }
        if let Err(error) = self.keep_metagraph(&subtensor, None).await {
            tracing::warn!("cannot save the last metagraph: {error:#}");
        }
    }

    /// Saves the metagraph of a block. `None` for the latest block.
    async fn keep_metagraph(&self, subtensor: &SubtensorClient, block: Option<u64>) -> anyhow::Result<()> {
        let metagraph = subtensor.metagraph(block, Detail::Full).await?;
        metagraphs::save(&self.layout, metagraph)
    }

    /// Saves the metagraph of each sync in which it has changed, until it is cancelled.
    pub(crate) async fn keep_history(&self) -> anyhow::Result<()> {
        loop {
            self.catch_up(&self.subtensor).await?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Extends the history of the metagraph up to the latest closed block.
    async fn catch_up(&self, subtensor: &SubtensorClient) -> anyhow::Result<()> {
        let caught_up = self.try_catch_up(subtensor).await;
        caught_up.context("cannot save the metagraph's history")
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

    /// Checks that a running chain fits this experiment: every assigned hotkey is registered under its uid, and with
    /// `block_time: per_step` no block has closed since its genesis.
    pub(crate) async fn check_running_chain(&self) -> anyhow::Result<()> {
        let subtensor = self.subtensor.with_deadline(RUNNING_CHAIN_DEADLINE);
        let metagraph = match subtensor.metagraph(None, Detail::Lite).await {
            Ok(metagraph) => metagraph,
            Err(error @ RequestError::DeadlineExceeded { .. }) => {
                return Err(error).context(
                    "no chain answers at this address: start one with `mirror chain serve`, and use its listen address",
                );
            }
            Err(error) => return Err(error).context("it is not a `mirror-subtensor` of this version"),
        };
        for (uid, hotkey) in self.spec.hotkeys() {
            let there = metagraph.neurons.get(uid as usize);
            if there.is_none_or(|neuron| neuron.hotkey != hotkey) {
                bail!(
                    "its uid {uid} does not have the hotkey {hotkey} of this experiment: start the chain from this file with \
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
                "it is at block {} already, but a run with `block_time: per_step` requires a chain at its first block: \
                 start a new chain, or let blocks close by the clock",
                metagraph.block
            );
        }
        Ok(())
    }
}

/// Returns the time in seconds since 1970.
pub(crate) fn unix_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

async fn follow(
    client: &mut NeuronClient<Traced>,
    progress: &mpsc::Sender<QueryProgress>,
) -> Result<(), Status> {
    let mut messages = client.query(QueryRequest {}).await?.into_inner();
    while let Some(message) = messages.message().await? {
        let finished = message.finished;
        if progress.send(message).await.is_err() || finished {
            return Ok(());
        }
    }
    Err(Status::unavailable("the stream ended before the query did"))
}
