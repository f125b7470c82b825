//! Conducts a run: starts the nodes in order, lets the validators work, keeps the network alive or breaks it on schedule,
//! and ends everything in order.
//!
//! One task owns the state of the run. What takes time (a restart, a wait for a hold) is an errand of the [`Crew`] beside
//! it, and comes back as a [`Notice`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use mirror_cluster::supervise::{Decision, Supervisor};
use mirror_cluster::{Capability, EndedBy, Exit, NodeSpec, Placement, PlacementError, fleet};
use mirror_config::experiment::{Experiment, Model, RestartPolicy};
use mirror_net::server::{self, Limits};
use mirror_net::tracer::Tracer;
use mirror_proto::mirror::v1::QueryProgress;
use mirror_proto::mirror::v1::coordinator_server::CoordinatorServer;
use mirror_runs::{Ended, Manifest, Recorder, roles};
use mirror_seed::Seed;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::blueprint::{self, Blueprint, SUBTENSOR, Subtensor};
use super::crew::{Crew, Followed};
use super::data::Prepared;
use super::intake::{self, Clerk};
use super::metagraphs;
use super::progress::Progress;
use super::schedule::{self, Hold};

/// Time that a node has to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes of one report: a record of an event with everything that a large network answered.
const REPORT_LIMIT: usize = 64 << 20;

/// Notices that may wait for the conductor.
const WAITING_NOTICES: usize = 256;

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
    /// Steps at which something was to be broken, and which did not come.
    pub never_came: Vec<u64>,
}

/// Something that happened beside the conductor.
enum Notice {
    Progress(u32, QueryProgress),
    Followed(u32, Followed),
    Restarted(String, Result<SocketAddr, PlacementError>),
    /// What the schedule had for a step is done.
    Broken(u64, anyhow::Result<()>),
    /// Something that the run cannot do without was done, or not.
    Errand(anyhow::Result<()>),
    /// The chain has paid for what validators said last, or not.
    Settled(anyhow::Result<()>),
}

struct Conductor<P> {
    crew: Crew<P>,
    coordinator: SocketAddr,
    subtensor: watch::Sender<SocketAddr>,
    supervisor: Supervisor,
    progress: Progress,
    /// Validators at work.
    working: BTreeSet<u32>,
    /// Validators that came to the end of their query.
    done: BTreeSet<u32>,
    /// The chain has come to its last epoch.
    settled: bool,
    holds: BTreeMap<u64, Hold>,
    notices: mpsc::Sender<Notice>,
    errands: TaskTracker,
    /// Ends the errands.
    dismissed: CancellationToken,
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
    ensure!(
        placement.capabilities().contains(&Capability::SharedFiles),
        "the nodes of this placement cannot read the coordinator's files, and they are told of data by path"
    );
    if let Some(snapshot) = &data.metagraph {
        metagraphs::save_origin(recorder.layout(), snapshot)?;
    }
    let blueprint = Blueprint::new(experiment, model, recorder.layout(), data, &options.log)?;
    roles::save(&blueprint.roles(), recorder.layout())?;
    let listener = placement
        .listen()
        .await
        .context("cannot listen for the nodes' reports")?;
    let coordinator = listener
        .local_addr()
        .context("cannot tell where the coordinator listens")?;
    // Until the subtensor is there, nobody asks for its address.
    let (subtensor, subtensor_address) = watch::channel(coordinator);
    let layout = recorder.layout().clone();
    let (intake, mut clerk) = intake::start(recorder, subtensor_address.clone())?;
    let closing = CancellationToken::new();
    let service = CoordinatorServer::new(intake.clone()).max_decoding_message_size(REPORT_LIMIT);
    let taking_in = tokio::spawn(server::serve(
        listener,
        Routes::new(service),
        Limits::default(),
        closing.clone().cancelled_owned(),
    ));
    let (notices, mut incoming) = mpsc::channel(WAITING_NOTICES);
    let crew = Crew {
        placement: Arc::new(placement),
        ready_timeout: Duration::from_secs_f64(blueprint.network().ready_timeout),
        blueprint: Arc::new(blueprint),
        intake,
        tracer: Tracer::new(&Seed::root(experiment.seed), "coordinator", 0),
        subtensor: subtensor_address,
        history: Arc::default(),
        layout,
        incarnations: Arc::default(),
    };
    let mut conductor = Conductor {
        holds: schedule::schedule(crew.blueprint.faults()),
        crew,
        coordinator,
        subtensor,
        supervisor: Supervisor::default(),
        progress: if options.progress {
            Progress::shown()
        } else {
            Progress::silent()
        },
        working: BTreeSet::new(),
        done: BTreeSet::new(),
        settled: false,
        notices,
        errands: TaskTracker::new(),
        dismissed: CancellationToken::new(),
    };
    let outcome = tokio::select! {
        outcome = conductor.conduct(&mut exits, &mut incoming, &mut clerk) => outcome.map_err(Stopped::Failed),
        () = options.stop.cancelled() => Err(Stopped::ByUser),
    };
    conductor.dismiss().await;
    conductor.progress.finish();
    if outcome.is_ok() {
        conductor.keep_metagraphs().await;
    }
    let failures = conductor.end(&options.now).await;
    let never_came = conductor.holds.keys().copied().collect();
    closing.cancel();
    drop(conductor);
    taking_in.abort();
    // It was aborted: only its being gone matters.
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
        never_came,
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
            self.attend(exits, notices, clerk).await?;
        }
        if self.done.is_empty() {
            bail!("no validator came to the end of its query");
        }
        let crew = self.crew.clone();
        self.beside(async move { Notice::Settled(crew.settle().await) });
        while !self.settled {
            self.attend(exits, notices, clerk).await?;
        }
        Ok(())
    }

    /// Does what the next thing that happens asks for.
    async fn attend(
        &mut self,
        exits: &mut mpsc::Receiver<Exit>,
        notices: &mut mpsc::Receiver<Notice>,
        clerk: &mut Clerk,
    ) -> anyhow::Result<()> {
        tokio::select! {
            Some(exit) = exits.recv() => self.exited(exit).await,
            Some(notice) = notices.recv() => self.noticed(notice).await,
            _ = &mut clerk.stopped => bail!("the journal of the run cannot be written"),
        }
    }

    /// Subtensor, miners, validators, each kind ready before the next; then the first block.
    async fn start(&mut self) -> anyhow::Result<()> {
        let start = |nodes: Vec<NodeSpec>| {
            let crew = self.crew.clone();
            async move { fleet::start_all(&*crew.placement, &nodes, crew.ready_timeout).await }
        };
        let blueprint = self.crew.blueprint.clone();
        let subtensor = match blueprint.subtensor(Some(self.coordinator)) {
            Subtensor::Ours(node) => {
                let started = start(vec![*node]).await?;
                *started.first().context("the subtensor has no address")?
            }
            Subtensor::Runs(address) => address,
        };
        self.subtensor.send_replace(subtensor);
        if let Subtensor::Runs(address) = blueprint.subtensor(Some(self.coordinator)) {
            self.crew
                .check_running_chain()
                .await
                .with_context(|| format!("the subtensor at {address}"))?;
        }
        start(blueprint.miners(subtensor)).await?;
        start(blueprint.validators(subtensor, self.coordinator)).await?;
        self.crew.begin().await?;
        if blueprint.keeps_history() {
            self.crew.catch_up().await?;
            let crew = self.crew.clone();
            self.beside(async move { Notice::Errand(crew.keep_history().await) });
        }
        for index in 0..blueprint.validator_count() {
            self.working.insert(index);
            self.query(index);
        }
        Ok(())
    }

    /// Has something done beside, and told.
    fn beside(&self, errand: impl Future<Output = Notice> + Send + 'static) {
        let (notices, dismissed) = (self.notices.clone(), self.dismissed.clone());
        self.errands.spawn(async move {
            if let Some(notice) = dismissed.run_until_cancelled(errand).await {
                // The conductor may have ended by now; then nobody needs to know.
                let _ = notices.send(notice).await;
            }
        });
    }

    /// Ends what is done beside, so that nothing is started any more.
    async fn dismiss(&self) {
        self.dismissed.cancel();
        self.errands.close();
        self.errands.wait().await;
    }

    /// Has a validator work through its query.
    fn query(&self, index: u32) {
        let (crew, notices) = (self.crew.clone(), self.notices.clone());
        let (progress, mut told) = mpsc::channel(1);
        self.beside(async move {
            let follow = crew.follow_query(index, progress);
            let pass_on = async {
                while let Some(progress) = told.recv().await {
                    if notices.send(Notice::Progress(index, progress)).await.is_err() {
                        return;
                    }
                }
            };
            let (followed, ()) = tokio::join!(follow, pass_on);
            Notice::Followed(index, followed)
        });
    }

    async fn noticed(&mut self, notice: Notice) -> anyhow::Result<()> {
        match notice {
            Notice::Progress(index, progress) => self.progress.update(index, progress),
            Notice::Followed(index, Followed::Done) => {
                self.working.remove(&index);
                self.done.insert(index);
            }
            Notice::Followed(index, Followed::Failed(status)) => {
                let name = blueprint::validator_name(index);
                let reason = status.message().to_owned();
                self.crew
                    .incident(&name, "failed", reason.clone(), String::new())
                    .await?;
                bail!("{name} failed in its query: {reason}");
            }
            Notice::Restarted(name, Ok(address)) => self.restarted(&name, address).await?,
            // The placement tells of the node's end, which decides.
            Notice::Followed(_, Followed::Gone) | Notice::Restarted(_, Err(PlacementError::Ended { .. })) => {
            }
            Notice::Restarted(name, Err(error)) => {
                // One that never started is not there to be killed.
                let killed = self.crew.placement.kill(&name).await;
                tracing::warn!(name, ?killed, %error, "a node could not be started again");
                self.died(
                    &name,
                    format!("it could not be started again: {error}"),
                    String::new(),
                )
                .await?;
            }
            Notice::Broken(step, done) => {
                done.context("the schedule of faults cannot go on")?;
                self.holds.remove(&step);
                self.await_next_hold();
            }
            Notice::Errand(done) => done?,
            Notice::Settled(done) => {
                done.context("the chain cannot come to its last epoch")?;
                self.settled = true;
            }
        }
        Ok(())
    }

    async fn exited(&mut self, exit: Exit) -> anyhow::Result<()> {
        if exit.ended_by == EndedBy::Placement {
            return Ok(());
        }
        tracing::warn!(node = exit.node, status = %exit.status, "a node died by itself");
        self.died(&exit.node, exit.status.to_string(), exit.last_log.0)
            .await
    }

    /// A node died though nobody asked it to. Its policy says what follows.
    async fn died(&mut self, name: &str, how: String, last_log: String) -> anyhow::Result<()> {
        self.crew.incident(name, "exited", how, last_log).await?;
        match self.supervisor.decide(name, self.policy(name)) {
            Decision::Restart { after } => {
                if let Some(node) = self.spec(name) {
                    self.restart(node, after);
                }
                Ok(())
            }
            Decision::Leave => self.lost(name, "its policy leaves it dead").await,
            Decision::GiveUp => {
                self.lost(name, "it was started again as often as is allowed")
                    .await
            }
        }
    }

    fn restart(&self, node: NodeSpec, after: Duration) {
        let crew = self.crew.clone();
        self.beside(async move {
            tokio::time::sleep(after).await;
            let started = crew.start(&node).await;
            Notice::Restarted(node.name, started)
        });
    }

    async fn restarted(&mut self, name: &str, address: SocketAddr) -> anyhow::Result<()> {
        self.crew.restarted(name, format!("listens at {address}")).await?;
        if name == SUBTENSOR {
            self.subtensor.send_replace(address);
            // A chain that runs on the clock has lost its clock.
            let crew = self.crew.clone();
            self.beside(async move { Notice::Errand(crew.begin().await) });
        }
        if let Some(index) = validator_index(name) {
            self.query(index);
        }
        Ok(())
    }

    /// A node is gone for good.
    async fn lost(&mut self, name: &str, reason: &str) -> anyhow::Result<()> {
        self.crew
            .incident(name, "left", reason.to_owned(), String::new())
            .await?;
        if name == SUBTENSOR {
            bail!("the subtensor is gone: {reason}");
        }
        let Some(index) = validator_index(name) else {
            return Ok(());
        };
        self.working.remove(&index);
        let (crew, reason) = (self.crew.clone(), reason.to_owned());
        self.beside(async move { Notice::Errand(crew.retire(index, reason).await) });
        Ok(())
    }

    /// Has the next hold of the schedule awaited and used.
    fn await_next_hold(&self) {
        if let Some((step, hold)) = self.holds.first_key_value() {
            let (crew, step, hold) = (self.crew.clone(), *step, hold.clone());
            self.beside(async move { Notice::Broken(step, crew.break_things(step, hold).await) });
        }
    }

    fn policy(&self, name: &str) -> RestartPolicy {
        let policies = self.crew.blueprint.network().restart;
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
        let blueprint = &self.crew.blueprint;
        if name == SUBTENSOR {
            return match blueprint.subtensor(Some(self.coordinator)) {
                Subtensor::Ours(node) => Some(*node),
                Subtensor::Runs(_) => None,
            };
        }
        if let Some(index) = validator_index(name) {
            return Some(blueprint.validator(index, subtensor, self.coordinator));
        }
        let first = name.split('-').nth(1)?.parse().ok()?;
        Some(blueprint.miner(first, subtensor))
    }

    /// Keeps the chain's last word, and what the metagraph's history lacks.
    async fn keep_metagraphs(&self) {
        if self.crew.blueprint.keeps_history()
            && let Err(error) = self.crew.catch_up().await
        {
            tracing::warn!(%error, "the end of the metagraph's history is not kept");
        }
        if let Err(error) = self.crew.keep_metagraph(None).await {
            tracing::warn!(%error, "the last metagraph is not kept");
        }
    }

    /// Ends validators, then miners, then the subtensor.
    async fn end(&self, now: &CancellationToken) -> Vec<PlacementError> {
        let blueprint = &self.crew.blueprint;
        let validators = (0..blueprint.validator_count())
            .map(blueprint::validator_name)
            .collect();
        let miners = self.crew.processes(blueprint.miner_uids()).into_iter().collect();
        let waves = [validators, miners, vec![SUBTENSOR.to_owned()]];
        let failures = fleet::stop_in_order(&*self.crew.placement, &waves, GRACE, now).await;
        failures
            .into_iter()
            .filter(|failure| !matches!(failure, PlacementError::Unknown { .. }))
            .collect()
    }
}

fn validator_index(name: &str) -> Option<u32> {
    name.strip_prefix("validator-")?.parse().ok()
}

/// Where an experiment's relative paths are read from: the folder of its file.
pub fn base_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}
