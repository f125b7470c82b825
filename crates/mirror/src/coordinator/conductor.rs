//! Conducts a run: starts the nodes in order, lets the validators work, keeps the network alive or breaks it on schedule,
//! and ends everything in order.
//!
//! One task owns the state of the run. What takes time (a restart, a wait for a hold) runs beside it and comes back as a
//! [`Notice`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use mirror_analysis::Standing;
use mirror_cluster::supervise::{Decision, Supervisor};
use mirror_cluster::{EndedBy, Exit, NodeSpec, Placement, PlacementError, fleet};
use mirror_config::experiment::{Experiment, Model, RestartPolicy};
use mirror_net::server::{self, Limits};
use mirror_net::tracer::{Traced, Tracer};
use mirror_proto::mirror::v1::coordinator_server::CoordinatorServer;
use mirror_proto::mirror::v1::neuron_client::NeuronClient;
use mirror_proto::mirror::v1::subtensor_client::SubtensorClient;
use mirror_proto::mirror::v1::subtensor_control_client::SubtensorControlClient;
use mirror_proto::mirror::v1::{
    BarrierChange, BeginRequest, HoldRequest, Metagraph, MetagraphRequest, NodeIncident, QueryProgress,
    QueryRequest, RetireRequest, record,
};
use mirror_runs::{Ended, Manifest, Recorder};
use mirror_seed::Seed;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Code, Status};

use super::blueprint::{self, Blueprint, SUBTENSOR};
use super::data::Prepared;
use super::intake::{self, Clerk, Intake};
use super::progress::Progress;
use super::schedule::{self, Hold};
use super::standing;

/// Time that a node has to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// How long the subtensor may take for what the coordinator asks of it.
const CONTROL_PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of one report: a record of an event with everything that a large network answered.
const REPORT_LIMIT: usize = 64 << 20;

/// Bytes of the last metagraph.
const METAGRAPH_LIMIT: usize = 256 << 20;

/// How a run is conducted.
pub struct Options {
    /// Filter of the nodes' logs.
    pub log: String,
    /// Ends the run in order.
    pub stop: CancellationToken,
    /// Ends it at once.
    pub now: CancellationToken,
    /// Whether progress is shown on standard error.
    pub progress: bool,
}

/// A run that has ended.
pub struct Finished {
    /// How it ended.
    pub manifest: Manifest,
    /// Why, where it did not come to its end.
    pub reason: Option<String>,
    /// How the miners stand; empty where it did not come to its end.
    pub standings: Vec<Standing>,
}

/// Something that happened beside the conductor.
enum Notice {
    Progress(u32, QueryProgress),
    /// A validator's query is over.
    QueryDone(u32),
    /// A validator refused its query, or failed in it.
    QueryFailed(u32, Status),
    /// The validator went away in the middle; the placement tells of its end.
    QueryBroke(u32),
    Restarted(String, Result<SocketAddr, PlacementError>),
    Held(u64),
    HoldFailed(anyhow::Error),
}

struct Conductor<P> {
    placement: Arc<P>,
    blueprint: Blueprint,
    intake: Intake,
    coordinator: SocketAddr,
    subtensor: watch::Sender<SocketAddr>,
    tracer: Tracer,
    supervisor: Supervisor,
    notices: mpsc::Sender<Notice>,
    progress: Progress,
    ready_timeout: Duration,
    /// Validators at work.
    working: BTreeSet<u32>,
    /// Validators that came to the end of their query.
    done: BTreeSet<u32>,
    holds: BTreeMap<u64, Hold>,
    incarnations: BTreeMap<String, u32>,
}

/// Why a run ended before its end.
enum Stopped {
    ByUser,
    Failed(anyhow::Error),
}

/// Runs an experiment on a placement, into a run that `recorder` writes.
pub async fn run<P: Placement + 'static>(
    experiment: &Experiment,
    model: &Model,
    data: Prepared,
    recorder: Recorder,
    placement: P,
    mut exits: mpsc::Receiver<Exit>,
    options: Options,
) -> anyhow::Result<Finished> {
    let placement = Arc::new(placement);
    let blueprint = Blueprint::new(experiment, model, recorder.layout(), data, &options.log)?;
    let listener = placement
        .listen()
        .await
        .context("cannot listen for the nodes' reports")?;
    let coordinator = listener
        .local_addr()
        .context("cannot tell where the coordinator listens")?;
    let (subtensor, subtensor_address) = watch::channel(coordinator);
    let (intake, mut clerk) = intake::start(recorder, subtensor_address)?;
    let closing = CancellationToken::new();
    let service = CoordinatorServer::new(intake.clone()).max_decoding_message_size(REPORT_LIMIT);
    let taking_in = tokio::spawn(server::serve(
        listener,
        Routes::new(service),
        Limits::default(),
        closing.clone().cancelled_owned(),
    ));
    let (notices, mut incoming) = mpsc::channel(256);
    let mut conductor = Conductor {
        placement,
        ready_timeout: Duration::from_secs_f64(blueprint.network().ready_timeout),
        holds: schedule::schedule(blueprint.faults()),
        blueprint,
        intake,
        coordinator,
        subtensor,
        tracer: Tracer::new(&Seed::root(experiment.seed), "coordinator", 0),
        supervisor: Supervisor::default(),
        notices,
        progress: if options.progress {
            Progress::shown()
        } else {
            Progress::silent()
        },
        working: BTreeSet::new(),
        done: BTreeSet::new(),
        incarnations: BTreeMap::new(),
    };
    let outcome = tokio::select! {
        outcome = conductor.conduct(&mut exits, &mut incoming, &mut clerk) => outcome.map_err(Stopped::Failed),
        () = options.stop.cancelled() => Err(Stopped::ByUser),
    };
    conductor.progress.finish();
    let standings = match &outcome {
        Ok(()) => conductor.standings().await,
        Err(_) => Vec::new(),
    };
    let failures = conductor.end(&options.now).await;
    closing.cancel();
    drop(conductor);
    taking_in.abort();
    // Only its being gone matters: it holds a way to the journal.
    let _ = taking_in.await;
    let (ended, mut reason) = match outcome {
        Ok(()) => (Ended::Done, None),
        Err(Stopped::ByUser) => (Ended::Interrupted, Some("stopped by the user".to_owned())),
        Err(Stopped::Failed(error)) => (Ended::Failed, Some(format!("{error:#}"))),
    };
    for failure in failures {
        let failure = format!("a node did not end: {failure}");
        reason = Some(reason.map_or(failure.clone(), |reason| format!("{reason}; {failure}")));
    }
    let manifest = tokio::task::spawn_blocking(move || clerk.finish(ended))
        .await
        .context("ending the run")??;
    Ok(Finished {
        manifest,
        reason,
        standings,
    })
}

impl<P: Placement + 'static> Conductor<P> {
    async fn conduct(
        &mut self,
        exits: &mut mpsc::Receiver<Exit>,
        notices: &mut mpsc::Receiver<Notice>,
        clerk: &mut Clerk,
    ) -> anyhow::Result<()> {
        self.start().await?;
        self.await_next_hold();
        while !self.working.is_empty() {
            tokio::select! {
                Some(exit) = exits.recv() => self.exited(exit).await?,
                Some(notice) = notices.recv() => self.noticed(notice).await?,
                _ = &mut clerk.stopped => bail!("the journal of the run cannot be written"),
            }
        }
        if self.done.is_empty() {
            bail!("no validator came to the end of its query");
        }
        Ok(())
    }

    /// Subtensor, miners, validators, each kind ready before the next; then the first block.
    async fn start(&mut self) -> anyhow::Result<()> {
        let start = |nodes: Vec<NodeSpec>| {
            let (placement, timeout) = (self.placement.clone(), self.ready_timeout);
            async move { fleet::start_all(&*placement, &nodes, timeout).await }
        };
        let subtensor = start(vec![self.blueprint.subtensor()]).await?;
        let subtensor = *subtensor.first().context("the subtensor has no address")?;
        self.subtensor.send_replace(subtensor);
        start(self.blueprint.miners(subtensor)).await?;
        start(self.blueprint.validators(subtensor, self.coordinator)).await?;
        control(&self.tracer, subtensor, |mut client| async move {
            client.begin(BeginRequest {}).await
        })
        .await?;
        for index in 0..self.blueprint.validator_count() {
            self.working.insert(index);
            self.query(index);
        }
        Ok(())
    }

    /// Has a validator work through its query, beside.
    fn query(&self, index: u32) {
        let (tracer, notices) = (self.tracer.clone(), self.notices.clone());
        let address = self.placement.address(&blueprint::validator_name(index));
        tokio::spawn(async move {
            let last = match address {
                Some(address) => follow_query(index, &tracer, address, &notices).await,
                None => Notice::QueryBroke(index),
            };
            // The conductor may have ended by now; then nobody needs to know.
            let _ = notices.send(last).await;
        });
    }

    async fn noticed(&mut self, notice: Notice) -> anyhow::Result<()> {
        match notice {
            Notice::Progress(index, progress) => self.progress.update(index, progress),
            Notice::QueryDone(index) => {
                self.working.remove(&index);
                self.done.insert(index);
            }
            Notice::QueryBroke(index) => tracing::debug!(index, "the stream of a query broke"),
            Notice::QueryFailed(index, status) => {
                let name = blueprint::validator_name(index);
                self.incident(&name, "failed", status.message().to_owned(), String::new())
                    .await?;
                bail!("{name} failed in its query: {}", status.message());
            }
            Notice::Restarted(name, Ok(address)) => self.restarted(&name, address).await?,
            Notice::Restarted(name, Err(error)) => {
                self.incident(
                    &name,
                    "failed",
                    format!("it could not be started again: {error}"),
                    String::new(),
                )
                .await?;
                self.lost(&name, &error.to_string()).await?;
            }
            Notice::Held(step) => self.break_things(step).await?,
            Notice::HoldFailed(error) => return Err(error.context("the schedule of faults cannot go on")),
        }
        Ok(())
    }

    /// A node has ended. If nobody asked it to, its policy says what follows.
    async fn exited(&mut self, exit: Exit) -> anyhow::Result<()> {
        if exit.ended_by == EndedBy::Placement {
            return Ok(());
        }
        self.incarnations.insert(exit.node.clone(), exit.incarnation);
        tracing::warn!(node = exit.node, status = %exit.status, "a node died by itself");
        self.incident(
            &exit.node,
            "exited",
            exit.status.to_string(),
            exit.last_log.0.clone(),
        )
        .await?;
        match self.supervisor.decide(&exit.node, self.policy(&exit.node)) {
            Decision::Restart { after } => {
                let Some(node) = self.spec(&exit.node) else {
                    return Ok(());
                };
                self.restart(node, after);
            }
            Decision::Leave => {
                self.incident(
                    &exit.node,
                    "left",
                    "its policy leaves it dead".to_owned(),
                    String::new(),
                )
                .await?;
                self.lost(&exit.node, "it died and its policy leaves it dead")
                    .await?;
            }
            Decision::GiveUp => {
                let reason = "it was started again as often as is allowed";
                self.incident(&exit.node, "left", reason.to_owned(), String::new())
                    .await?;
                self.lost(&exit.node, reason).await?;
            }
        }
        Ok(())
    }

    fn restart(&self, node: NodeSpec, after: Duration) {
        let (placement, notices, timeout) =
            (self.placement.clone(), self.notices.clone(), self.ready_timeout);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let started = start_one(&*placement, &node, timeout).await;
            // The conductor may have ended by now; then nobody needs to know.
            let _ = notices.send(Notice::Restarted(node.name, started)).await;
        });
    }

    async fn restarted(&mut self, name: &str, address: SocketAddr) -> anyhow::Result<()> {
        *self.incarnations.entry(name.to_owned()).or_default() += 1;
        self.incident(name, "restarted", format!("listens at {address}"), String::new())
            .await?;
        if name == SUBTENSOR {
            self.subtensor.send_replace(address);
            // A chain that runs on the clock has lost its clock.
            control(&self.tracer, address, |mut client| async move {
                client.begin(BeginRequest {}).await
            })
            .await?;
        }
        if let Some(index) = validator_index(name) {
            self.query(index);
        }
        Ok(())
    }

    /// A node is gone for good.
    async fn lost(&mut self, name: &str, reason: &str) -> anyhow::Result<()> {
        if name == SUBTENSOR {
            bail!("the subtensor is gone: {reason}");
        }
        let Some(index) = validator_index(name) else {
            return Ok(());
        };
        self.working.remove(&index);
        let hotkey = self.blueprint.validator_hotkey(index).bytes().to_vec();
        let request = RetireRequest {
            hotkey,
            reason: reason.to_owned(),
        };
        let address = *self.subtensor.borrow();
        let retired = control(&self.tracer, address, |mut client| {
            let request = request.clone();
            async move { client.retire(request).await }
        })
        .await?;
        let change = BarrierChange {
            validator: name.to_owned(),
            block: retired.block,
            what: "retired".to_owned(),
            reason: reason.to_owned(),
        };
        self.intake.record(record::Kind::Barrier(change)).await
    }

    /// Waits, beside, until the barrier stands still at the next step of the schedule.
    fn await_next_hold(&self) {
        let Some(step) = self.holds.keys().next().copied() else {
            return;
        };
        let tracer = self.tracer.clone();
        let (notices, mut subtensor) = (self.notices.clone(), self.subtensor.subscribe());
        tokio::spawn(async move {
            let notice = loop {
                let address = *subtensor.borrow_and_update();
                let mut client = SubtensorControlClient::new(tracer.channel(address));
                match client.await_hold(HoldRequest { step }).await {
                    Ok(_) => break Notice::Held(step),
                    Err(status) if is_passing(&status) => tokio::time::sleep(PAUSE).await,
                    Err(status) => break Notice::HoldFailed(status.into()),
                }
            };
            // The conductor may have ended by now; then nobody needs to know.
            let _ = notices.send(notice).await;
        });
    }

    /// Kills and starts what the schedule says, while nothing moves.
    async fn break_things(&mut self, step: u64) -> anyhow::Result<()> {
        let Some(hold) = self.holds.remove(&step) else {
            return Ok(());
        };
        for name in self.processes(&hold.kill) {
            self.placement.kill(&name).await?;
            self.incident(
                &name,
                "killed",
                format!("by the schedule, after step {step}"),
                String::new(),
            )
            .await?;
        }
        let address = *self.subtensor.borrow();
        let firsts: BTreeSet<u32> = hold
            .restart
            .iter()
            .map(|uid| *self.blueprint.process_of(*uid).start())
            .collect();
        for first in firsts {
            let node = self.blueprint.miner(first, address);
            start_one(&*self.placement, &node, self.ready_timeout).await?;
            *self.incarnations.entry(node.name.clone()).or_default() += 1;
            self.incident(
                &node.name,
                "restarted",
                format!("by the schedule, after step {step}"),
                String::new(),
            )
            .await?;
        }
        control(&self.tracer, address, |mut client| async move {
            client.release(HoldRequest { step }).await
        })
        .await?;
        self.await_next_hold();
        Ok(())
    }

    fn processes(&self, uids: &BTreeSet<u32>) -> BTreeSet<String> {
        uids.iter()
            .map(|uid| blueprint::miner_name(&self.blueprint.process_of(*uid)))
            .collect()
    }

    fn policy(&self, name: &str) -> RestartPolicy {
        let policies = self.blueprint.network().restart;
        if name == SUBTENSOR {
            policies.subtensor
        } else if validator_index(name).is_some() {
            policies.validators
        } else {
            policies.miners
        }
    }

    /// What a node is started with now.
    fn spec(&self, name: &str) -> Option<NodeSpec> {
        let subtensor = *self.subtensor.borrow();
        if name == SUBTENSOR {
            return Some(self.blueprint.subtensor());
        }
        if let Some(index) = validator_index(name) {
            return Some(self.blueprint.validator(index, subtensor, self.coordinator));
        }
        let first = name.split('-').nth(1)?.parse().ok()?;
        Some(self.blueprint.miner(first, subtensor))
    }

    async fn incident(&self, node: &str, what: &str, detail: String, last_log: String) -> anyhow::Result<()> {
        let incident = NodeIncident {
            node: node.to_owned(),
            what: what.to_owned(),
            detail,
            at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64()),
            incarnation: self.incarnations.get(node).copied().unwrap_or_default(),
            last_log,
        };
        self.intake.record(record::Kind::Incident(incident)).await
    }

    /// How the miners stand by the chain's last word.
    async fn standings(&self) -> Vec<Standing> {
        let address = *self.subtensor.borrow();
        let metagraph = match last_metagraph(&self.tracer, address).await {
            Ok(metagraph) => metagraph,
            Err(error) => {
                tracing::warn!(%error, "the last weights are not known");
                Metagraph::default()
            }
        };
        let num_nodes = self.blueprint.num_nodes();
        let incentives = standing::incentives(&metagraph, num_nodes);
        let standing = |uid: u32| Standing {
            uid,
            group: Some(self.blueprint.behaviour_name(uid).to_owned()),
            incentive: incentives
                .as_ref()
                .and_then(|incentives| incentives.get(uid as usize).copied()),
        };
        (0..num_nodes).map(standing).collect()
    }

    /// Ends validators, then miners, then the subtensor.
    async fn end(&self, now: &CancellationToken) -> Vec<PlacementError> {
        let validators = (0..self.blueprint.validator_count())
            .map(blueprint::validator_name)
            .collect();
        let all: BTreeSet<u32> = (0..self.blueprint.num_nodes()).collect();
        let miners = self.processes(&all).into_iter().collect();
        let waves = [validators, miners, vec![SUBTENSOR.to_owned()]];
        let failures = fleet::stop_in_order(&*self.placement, &waves, GRACE, now).await;
        failures
            .into_iter()
            .filter(|failure| !matches!(failure, PlacementError::Unknown { .. }))
            .collect()
    }
}

async fn start_one<P: Placement>(
    placement: &P,
    node: &NodeSpec,
    timeout: Duration,
) -> Result<SocketAddr, PlacementError> {
    placement.spawn(node).await?;
    placement.ready(&node.name, timeout).await
}

async fn follow_query(
    index: u32,
    tracer: &Tracer,
    address: SocketAddr,
    notices: &mpsc::Sender<Notice>,
) -> Notice {
    let mut client = NeuronClient::new(tracer.channel(address));
    let ended = |status: Status| {
        if is_passing(&status) {
            Notice::QueryBroke(index)
        } else {
            Notice::QueryFailed(index, status)
        }
    };
    let mut progress = match client.query(QueryRequest {}).await {
        Ok(response) => response.into_inner(),
        Err(status) => return ended(status),
    };
    loop {
        match progress.message().await {
            Ok(Some(QueryProgress { finished: true, .. })) => return Notice::QueryDone(index),
            Ok(Some(progress)) => {
                if notices.send(Notice::Progress(index, progress)).await.is_err() {
                    return Notice::QueryBroke(index);
                }
            }
            Ok(None) => return Notice::QueryBroke(index),
            Err(status) => return ended(status),
        }
    }
}

/// Asks the subtensor for something, again while it is out of reach.
async fn control<T, F>(
    tracer: &Tracer,
    address: SocketAddr,
    request: impl Fn(SubtensorControlClient<Traced>) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    let client = SubtensorControlClient::new(tracer.channel(address));
    let asking = async {
        loop {
            match request(client.clone()).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if is_passing(&status) => tokio::time::sleep(PAUSE).await,
                Err(status) => bail!("the subtensor refused: {status}"),
            }
        }
    };
    tokio::time::timeout(CONTROL_PATIENCE, asking)
        .await
        .with_context(|| format!("the subtensor at {address} did not answer within {CONTROL_PATIENCE:?}"))?
}

async fn last_metagraph(tracer: &Tracer, address: SocketAddr) -> anyhow::Result<Metagraph> {
    let mut client = SubtensorClient::new(tracer.channel(address)).max_decoding_message_size(METAGRAPH_LIMIT);
    let mut request = tonic::Request::new(MetagraphRequest { block: None });
    request.set_timeout(CONTROL_PATIENCE);
    Ok(client.get_metagraph(request).await?.into_inner())
}

/// Whether a failure is the connection's and may pass.
fn is_passing(status: &Status) -> bool {
    let transport = std::error::Error::source(status).is_some();
    transport
        || matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
        )
}

fn validator_index(name: &str) -> Option<u32> {
    name.strip_prefix("validator-")?.parse().ok()
}

/// Where an experiment's relative paths are read from: the folder of its file.
pub fn base_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}
