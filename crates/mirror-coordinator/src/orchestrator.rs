//! Orchestrates a run: starts the nodes in order, has the validators run their queries, keeps the network alive or
//! breaks it on schedule, and shuts everything down in order.
//!
//! One task owns the state of the run. Long-running operations (a start, a wait for a hold) are background tasks of
//! [`NodeOps`], which report back with an [`Event`]. Events and exits of nodes are handled from the first process on,
//! so a node that dies or hangs is handled in the same way in every [`Phase`].

mod faults;
mod joins;
mod nodes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use mirror_certificates::Authority;
use mirror_cluster::supervise::{Decision, Health, MAX_RESTARTS, Supervisor};
use mirror_cluster::{EndedBy, Exit, LastLog, Placement, PlacementError, fleet};
use mirror_net::otlp;
use mirror_net::server::{self, Callers, Limits, Services};
use mirror_net::tls::Identity;
use mirror_net::tracer::Tracer;
use mirror_proto::mirror::v1::coordinator_server::CoordinatorServer;
use mirror_proto::mirror::v1::{IncidentKind, QueryProgress};
use mirror_proto::protocol::{COORDINATOR, OPERATOR};
use mirror_runs::tables::AFTER_FAULT;
use mirror_runs::{Ended, Manifest, Recorder, neurons};
use mirror_seed::Seed;
use mirror_spec::{Experiment, Model, RestartPolicy};
use mirror_subtensor_client::SubtensorClient;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::certificates;
use crate::data::Prepared;
use crate::fault::{NodeState, Schedule};
use crate::health::{Outage, WatchedNode, Watcher};
use crate::metagraphs;
use crate::network_spec::{self, NetworkSpec, PROXY, SUBTENSOR, Subtensor};
use crate::node_ops::{Followed, NodeOps, StartCause, Started};
use crate::progress::Progress;
use crate::report_service::{self, JournalWriter};
use crate::run_control::{self, ControlFile, ReadFault};
use crate::telemetry;

use self::faults::FaultControl;
pub(crate) use self::faults::ManualRequest;
use self::joins::Arrival;

/// Time that a node has to shut down on its own.
const GRACE: Duration = Duration::from_secs(5);

/// Time that a node of a profiled run has to shut down and to draw its profile, for which it reads the symbols of
/// libtorch.
const GRACE_WITH_PROFILE: Duration = Duration::from_mins(1);

/// Maximum size of a report in bytes. The largest is the record of an event with all replies of a large network.
const REPORT_LIMIT: usize = 64 << 20;

/// Maximum number of nodes between start and readiness. More would compete for the processors and exceed their
/// timeouts.
const STARTING_AT_ONCE: usize = 64;

/// Maximum number of bytes of a hung node's log in its incident.
const LAST_LOG: u64 = 4 << 10;

/// Capacity of the orchestrator's event queue.
const WAITING_EVENTS: usize = 256;

/// Options of a run.
pub struct Options {
    /// The authority of the certificates of the run's nodes.
    pub authority: Arc<Authority>,
    /// Log filter of the nodes.
    pub log: String,
    /// Shuts the run down in order.
    pub stop: CancellationToken,
    /// Kills all nodes immediately.
    pub now: CancellationToken,
    /// Whether progress is shown on standard error.
    pub progress: bool,
    /// Reads a fault that a person adds to the running network.
    pub read_fault: ReadFault,
    /// Whether the network stays after its queries until it is shut down.
    pub ends: Ends,
    /// Folder to which the validators and the chain write their CPU profiles. `None` to record none.
    pub profiles: Option<PathBuf>,
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The run ends with its queries.
    WithQueries,
    /// The network stays until a person shuts it down.
    OnRequest,
}

/// The result of a run.
pub struct Finished {
    /// The manifest, which contains the final state.
    pub manifest: Manifest,
    /// The reason why the run did not finish. `None` if it finished.
    pub reason: Option<String>,
    /// Names of the faults that did not occur because the run ended earlier.
    pub unreached_faults: Vec<String>,
}

/// An event that the orchestrator handles.
enum Event {
    Progress(u32, QueryProgress),
    Followed(u32, Followed),
    Started(Started),
    /// The health of a node has changed. The number identifies the watch that reports it.
    Health(String, u64, Health),
    /// The health of a chain that the run did not start has changed.
    RunningChain(SocketAddr, Health),
    /// The chain has begun, or failed to.
    Begun(anyhow::Result<()>),
    /// The barrier holds after this step, or cannot.
    Held(anyhow::Result<u64>),
    /// A fault is due by the clock.
    FaultTime,
    /// This block has closed, after which a fault is due.
    FaultBlock(u64),
    /// The transactions that register these miners were submitted, or could not be.
    Registered(Arrival, anyhow::Result<()>),
    /// These miners are registered and can start, or are not.
    Arrived(Arrival, anyhow::Result<()>),
    /// A node in a crash loop is to be killed again, if this is still its incarnation.
    CrashAgain(String, u32),
    /// A background task that the run depends on has ended, successfully or not.
    TaskEnded(anyhow::Result<()>),
    /// The chain has reached the epoch that pays for the validators' last weights, or failed to.
    Settled(anyhow::Result<()>),
}

/// The progress of the run through its phases.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The nodes of a wave are starting. `awaited` contains those that are neither ready nor left dead.
    Starting { wave: Wave, awaited: BTreeSet<String> },
    /// All nodes are ready, and the chain produces its first block.
    Beginning,
    /// The validators run their queries.
    Working,
    /// The chain proceeds to its last epoch.
    Settling,
    /// The queries have ended or there are none, and the network stays until it is shut down.
    Standing,
    /// The run has finished.
    Settled,
}

/// A group of nodes that start together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wave {
    Proxy,
    Subtensor,
    Miners,
    Validators,
}

/// The unexpected exit of a node.
struct UnexpectedExit {
    node: String,
    /// The kind of incident that is recorded: `exited`, `hung` or `unready`.
    what: IncidentKind,
    /// The exit in words, such as `was terminated by signal 9`.
    how: String,
    last_log: LastLog,
}

/// The watch over the health of a node. Dropping it ends the watch.
struct NodeWatch {
    number: u64,
    _ends: DropGuard,
}

struct Orchestrator<P> {
    ops: NodeOps<P>,
    subtensor: watch::Sender<SocketAddr>,
    subtensor_for_nodes: watch::Sender<SocketAddr>,
    supervisor: Supervisor,
    progress: Progress,
    phase: Phase,
    /// Limits the number of nodes that start concurrently.
    starting: Arc<Semaphore>,
    watcher: Watcher,
    /// The watch of each node that is ready.
    watches: BTreeMap<String, NodeWatch>,
    /// Number of watches created so far.
    watch_count: u64,
    /// The last incarnation of each node whose exit has been handled.
    ended: BTreeMap<String, u32>,
    /// Miner processes that are not left dead.
    miners: BTreeSet<String>,
    /// Description of the first miner that was left dead, for an error message.
    first_lost_miner: Option<String>,
    /// Validators that have neither completed their query nor been left dead.
    working: BTreeSet<u32>,
    /// Validators that have completed their query.
    done: BTreeSet<u32>,
    faults: FaultControl,
    ends: Ends,
    events: mpsc::Sender<Event>,
    tasks: TaskTracker,
    /// Cancels the background tasks.
    dismissed: CancellationToken,
}

/// The reason why a run stopped before it finished.
enum StopReason {
    ByUser,
    Failed(anyhow::Error),
}

/// Runs an experiment on a placement, and records it with `recorder`.
///
/// # Errors
///
/// Returns an error if the run cannot be set up or recorded. A run that fails later returns [`Finished`] with a reason.
pub async fn run<P: Placement + 'static>(
    experiment: &Experiment,
    model: &Model,
    data: Prepared,
    recorder: Recorder,
    placement: P,
    mut exits: mpsc::Receiver<Exit>,
    options: Options,
) -> anyhow::Result<Finished> {
    if let Some(metagraph_file) = &data.metagraph {
        metagraphs::save_origin(recorder.layout(), metagraph_file)?;
    }
    let authority = options.authority.clone();
    let spec = NetworkSpec::new(
        experiment,
        model,
        recorder.layout(),
        data,
        &options.log,
        authority.clone(),
    )?;
    let configured = spec.neurons();
    neurons::save(&configured, recorder.layout())?;
    let listener = placement
        .listen()
        .await
        .context("cannot open the listener for the nodes' reports")?;
    let coordinator = listener
        .local_addr()
        .context("cannot determine the coordinator's listen address")?;
    // No node uses the address of the subtensor until the subtensor is ready.
    let (subtensor, subtensor_address) = watch::channel(coordinator);
    let (for_nodes, subtensor_for_nodes) = watch::channel(coordinator);
    let layout = recorder.layout().clone();
    let (collector, telemetry_writer) =
        telemetry::start(&layout, recorder.run_id(), &experiment.telemetry, configured).await?;
    let (spans_service, metrics_service) = otlp::services(&collector);
    let (reports, mut journal_writer) =
        report_service::start(recorder, spec.validator_count(), subtensor_for_nodes.clone())?;
    let closing = CancellationToken::new();
    let service = CoordinatorServer::new(reports.clone()).max_decoding_message_size(REPORT_LIMIT);
    let identity = Identity::new(&authority.issue(COORDINATOR)?)?;
    let (manual, mut manual_requests) = mpsc::channel(run_control::WAITING);
    let control = run_control::Service::server(manual, options.read_fault.clone(), options.stop.clone());
    let control_file = ControlFile {
        address: coordinator,
        pid: std::process::id(),
    };
    let certificates = certificates::publish(&layout, &authority)?;
    let published = control_file
        .publish(&layout)
        .context("cannot write the control file of the run")?;
    let taking_in = tokio::spawn(server::serve(
        listener,
        Services::new(Some(identity.clone()))
            .only(Callers::Certified, service)
            .only(Callers::Certified, spans_service)
            .only(Callers::Certified, metrics_service)
            .only(Callers::Named(&[OPERATOR]), control),
        Limits::coordinator(),
        closing.clone().cancelled_owned(),
    ));
    let (events, mut incoming) = mpsc::channel(WAITING_EVENTS);
    let tracer = Tracer::new(&Seed::root(experiment.seed), COORDINATOR, 0).identified(identity);
    let for_the_chain = match spec.chain_credentials() {
        Some(credentials) => tracer.identified(
            Identity::new(credentials).context("the certificate in the file `chain_client` is not valid")?,
        ),
        None => tracer.clone(),
    };
    let ops = NodeOps {
        placement: Arc::new(placement),
        coordinator,
        ready_timeout: Duration::from_secs_f64(spec.network().ready_timeout),
        hang_timeout: Duration::from_secs_f64(spec.network().hang_timeout),
        outage: Outage::default(),
        spec: Arc::new(spec),
        reports,
        subtensor: SubtensorClient::following(for_the_chain, subtensor_address.clone()),
        tracer,
        subtensor_address,
        subtensor_for_nodes,
        history: Arc::default(),
        layout,
        profiles: options.profiles.clone(),
        incarnations: Arc::default(),
        active: Arc::default(),
        revisions: Arc::default(),
    };
    let mut orchestrator = Orchestrator {
        faults: FaultControl::new(Schedule::new(
            experiment.seed,
            ops.spec.first_block(),
            ops.spec.faults(),
        )),
        ends: options.ends,
        phase: Phase::Starting {
            wave: Wave::Subtensor,
            awaited: BTreeSet::new(),
        },
        starting: Arc::new(Semaphore::new(STARTING_AT_ONCE)),
        watcher: Watcher::new(ops.hang_timeout),
        watches: BTreeMap::new(),
        watch_count: 0,
        ended: BTreeMap::new(),
        miners: ops.spec.miner_names().into_iter().collect(),
        first_lost_miner: None,
        working: (0..ops.spec.validator_count()).collect(),
        ops,
        subtensor,
        subtensor_for_nodes: for_nodes,
        supervisor: Supervisor::default(),
        progress: if options.progress {
            Progress::shown()
        } else {
            Progress::hidden()
        },
        done: BTreeSet::new(),
        events,
        tasks: TaskTracker::new(),
        dismissed: CancellationToken::new(),
    };
    let outcome = tokio::select! {
        outcome = Box::pin(orchestrator.run(&mut exits, &mut incoming, &mut manual_requests, &mut journal_writer)) => outcome.map_err(StopReason::Failed),
        () = options.stop.cancelled() => Err(StopReason::ByUser),
    };
    let outcome = match outcome {
        // The queries have ended, so the run is complete.
        Err(StopReason::ByUser) if orchestrator.phase == Phase::Standing => Ok(()),
        outcome => outcome,
    };
    drop((published, certificates));
    orchestrator.cancel_tasks().await;
    orchestrator.progress.finish();
    if outcome.is_ok() {
        orchestrator.ops.keep_last_metagraphs().await;
    }
    let failures = orchestrator.end(&options.now).await;
    let unreached_faults = orchestrator.faults.unreached();
    closing.cancel();
    drop(orchestrator);
    taking_in.abort();
    // The task was aborted. Only its end matters.
    let _ = taking_in.await;
    let (ended, mut reason) = match outcome {
        Ok(()) => (Ended::Done, None),
        Err(StopReason::ByUser) => (Ended::Interrupted, Some("stopped by the user".to_owned())),
        Err(StopReason::Failed(error)) => (Ended::Failed, Some(format!("{error:#}"))),
    };
    for failure in failures {
        let failure = format!("cannot stop a node: {failure}");
        reason = Some(reason.map_or(failure.clone(), |reason| format!("{reason}; {failure}")));
    }
    let finishing = move || {
        // Telemetry never keeps a run from being closed.
        if let Err(error) = telemetry_writer.finish() {
            tracing::error!("the counts of the telemetry are lost: {error:#}");
        }
        journal_writer.finish(ended)
    };
    let manifest = tokio::task::spawn_blocking(finishing)
        .await
        .context("cannot close the run")??;
    Ok(Finished {
        manifest,
        reason,
        unreached_faults,
    })
}

impl<P: Placement + 'static> Orchestrator<P> {
    async fn run(
        &mut self,
        exits: &mut mpsc::Receiver<Exit>,
        events: &mut mpsc::Receiver<Event>,
        manual: &mut mpsc::Receiver<ManualRequest>,
        journal_writer: &mut JournalWriter,
    ) -> anyhow::Result<()> {
        self.start_chain().await?;
        while self.phase != Phase::Settled {
            while self.advance()? {}
            self.attend(exits, events, manual, journal_writer).await?;
        }
        Ok(())
    }

    /// Handles the next event, exit or failure of the journal.
    async fn attend(
        &mut self,
        exits: &mut mpsc::Receiver<Exit>,
        events: &mut mpsc::Receiver<Event>,
        manual: &mut mpsc::Receiver<ManualRequest>,
        journal_writer: &mut JournalWriter,
    ) -> anyhow::Result<()> {
        tokio::select! {
            Some(exit) = exits.recv() => self.exited(exit).await,
            Some(event) = events.recv() => self.on_event(event).await,
            Some(request) = manual.recv() => self.on_manual(request).await,
            _ = &mut journal_writer.stopped => bail!("cannot write the journal of the run"),
        }
    }

    /// Starts the subtensor, or checks the one that is already running.
    async fn start_chain(&mut self) -> anyhow::Result<()> {
        let address = match self.ops.spec.subtensor(Some(self.ops.coordinator)) {
            Subtensor::Ours(_) if self.ops.spec.has_proxy() => {
                self.start_wave(Wave::Proxy, vec![PROXY.to_owned()]);
                return Ok(());
            }
            Subtensor::Ours(_) => {
                self.start_wave(Wave::Subtensor, vec![SUBTENSOR.to_owned()]);
                return Ok(());
            }
            Subtensor::Runs(address) => address,
        };
        self.subtensor.send_replace(address);
        self.subtensor_for_nodes.send_replace(address);
        self.ops
            .check_running_chain()
            .await
            .with_context(|| format!("the subtensor at {address}"))?;
        let watching = self.watcher.clone().watch(
            WatchedNode::<P>::running_chain(address),
            self.events.clone(),
            move |health| Event::RunningChain(address, health),
        );
        let dismissed = self.dismissed.clone();
        self.tasks
            .spawn(async move { dismissed.run_until_cancelled(watching).await });
        Ok(())
    }

    /// Starts the nodes of a wave in order.
    fn start_wave(&mut self, wave: Wave, nodes: Vec<String>) {
        self.phase = Phase::Starting {
            wave,
            awaited: nodes.iter().cloned().collect(),
        };
        for node in nodes {
            self.start(node, StartCause::FirstStart, Duration::ZERO);
        }
    }

    /// Enters the next phase if the current one is complete: subtensor, miners, validators, where each wave must be
    /// ready before the next starts, then the first block, the queries, and the last epoch. Returns whether the phase
    /// changed.
    fn advance(&mut self) -> anyhow::Result<bool> {
        let ops = self.ops.clone();
        match &self.phase {
            Phase::Starting { awaited, .. } if !awaited.is_empty() => return Ok(false),
            Phase::Starting { wave, .. } => match wave {
                Wave::Proxy => self.start_wave(Wave::Subtensor, vec![SUBTENSOR.to_owned()]),
                Wave::Subtensor => self.start_wave(Wave::Miners, ops.spec.miner_names()),
                Wave::Miners => {
                    if let Some(first) = self.first_lost_miner.as_ref().filter(|_| self.miners.is_empty()) {
                        bail!("no miner is left: {first}");
                    }
                    let validators = (0..ops.spec.validator_count()).map(network_spec::validator_name);
                    self.start_wave(Wave::Validators, validators.collect());
                }
                Wave::Validators => {
                    self.phase = Phase::Beginning;
                    self.spawn_task(async move { Event::Begun(ops.begin_run().await) });
                }
            },
            Phase::Working if self.working.is_empty() => {
                self.phase = Phase::Settling;
                self.spawn_task(async move { Event::Settled(ops.settle().await) });
            }
            Phase::Beginning | Phase::Working | Phase::Settling | Phase::Standing | Phase::Settled => {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Starts the queries once the chain has begun, after the faults that begin with the first step.
    async fn begun(&mut self) -> anyhow::Result<()> {
        self.begin_faults().await?;
        self.phase = if self.ops.spec.has_query() {
            Phase::Working
        } else {
            self.working.clear();
            Phase::Standing
        };
        if self.ops.spec.keeps_history() {
            let ops = self.ops.clone();
            self.spawn_task(async move { Event::TaskEnded(ops.keep_history().await) });
        }
        for index in &self.working {
            self.query(*index);
        }
        self.begin_manual().await?;
        self.plan_faults();
        Ok(())
    }

    /// Starts a node in the background, after a delay and once the limit on concurrent starts permits.
    fn start(&self, node: String, cause: StartCause, after: Duration) {
        let (ops, turns) = (self.ops.clone(), self.starting.clone());
        self.spawn_task(async move {
            tokio::time::sleep(after).await;
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            Event::Started(ops.start(node, cause).await)
        });
    }

    /// Runs a task in the background and sends its event.
    fn spawn_task(&self, task: impl Future<Output = Event> + Send + 'static) {
        let (events, dismissed) = (self.events.clone(), self.dismissed.clone());
        let telling = async move {
            let event = task.await;
            // The orchestrator may have ended, and then does not need the event.
            let _ = events.send(event).await;
        };
        self.tasks
            .spawn(async move { dismissed.run_until_cancelled(telling).await });
    }

    /// Cancels the background tasks, so that no more nodes are started.
    async fn cancel_tasks(&self) {
        self.dismissed.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Starts the query of a validator and follows it.
    fn query(&self, index: u32) {
        let (ops, events) = (self.ops.clone(), self.events.clone());
        let (progress, mut updates) = mpsc::channel(1);
        self.spawn_task(async move {
            let follow = ops.follow_query(index, progress);
            let pass_on = async {
                while let Some(progress) = updates.recv().await {
                    if events.send(Event::Progress(index, progress)).await.is_err() {
                        return;
                    }
                }
            };
            let (followed, ()) = tokio::join!(follow, pass_on);
            Event::Followed(index, followed)
        });
    }

    async fn on_event(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Progress(index, progress) => self.progress.update(index, progress),
            Event::Followed(index, Followed::Done) => {
                self.working.remove(&index);
                self.done.insert(index);
            }
            Event::Followed(index, Followed::Failed(status)) => {
                let name = network_spec::validator_name(index);
                let reason = status.message().to_owned();
                self.ops
                    .incident(&name, IncidentKind::Failed, reason.clone(), String::new())
                    .await?;
                bail!("{name} failed in its query: {reason}");
            }
            // The exit of the node, which the placement reports, determines what to do.
            Event::Followed(_, Followed::Gone) => {}
            Event::Started(started) => self.started(started).await?,
            Event::Health(node, number, health) => {
                if self
                    .watches
                    .get(&node)
                    .is_some_and(|watch| watch.number == number)
                {
                    self.handle_health(node, health).await?;
                }
            }
            Event::RunningChain(address, health) => self.handle_health_running_chain(address, health)?,
            Event::Begun(done) => {
                done.context("the chain cannot start")?;
                self.begun().await?;
            }
            Event::Held(step) => {
                let step = step.context("the block barrier cannot hold for a fault")?;
                self.held(step).await?;
            }
            Event::FaultTime => self.fault_time().await?,
            Event::FaultBlock(block) => self.fault_block(block).await?,
            Event::Registered(arrival, outcome) => self.registered(arrival, outcome).await?,
            Event::Arrived(arrival, outcome) => self.arrived(arrival, outcome).await?,
            Event::CrashAgain(node, incarnation) => self.crash_again(&node, incarnation).await?,
            Event::TaskEnded(done) => done?,
            Event::Settled(done) => {
                done.context("the chain cannot reach its last epoch")?;
                self.phase = match self.ends {
                    Ends::WithQueries => Phase::Settled,
                    Ends::OnRequest => Phase::Standing,
                };
                self.carry_out_waiting().await?;
                self.progress.finish();
            }
        }
        Ok(())
    }

    async fn exited(&mut self, exit: Exit) -> anyhow::Result<()> {
        if exit.ended_by == EndedBy::Placement || self.has_ended(&exit.node, exit.incarnation) {
            return Ok(());
        }
        tracing::warn!(node = exit.node, status = %exit.status, "a node exited unexpectedly");
        let was_ready = self.watches.contains_key(&exit.node);
        self.died(UnexpectedExit {
            how: if was_ready {
                exit.status.to_string()
            } else {
                format!("{} before it was ready", exit.status)
            },
            node: exit.node,
            what: IncidentKind::Exited,
            last_log: exit.last_log,
        })
        .await
    }

    /// Returns whether the exit of this incarnation of a node has been handled.
    fn has_ended(&self, node: &str, incarnation: u32) -> bool {
        self.ended.get(node).is_some_and(|ended| *ended >= incarnation)
    }

    /// Handles the outcome of a start.
    async fn started(&mut self, started: Started) -> anyhow::Result<()> {
        let Started {
            node,
            cause,
            incarnation,
            outcome,
            state,
        } = started;
        self.start_has_ended(&node);
        if incarnation.is_some_and(|incarnation| self.has_ended(&node, incarnation)) {
            return Ok(());
        }
        match outcome {
            Ok(address) => self.is_ready(&node, cause, address, *state).await,
            // An exit is reported by the placement and handled there. A node that is already running was started both
            // by its policy and by the schedule. The other start reports when it is ready.
            Err(
                PlacementError::Ended { .. }
                | PlacementError::Running { .. }
                // A fault keeps the node dead, and starts it when it ends.
                | PlacementError::NotRunning { .. },
            ) => Ok(()),
            Err(PlacementError::NotReady {
                timeout,
                reason,
                last_log,
                ..
            }) => {
                self.ops.placement.kill(&node).await?;
                self.died(UnexpectedExit {
                    node,
                    what: IncidentKind::Unready,
                    how: format!("was not ready within {timeout:?}: {reason}"),
                    last_log,
                })
                .await
            }
            // If a program is missing or has another version, a retry does not help.
            Err(error) if matches!(self.phase, Phase::Starting { .. }) => Err(error.into()),
            Err(error) => {
                // There is no process to kill if the node never started.
                let killed = self.ops.placement.kill(&node).await;
                tracing::warn!(node, ?killed, %error, "cannot restart a node");
                self.died(UnexpectedExit {
                    node,
                    what: IncidentKind::Exited,
                    how: format!("could not be restarted: {error}"),
                    last_log: LastLog::default(),
                })
                .await
            }
        }
    }

    /// Handles the readiness of a node, on its first start or on a restart.
    async fn is_ready(
        &mut self,
        node: &str,
        cause: StartCause,
        address: SocketAddr,
        state: NodeState,
    ) -> anyhow::Result<()> {
        self.restore_faults(node, state).await?;
        if self.ops.active().state_of(node, &self.ops.spec).is_dead {
            // A fault that began while the node started has killed it.
            return Ok(());
        }
        let detail = match cause {
            StartCause::FirstStart => None,
            StartCause::Policy => Some(format!("listens at {address}")),
            StartCause::Fault => Some(AFTER_FAULT.to_owned()),
        };
        if let Some(detail) = detail {
            self.ops
                .incident(node, IncidentKind::Restarted, detail, String::new())
                .await?;
        }
        self.watch(node);
        if let Phase::Starting { awaited, .. } = &mut self.phase {
            awaited.remove(node);
        }
        let works = matches!(self.phase, Phase::Working | Phase::Settling | Phase::Standing);
        if node == PROXY {
            self.ops.serve_running_axons_through_proxy().await?;
        }
        if node == SUBTENSOR {
            self.ops.outage.ends();
            self.subtensor.send_replace(address);
            let for_nodes = if self.ops.spec.has_proxy() {
                self.ops.serve_through_proxy(address).await?
            } else {
                address
            };
            self.subtensor_for_nodes.send_replace(for_nodes);
            if works {
                // Blocks that close by the clock require the clock to be started again.
                let ops = self.ops.clone();
                self.spawn_task(async move { Event::TaskEnded(ops.begin().await) });
            }
        }
        if let Some(index) = network_spec::validator_index(node)
            && works
            && self.ops.spec.has_query()
        {
            // A validator that was retired from the barrier rejoins it.
            if self.phase == Phase::Working && !self.done.contains(&index) {
                self.working.insert(index);
            }
            self.query(index);
        }
        Ok(())
    }

    /// Watches a node that is ready. Replaces the watch over its previous incarnation.
    fn watch(&mut self, node: &str) {
        self.watch_count += 1;
        let (number, ends) = (self.watch_count, self.dismissed.child_token());
        let watched = WatchedNode::Node(self.ops.placement.clone(), node.to_owned());
        let name = node.to_owned();
        let watching = self
            .watcher
            .clone()
            .watch(watched, self.events.clone(), move |health| {
                Event::Health(name.clone(), number, health)
            });
        let ended = ends.clone();
        self.tasks
            .spawn(async move { ended.run_until_cancelled(watching).await });
        let watch = NodeWatch {
            number,
            _ends: ends.drop_guard(),
        };
        self.watches.insert(node.to_owned(), watch);
    }

    /// Handles a change of the health of a node.
    async fn handle_health(&mut self, node: String, health: Health) -> anyhow::Result<()> {
        match health {
            Health::Silent(silence) => {
                if node == SUBTENSOR {
                    self.ops.outage.begins();
                }
                self.progress.silent(&node, silence);
            }
            Health::Answers => {
                if node == SUBTENSOR {
                    self.ops.outage.ends();
                }
                self.progress.answers(&node);
            }
            Health::Unwatched => self.progress.forget(&node),
            Health::Hung(silence) => return self.hung(node, silence).await,
        }
        Ok(())
    }

    /// Handles a change of the health of a chain that the run did not start and cannot restart.
    fn handle_health_running_chain(&mut self, address: SocketAddr, health: Health) -> anyhow::Result<()> {
        let name = format!("the subtensor at {address}");
        match health {
            Health::Silent(silence) => self.progress.silent(&name, silence),
            Health::Answers => self.progress.answers(&name),
            Health::Unwatched => {}
            Health::Hung(silence) => bail!(
                "{name} has not answered health checks for {:.1} s, and this run did not start it: check whether it is still running",
                silence.as_secs_f64()
            ),
        }
        Ok(())
    }

    /// Kills a node that has been silent long enough to count as hung, and handles its exit.
    async fn hung(&mut self, node: String, silence: Duration) -> anyhow::Result<()> {
        tracing::warn!(node, ?silence, "a node has hung and is killed");
        let last_log = self.ops.placement.logs(&node, LAST_LOG);
        self.ops.placement.kill(&node).await?;
        self.died(UnexpectedExit {
            how: format!(
                "hung: it did not answer health checks for {:.1} s, and was killed",
                silence.as_secs_f64()
            ),
            last_log: last_log.unwrap_or_else(|error| LastLog(format!("(its log cannot be read: {error})"))),
            node,
            what: IncidentKind::Hung,
        })
        .await
    }

    /// Handles the unexpected exit of a node according to its restart policy.
    async fn died(&mut self, mut death: UnexpectedExit) -> anyhow::Result<()> {
        if let Some(command) = self.ops.spec.command_in_file(&death.node) {
            death.how = format!("{}, started with `{command}`", death.how);
            tracing::warn!("{}", death.words(""));
        }
        let node = &death.node;
        self.ended.insert(node.clone(), self.ops.incarnation(node));
        self.watches.remove(node);
        self.progress.forget(node);
        if node == SUBTENSOR {
            self.ops.outage.begins();
        }
        self.ops
            .incident(node, death.what, death.how.clone(), death.last_log.0.clone())
            .await?;
        match self.supervisor.decide(node, self.policy(node)) {
            Decision::Restart { after } => {
                if let Phase::Starting { awaited, .. } = &mut self.phase {
                    awaited.insert(node.clone());
                }
                self.start(node.clone(), StartCause::Policy, after);
                Ok(())
            }
            Decision::Leave => self.lost(&death).await,
            Decision::Fail => bail!(death.words(", and its restart policy is `fail`")),
            Decision::GiveUp => {
                let reason = "it reached the maximum number of restarts";
                self.ops
                    .incident(node, IncidentKind::Left, reason.to_owned(), String::new())
                    .await?;
                bail!(death.words(&format!(", after {MAX_RESTARTS} restarts")))
            }
        }
    }

    /// Handles a node that is left dead.
    async fn lost(&mut self, death: &UnexpectedExit) -> anyhow::Result<()> {
        let (node, reason) = (&death.node, "its restart policy is `leave`");
        self.ops
            .incident(node, IncidentKind::Left, reason.to_owned(), String::new())
            .await?;
        if let Phase::Starting { awaited, .. } = &mut self.phase {
            awaited.remove(node);
        }
        if node == SUBTENSOR {
            bail!(
                "the subtensor has exited: {}",
                death.words(&format!(", and {reason}"))
            );
        }
        let Some(index) = network_spec::validator_index(node) else {
            self.miners.remove(node);
            self.first_lost_miner.get_or_insert_with(|| death.words(""));
            return Ok(());
        };
        self.working.remove(&index);
        if self.phase != Phase::Standing && self.working.is_empty() && self.done.is_empty() {
            bail!(
                "no validator completed its query: {}",
                death.words(", as the last validator")
            );
        }
        self.retire(index, reason);
        Ok(())
    }

    /// Removes a validator that no longer works from the barrier.
    fn retire(&self, index: u32, reason: &'static str) {
        let ops = self.ops.clone();
        self.spawn_task(async move { Event::TaskEnded(ops.retire(index, reason.to_owned()).await) });
    }

    fn policy(&self, name: &str) -> RestartPolicy {
        let policies = self.ops.spec.network().restart;
        if name == PROXY {
            // Its listeners have other ports after a restart, which the chain's metagraph does not know.
            RestartPolicy::Fail
        } else if name == SUBTENSOR {
            policies.subtensor
        } else if network_spec::validator_index(name).is_some() {
            policies.validators
        } else {
            policies.miners
        }
    }

    /// Stops the validators, then the miners, then the subtensor.
    async fn end(&self, now: &CancellationToken) -> Vec<PlacementError> {
        let spec = &self.ops.spec;
        let validators = (0..spec.validator_count())
            .map(network_spec::validator_name)
            .collect();
        let waves = [
            validators,
            spec.miner_names(),
            vec![SUBTENSOR.to_owned()],
            vec![PROXY.to_owned()],
        ];
        let grace = match self.ops.profiles {
            Some(_) => GRACE_WITH_PROFILE,
            None => GRACE,
        };
        let failures = fleet::stop_in_order(&*self.ops.placement, &waves, grace, now).await;
        failures
            .into_iter()
            .filter(|failure| !matches!(failure, PlacementError::Unknown { .. }))
            .collect()
    }
}

impl UnexpectedExit {
    /// Describes the exit for an error message, with `more` between the exit and the end of the node's log.
    fn words(&self, more: &str) -> String {
        format!("{} {}{more}; {}", self.node, self.how, self.last_log)
    }
}

/// Returns the directory against which an experiment's relative paths are resolved: the directory of its file.
pub fn base_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}
