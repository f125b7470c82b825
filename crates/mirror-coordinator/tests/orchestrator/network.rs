//! A network without processes. Its nodes are entries of a table, and the chain and the validators are services on
//! loopback. A script determines what happens to the nodes: it maps calls of the orchestrator to effects.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use mirror_certificates::Authority;
use mirror_cluster::{
    Capability, EndedBy, Exit, LastLog, Liveness, NodeLimits, NodeSpec, NodeState, NodeView, Placement,
    PlacementError, Program, Status as NodeStatus,
};
use mirror_coordinator::{Ends, Finished, Options, Prepared};
use mirror_net::server::{self, Callers, Limits, Services};
use mirror_net::tls::Identity;
use mirror_proto::mirror::v1::neuron_server::{Neuron, NeuronServer};
use mirror_proto::mirror::v1::subtensor_control_server::{SubtensorControl, SubtensorControlServer};
use mirror_proto::mirror::v1::{
    AddHoldReply, AddHoldRequest, BeginReply, BeginRequest, ForwardReply, ForwardRequest, HoldReply,
    HoldRequest, InferenceReply, InferenceRequest, QueryProgress, QueryRequest, RetireReply, RetireRequest,
    SettleReply, SettleRequest, TrainRequest,
};
use mirror_proto::protocol;
use mirror_runs::tables::IncidentRow;
use mirror_runs::{NewRun, Recorder, Run, RunDirectory, State};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

/// The caller that the services of the nodes admit.
const COORDINATOR: Callers = Callers::Named(&[protocol::COORDINATOR]);

/// Status of a node that dies on its own.
const DEATH: NodeStatus = NodeStatus::Signal(9);

/// An effect of a call of the orchestrator, which takes place before the reply.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// A node exits on its own.
    Dies(String),
    /// A node stops answering health checks.
    Hangs(String),
    /// The reply waits until another call has been made this many times.
    Awaits(String, usize),
    /// There is no reply.
    NoAnswer,
    /// The reply is an error. For `ready`, the node is not ready in time.
    Fails(Status),
    /// The user requests the orderly shutdown of the run.
    CtrlC,
    /// The user requests the immediate end of the run.
    SecondCtrlC,
}

/// A network and its script. Calls are named `spawn miner-0`, `ready miner-0`, `kill miner-0`, `stop miner-0`,
/// `query validator-0`, `begin`, `settle`, `retire`, `hold 3` and `release 3`.
#[derive(Clone)]
pub(crate) struct Network {
    script: Arc<BTreeMap<(String, usize), Vec<Effect>>>,
    nodes: Arc<Mutex<BTreeMap<String, Node>>>,
    calls: Arc<watch::Sender<Vec<String>>>,
    /// The address of each node, the same in all its incarnations.
    addresses: Arc<BTreeMap<String, SocketAddr>>,
    /// The listeners of the nodes that have not started yet.
    listeners: Arc<Mutex<BTreeMap<String, TcpListener>>>,
    exits: mpsc::Sender<Exit>,
    stop: CancellationToken,
    now: CancellationToken,
}

/// The last incarnation of a node.
struct Node {
    incarnation: u32,
    hangs: bool,
    /// Cancelled when the node ends.
    ended: CancellationToken,
}

/// The services of a validator.
struct Validator {
    network: Network,
    name: String,
}

/// The result of a run.
pub(crate) struct Outcome {
    pub(crate) state: State,
    /// The reason why the run did not finish. Empty if it finished.
    pub(crate) reason: String,
    pub(crate) unreached_faults: Vec<String>,
    /// The calls of the orchestrator, in order.
    pub(crate) calls: Vec<String>,
    /// Each incident as node and kind, in the order of the table.
    pub(crate) incidents: Vec<(String, String)>,
}

/// Runs two miners and two validators, with additional lines of the experiment file, by this script. An entry of the
/// script is a call, the number of the call among those with the same name (from 1), and its effects.
pub(crate) async fn run(
    file: &str,
    script: impl IntoIterator<Item = (String, usize, Vec<Effect>)>,
) -> Outcome {
    let file = format!(
        "model:\n  id: fake\n  dendrite_pool: {{ name: DummyDendritePool, args: {{ data_path: builtin }} }}\n  \
         gating_model: RandomGatingModel\n  reward_model: RandomRewardModel\n  \
         metagraph: {{ name: DummyMetagraph, args: {{ num_nodes: 2 }} }}\n\
         query:\n  id: ten_steps\n  method: {{ name: train, args: {{ max_iter: 10 }} }}\n{file}"
    );
    let experiment = mirror_config::parse(&file, "fake.yml")
        .unwrap_or_else(|problems| panic!("{}", problems.plain()))
        .experiment;
    let model = experiment.model.clone().expect("the file has a model");
    let data = Prepared {
        chain_client: None,
        gating_model: model.gating_model.clone(),
        reward_model: model.reward_model.clone(),
        answers: "answers".into(),
        questions: None,
        metagraph: None,
        resume: Vec::new(),
        origins: Vec::new(),
    };
    let runs = tempfile::tempdir().expect("a folder for the run");
    let folder = RunDirectory::create(runs.path(), &NewRun::default()).expect("the folder can be written");
    let root = folder.layout().root().to_owned();
    let recorder = Recorder::start(folder, Recorder::SEGMENT_BYTES).expect("the journal can be written");
    let script = script
        .into_iter()
        .map(|(call, time, effects)| ((call, time), effects));
    let (network, exits) = Network::new(script.collect()).await;
    let options = Options {
        authority: Arc::new(Authority::new().expect("the system has random numbers")),
        log: "info".to_owned(),
        stop: network.stop.clone(),
        now: network.now.clone(),
        progress: false,
        read_fault: Arc::new(|_| Err("this network takes no faults".to_owned())),
        ends: Ends::WithQueries,
        profiles: None,
    };
    let finished = Box::pin(mirror_coordinator::run(
        &experiment,
        &model,
        data,
        recorder,
        network.clone(),
        exits,
        options,
    ));
    let Finished {
        manifest,
        reason,
        unreached_faults,
    } = finished.await.expect("the run can be recorded");
    let run = Run::open(root).expect("the run has ended");
    let rows = run.rows::<IncidentRow>().expect("the table is there");
    let incidents = rows.map(|row| {
        let row = row.expect("the table can be read");
        (row.node, row.what)
    });
    Outcome {
        state: manifest.state,
        reason: reason.unwrap_or_default(),
        unreached_faults,
        calls: network.calls.borrow().clone(),
        incidents: incidents.collect(),
    }
}

impl Outcome {
    /// Returns the incidents of a node.
    pub(crate) fn incidents_of(&self, node: &str) -> Vec<&str> {
        let own = self.incidents.iter().filter(|(name, _)| name == node);
        own.map(|(_, what)| what.as_str()).collect()
    }

    /// Returns the calls that are in `wanted`, in order.
    pub(crate) fn calls_among(&self, wanted: &[&str]) -> Vec<&str> {
        let calls = self.calls.iter().map(String::as_str);
        calls.filter(|call| wanted.contains(call)).collect()
    }

    /// Returns how often a call was made.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls_among(&[call]).len()
    }
}

impl Network {
    /// Creates a network without running nodes. Returns it with the exits of its nodes.
    async fn new(script: BTreeMap<(String, usize), Vec<Effect>>) -> (Self, mpsc::Receiver<Exit>) {
        let names = ["subtensor", "miner-0", "miner-1", "validator-0", "validator-1"];
        let mut listeners = BTreeMap::new();
        for name in names {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            listeners.insert(name.to_owned(), listener.expect("a free port"));
        }
        let address = |(name, listener): (&String, &TcpListener)| {
            let address = listener.local_addr().expect("the listener has an address");
            (name.clone(), address)
        };
        let (exits, ended) = mpsc::channel(64);
        let network = Self {
            script: Arc::new(script),
            nodes: Arc::default(),
            calls: Arc::new(watch::Sender::new(Vec::new())),
            addresses: Arc::new(listeners.iter().map(address).collect()),
            listeners: Arc::new(Mutex::new(listeners)),
            exits,
            stop: CancellationToken::new(),
            now: CancellationToken::new(),
        };
        (network, ended)
    }

    /// Serves the node of a launch config, with its certificate, from its first start on.
    fn serve(&self, spec: &NodeSpec) {
        let listeners = self.listeners.lock();
        let listener = listeners
            .expect("no test panics while it holds the listeners")
            .remove(&spec.name);
        let (Some(listener), Program::Ours { credentials, .. }) = (listener, &spec.program) else {
            return;
        };
        let identity = Identity::new(credentials).expect("the coordinator issues valid certificates");
        let (network, name) = (self.clone(), spec.name.clone());
        let services = Services::new(Some(identity));
        let services = if name == "subtensor" {
            services.only(COORDINATOR, SubtensorControlServer::new(network))
        } else {
            services.only(COORDINATOR, NeuronServer::new(Validator { network, name }))
        };
        let never = std::future::pending();
        tokio::spawn(server::serve(listener, services, Limits::default(), never));
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.nodes
            .lock()
            .expect("no test panics while it holds the nodes")
    }

    /// Returns a token that is cancelled when a running node ends. `None` if the node is not running.
    fn end_of(&self, node: &str) -> Option<CancellationToken> {
        let nodes = self.nodes();
        let node = nodes.get(node)?;
        (!node.ended.is_cancelled()).then(|| node.ended.clone())
    }

    /// Records a call, and carries out its effects.
    async fn called(&self, call: String) -> Result<(), Status> {
        self.calls.send_modify(|calls| calls.push(call.clone()));
        let time = count(&self.calls.borrow(), &call);
        for effect in self.script.get(&(call, time)).into_iter().flatten() {
            match effect {
                Effect::Dies(node) => self.end(node, EndedBy::Itself),
                Effect::Hangs(node) => {
                    let mut nodes = self.nodes();
                    nodes.get_mut(node).expect("a node that hangs is running").hangs = true;
                }
                Effect::Awaits(call, times) => {
                    let mut calls = self.calls.subscribe();
                    let made = calls.wait_for(|calls| count(calls, call) >= *times);
                    made.await.expect("the network holds the sender");
                }
                Effect::NoAnswer => std::future::pending().await,
                Effect::Fails(status) => return Err(status.clone()),
                Effect::CtrlC => self.stop.cancel(),
                Effect::SecondCtrlC => self.now.cancel(),
            }
        }
        Ok(())
    }

    /// Does the same for a call that a node answers while it is running.
    async fn asked(&self, node: &str, call: String) -> Result<(), Status> {
        let gone = || Status::unavailable("the node does not run");
        let end = self.end_of(node).ok_or_else(gone)?;
        tokio::select! {
            biased;
            () = end.cancelled() => Err(gone()),
            answer = self.called(call) => answer,
        }
    }

    /// Ends a node if it is running.
    fn end(&self, name: &str, ended_by: EndedBy) {
        let Some(end) = self.end_of(name) else {
            return;
        };
        end.cancel();
        let exit = Exit {
            node: name.to_owned(),
            incarnation: self.nodes()[name].incarnation,
            status: DEATH,
            ended_by,
            last_log: LastLog::default(),
        };
        self.exits
            .try_send(exit)
            .expect("the orchestrator receives the exits of nodes");
    }

    fn known(&self, name: &str) -> Result<(), PlacementError> {
        let node = || name.to_owned();
        let known = self.nodes().contains_key(name);
        known
            .then_some(())
            .ok_or_else(|| PlacementError::Unknown { node: node() })
    }
}

impl Placement for Network {
    fn capabilities(&self) -> &[Capability] {
        &[]
    }

    async fn listen(&self) -> io::Result<TcpListener> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
    }

    async fn spawn(&self, spec: &NodeSpec) -> Result<u32, PlacementError> {
        let spawned = self.called(format!("spawn {}", spec.name)).await;
        spawned.expect("no script has a spawn fail");
        let node = || spec.name.clone();
        let mut nodes = self.nodes();
        let incarnation = match nodes.get(&spec.name) {
            None => 0,
            Some(before) if before.ended.is_cancelled() => before.incarnation + 1,
            Some(_) => return Err(PlacementError::Running { node: node() }),
        };
        self.serve(spec);
        let started = Node {
            incarnation,
            hangs: false,
            ended: CancellationToken::new(),
        };
        nodes.insert(node(), started);
        Ok(incarnation)
    }

    async fn ready(&self, node: &str, timeout: Duration) -> Result<SocketAddr, PlacementError> {
        let (name, last_log) = (node.to_owned(), LastLog::default());
        let answer = self.asked(node, format!("ready {node}")).await;
        match answer {
            _ if self.end_of(node).is_none() => Err(PlacementError::Ended {
                node: name,
                status: DEATH,
                last_log,
            }),
            Ok(()) => Ok(self.addresses[node]),
            Err(status) => Err(PlacementError::NotReady {
                node: name,
                timeout,
                reason: status.message().to_owned(),
                last_log,
            }),
        }
    }

    async fn check_liveness(&self, node: &str, _: Duration) -> Liveness {
        match self.nodes().get(node) {
            Some(node) if node.ended.is_cancelled() => Liveness::Unwatched,
            Some(node) if node.hangs => Liveness::Silent,
            Some(_) => Liveness::Answered,
            None => Liveness::Unwatched,
        }
    }

    fn address(&self, node: &str) -> Option<SocketAddr> {
        self.end_of(node)?;
        Some(self.addresses[node])
    }

    fn control(&self, _: &str) -> Option<SocketAddr> {
        None
    }

    fn source(&self, node: &str) -> Option<IpAddr> {
        self.addresses.get(node).map(SocketAddr::ip)
    }

    async fn stop(&self, node: &str, _: Duration) -> Result<NodeStatus, PlacementError> {
        self.known(node)?;
        let stopped = self.called(format!("stop {node}")).await;
        stopped.expect("no script has a stop fail");
        self.end(node, EndedBy::Placement);
        Ok(NodeStatus::Code(0))
    }

    async fn kill(&self, node: &str) -> Result<NodeStatus, PlacementError> {
        self.known(node)?;
        self.end(node, EndedBy::Placement);
        let killed = self.called(format!("kill {node}")).await;
        killed.expect("no script has a kill fail");
        Ok(DEATH)
    }

    async fn pause(&self, _: &str) -> Result<(), PlacementError> {
        unreachable!("the orchestrator never pauses a node")
    }

    async fn resume(&self, _: &str) -> Result<(), PlacementError> {
        unreachable!("the orchestrator never resumes a node")
    }

    async fn limit(&self, node: &str, _: &NodeLimits) -> Result<(), PlacementError> {
        Err(PlacementError::NotRunning {
            node: node.to_owned(),
        })
    }

    fn inspect(&self, node: &str) -> Option<NodeView> {
        let incarnation = self.nodes().get(node)?.incarnation;
        let is_running = self.end_of(node).is_some();
        Some(NodeView {
            incarnation,
            state: if is_running {
                NodeState::Running
            } else {
                NodeState::Ended(NodeStatus::Code(0))
            },
            pid: is_running.then_some(1),
            address: self.addresses.get(node).copied().filter(|_| is_running),
            memory: 0,
            cpu_time: Duration::ZERO,
            limits: NodeLimits::default(),
        })
    }

    fn logs(&self, node: &str, _: u64) -> Result<LastLog, PlacementError> {
        self.known(node)?;
        Ok(LastLog::default())
    }
}

#[async_trait]
impl SubtensorControl for Network {
    async fn begin(&self, _: Request<BeginRequest>) -> Result<Response<BeginReply>, Status> {
        self.asked("subtensor", "begin".to_owned()).await?;
        Ok(Response::new(BeginReply::default()))
    }

    async fn settle(&self, _: Request<SettleRequest>) -> Result<Response<SettleReply>, Status> {
        self.asked("subtensor", "settle".to_owned()).await?;
        Ok(Response::new(SettleReply::default()))
    }

    async fn retire(&self, _: Request<RetireRequest>) -> Result<Response<RetireReply>, Status> {
        self.asked("subtensor", "retire".to_owned()).await?;
        Ok(Response::new(RetireReply::default()))
    }

    /// A hold is recorded when the orchestrator awaits it.
    async fn add_hold(&self, request: Request<AddHoldRequest>) -> Result<Response<AddHoldReply>, Status> {
        let step = request.into_inner().step.unwrap_or_default();
        Ok(Response::new(AddHoldReply { step }))
    }

    async fn await_hold(&self, request: Request<HoldRequest>) -> Result<Response<HoldReply>, Status> {
        let step = request.into_inner().step;
        self.asked("subtensor", format!("hold {step}")).await?;
        Ok(Response::new(HoldReply::default()))
    }

    async fn release(&self, request: Request<HoldRequest>) -> Result<Response<HoldReply>, Status> {
        let step = request.into_inner().step;
        self.asked("subtensor", format!("release {step}")).await?;
        Ok(Response::new(HoldReply::default()))
    }
}

#[async_trait]
impl Neuron for Validator {
    type QueryStream = BoxStream<'static, Result<QueryProgress, Status>>;
    type TrainStream = stream::Empty<Result<ForwardReply, Status>>;

    async fn query(&self, _: Request<QueryRequest>) -> Result<Response<Self::QueryStream>, Status> {
        let call = format!("query {}", self.name);
        self.network.asked(&self.name, call).await?;
        let last = QueryProgress {
            finished: true,
            ..QueryProgress::default()
        };
        Ok(Response::new(stream::iter([Ok(last)]).boxed()))
    }

    async fn forward(&self, _: Request<ForwardRequest>) -> Result<Response<ForwardReply>, Status> {
        Err(Status::unimplemented("the orchestrator never requests a forward"))
    }

    async fn train(&self, _: Request<TrainRequest>) -> Result<Response<Self::TrainStream>, Status> {
        Err(Status::unimplemented("the orchestrator never requests training"))
    }

    async fn inference(&self, _: Request<InferenceRequest>) -> Result<Response<InferenceReply>, Status> {
        Err(Status::unimplemented("the orchestrator never requests inference"))
    }
}

fn count(calls: &[String], call: &str) -> usize {
    calls.iter().filter(|made| *made == call).count()
}
