//! A running miner, a chain that accepts its announcements and serves the metagraph, and a client of the v4 protocol.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use futures::stream;
use mirror_auth::{DendriteId, Signer};
use mirror_dataset::Row;
use mirror_identity::{Owner, SecretKey};
use mirror_net::server::Services;
use mirror_net::{channel, metadata};
use mirror_node::Control;
use mirror_proto::bittensor::text_prompting_client::TextPromptingClient;
use mirror_proto::bittensor::{ForwardTextPromptingRequest, ForwardTextPromptingResponse, ReturnCode};
use mirror_proto::mirror::v1::subtensor_server::{Subtensor, SubtensorServer};
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{
    CurrentBlock, CurrentBlockRequest, Hyperparameter, Hyperparameters, Metagraph, MetagraphRequest,
    NeuronInfo, Nominators, NominatorsRequest, ServeAxon, SignedTransaction, SubmitReply, Transaction,
    WatchRequest,
};
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_spec::launch::{AxonLaunch, Launch, Listening, MinerLaunch};
use mirror_spec::{AxonSettings, BehaviourSpec, HonestArgs, Uids};
use mirror_subtensor_client::transaction;
use mirror_telemetry::TraceContext;
use mirror_test_support::{launch, loopback};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, async_trait};

/// Exclusive upper bound of the uids of the network.
const NUM_NODES: u32 = 64;

pub(crate) const BASE: &str = "Be of help.";
pub(crate) const ASK: &str = "Ask something.";
pub(crate) const SEED: u64 = 11;

/// Number of rows in the data set. Each answer belongs to one question, and the first answers are short.
pub(crate) const ROWS: usize = 50;

pub(crate) fn rows() -> Vec<Row> {
    let row = |index| Row {
        question: format!("What is called number {index}?"),
        answers: vec![
            format!("N{index}"),
            format!("the thing that is called number {index}"),
        ],
    };
    (0..ROWS).map(row).collect()
}

pub(crate) fn question(index: usize) -> String {
    rows()[index].question.clone()
}

// --- the miner and its chain ---

/// Accepts `serve_axon`, passes it on, and lists the axons in its metagraph.
pub(crate) struct Chain {
    sender: mpsc::UnboundedSender<Transaction>,
    /// Addresses by uid.
    axons: Mutex<BTreeMap<u32, (String, u32)>>,
}

/// Uid of the caller.
pub(crate) const VALIDATOR: u32 = 20;

/// Stake of the caller in rao: 500 TAO.
pub(crate) const STAKE: u64 = 500_000_000_000;

/// Immunity period in blocks. All neurons were registered with the first block.
pub(crate) const IMMUNITY: u64 = 60;

impl Chain {
    fn neuron(&self, uid: u32) -> NeuronInfo {
        let axons = self.axons.lock().expect("no thread panicked with the lock");
        let (ip, port) = axons.get(&uid).cloned().unwrap_or_default();
        let is_validator = uid == VALIDATOR;
        let hotkey = if is_validator { caller() } else { miner_key(uid) };
        NeuronInfo {
            uid,
            hotkey: hotkey.bytes().to_vec(),
            coldkey: vec![uid as u8; 32],
            stake: if is_validator { STAKE } else { 0 },
            ip,
            port,
            ..NeuronInfo::default()
        }
    }
}

pub(crate) fn miner_key(uid: u32) -> mirror_identity::Hotkey {
    SecretKey::hotkey(&Seed::root(SEED), Owner::Miner(uid)).public()
}

/// The last closed block of the chain.
pub(crate) const BLOCK: u64 = 40;

/// From this block on, the chain sends metagraphs in which a hotkey is one byte too short.
pub(crate) const INVALID_FROM: u64 = BLOCK + 1_000;

#[async_trait]
impl Subtensor for Chain {
    type WatchMetagraphStream = stream::Empty<Result<Metagraph, Status>>;

    async fn submit(&self, request: Request<SignedTransaction>) -> Result<Response<SubmitReply>, Status> {
        let transaction = transaction::verify(request.get_ref()).expect("miners sign their transactions");
        if let Some(Call::ServeAxon(ServeAxon { ip, port })) = &transaction.call {
            let signer = (0..VALIDATOR).find(|uid| miner_key(*uid).bytes().as_slice() == transaction.signer);
            let uid = signer.expect("a miner announces itself");
            let mut axons = self.axons.lock().expect("no thread panicked with the lock");
            axons.insert(uid, (ip.clone(), *port));
        }
        let sent = self.sender.send(transaction);
        sent.map_err(|_| Status::unavailable("the test has ended"))?;
        Ok(Response::new(SubmitReply::default()))
    }

    async fn get_current_block(
        &self,
        _: Request<CurrentBlockRequest>,
    ) -> Result<Response<CurrentBlock>, Status> {
        Ok(Response::new(CurrentBlock { block: BLOCK }))
    }

    async fn get_metagraph(&self, request: Request<MetagraphRequest>) -> Result<Response<Metagraph>, Status> {
        let all = [
            ("tempo", 0),
            ("min_allowed_weights", 1),
            ("max_weight_limit", 65_535),
            ("validator_exclude_quantile", 0),
            ("validator_epoch_length", 100),
            ("commit_reveal_weights_enabled", 0),
            ("commit_reveal_period", 1),
            ("immunity_period", IMMUNITY),
        ];
        let all = all.map(|(name, value)| Hyperparameter {
            name: name.to_owned(),
            value,
        });
        let block = request.get_ref().block.unwrap_or(BLOCK);
        let mut neurons: Vec<_> = (0..=VALIDATOR).map(|uid| self.neuron(uid)).collect();
        if block >= INVALID_FROM {
            neurons[0].hotkey.pop();
        }
        Ok(Response::new(Metagraph {
            version: 1,
            block,
            hyperparameters: Some(Hyperparameters {
                all: all.into(),
                ..Hyperparameters::default()
            }),
            neurons,
        }))
    }

    async fn watch_metagraph(
        &self,
        _: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchMetagraphStream>, Status> {
        Err(Status::unimplemented("miners do not call this"))
    }

    async fn get_nominators(&self, _: Request<NominatorsRequest>) -> Result<Response<Nominators>, Status> {
        Err(Status::unimplemented("miners do not call this"))
    }
}

/// Starts a chain and returns its address and the transactions that are submitted to it.
pub(crate) async fn chain() -> (SocketAddr, mpsc::UnboundedReceiver<Transaction>) {
    let (sender, received) = mpsc::unbounded_channel();
    let services = Services::default().open(SubtensorServer::new(Chain {
        sender,
        axons: Mutex::default(),
    }));
    (loopback::serve(services).await, received)
}

pub(crate) fn data() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("answers");
    mirror_dataset::compile(&rows(), &path).expect("valid rows");
    (folder, path)
}

/// Builds the launch config of axons in one group, each with its behaviours.
pub(crate) fn launch(
    axons: &[(u32, Vec<BehaviourSpec>)],
    dataset: &Path,
    subtensor: SocketAddr,
) -> Launch<MinerLaunch> {
    let uids = axons.iter().map(|(uid, _)| *uid);
    let group = uids.clone().min().unwrap_or_default()..=uids.max().unwrap_or_default();
    let group = Uids::of_ranges([group]).expect("there is an axon");
    let axon = |(uid, behaviours): &(u32, Vec<BehaviourSpec>)| AxonLaunch {
        uid: *uid,
        group: group.clone(),
        behaviours: behaviours.clone(),
    };
    let role = MinerLaunch {
        axons: axons.iter().map(axon).collect(),
        settings: AxonSettings::default(),
        dataset: dataset.to_owned(),
        base_prompt: BASE.to_owned(),
        question_prompt: ASK.to_owned(),
        subtensor,
        first_block: Some(BLOCK),
        time_scale: 1.0,
        num_nodes: NUM_NODES,
        proxy: None,
        rules: Vec::new(),
        injections: Vec::new(),
    };
    Launch {
        incarnation: 3,
        seed: SEED,
        ..launch::launch("miner-0", role)
    }
}

/// A client of an axon that signs its calls.
pub(crate) type AxonClient = TextPromptingClient<InterceptedService<Channel, Signing>>;

/// Signs each call to the axon of a hotkey. The calls may overlap.
#[derive(Clone)]
pub(crate) struct Signing {
    key: SecretKey,
    receiver: mirror_identity::Hotkey,
}

impl Interceptor for Signing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let dendrite = DendriteId::random().expect("the system has random numbers");
        let signer = Arc::new(Signer::new(self.key.clone(), dendrite, 500));
        signer.lane(self.receiver).sign(request.metadata_mut());
        Ok(request)
    }
}

/// Returns a client of the axon of a uid at an address.
fn client(caller: Owner, uid: u32, address: SocketAddr) -> AxonClient {
    let signing = Signing {
        key: SecretKey::hotkey(&Seed::root(SEED), caller),
        receiver: miner_key(uid),
    };
    TextPromptingClient::with_interceptor(channel::lazy(address), signing)
}

/// A miner in the test process. It runs until the test ends.
pub(crate) struct Miner {
    /// The uids of its axons and their addresses.
    axons: Vec<(u32, SocketAddr)>,
    _data: TempDir,
}

impl Miner {
    pub(crate) async fn start(axons: &[(u32, HonestArgs)]) -> Self {
        let honest = |(uid, args): &(u32, HonestArgs)| (*uid, vec![BehaviourSpec::Honest(*args)]);
        Self::behaving(&axons.iter().map(honest).collect::<Vec<_>>()).await
    }

    /// Starts the axons of one group, each with its behaviours.
    pub(crate) async fn behaving(axons: &[(u32, Vec<BehaviourSpec>)]) -> Self {
        Self::with(AxonSettings::default(), axons).await
    }

    /// Starts the axons of one group with these settings, each with its behaviours.
    pub(crate) async fn with(settings: AxonSettings, axons: &[(u32, Vec<BehaviourSpec>)]) -> Self {
        let (folder, dataset) = data();
        let (subtensor, mut submitted) = chain().await;
        let mut launch = launch(axons, &dataset, subtensor);
        launch.role.settings = settings;
        tokio::spawn(mirror_miner::serve(
            launch,
            loopback::listen().await.0,
            CancellationToken::new(),
            Control::default(),
        ));
        let mut served = Vec::new();
        for (uid, _) in axons {
            let transaction = submitted.recv().await.expect("each axon is announced");
            assert_eq!(transaction.signer, miner_key(*uid).bytes());
            assert_eq!((transaction.nonce, transaction.from_block), (3, BLOCK));
            let Some(Call::ServeAxon(ServeAxon { ip, port })) = transaction.call else {
                panic!("{transaction:?} announces no axon")
            };
            let address = SocketAddr::new(ip.parse().expect("an address"), port as u16);
            served.push((*uid, address));
        }
        Self {
            axons: served,
            _data: folder,
        }
    }

    /// Starts one axon, with uid 0.
    pub(crate) async fn one(fail_rate: f64, fitness: f64) -> Self {
        Self::start(&[(0, HonestArgs { fail_rate, fitness })]).await
    }

    /// Returns a client of the first axon that calls as [`caller`].
    pub(crate) fn client(&self) -> AxonClient {
        self.client_of(Owner::Validator(0))
    }

    /// Returns a client of each axon.
    pub(crate) fn clients(&self) -> Vec<AxonClient> {
        let axons = self.axons.iter();
        axons
            .map(|(uid, address)| client(Owner::Validator(0), *uid, *address))
            .collect()
    }

    /// Returns a client of the first axon that calls with the hotkey of `caller`.
    pub(crate) fn client_of(&self, caller: Owner) -> AxonClient {
        let (uid, address) = self.axons[0];
        client(caller, uid, address)
    }

    pub(crate) async fn ask(&self, asked: &str, step: u64) -> ForwardTextPromptingResponse {
        forward(self.client(), asked, call(0, step)).await
    }
}

// --- the caller ---

pub(crate) fn caller() -> mirror_identity::Hotkey {
    SecretKey::hotkey(&Seed::root(SEED), Owner::Validator(0)).public()
}

pub(crate) fn call(uid: u32, step: u64) -> CallId {
    CallId {
        caller: caller().bytes(),
        step,
        forward_index: 0,
        uid,
        call: CallNumber::QUERY,
    }
}

pub(crate) fn messages(asked: &str) -> Vec<String> {
    let message = |role, content| serde_json::json!({"role": role, "content": content}).to_string();
    vec![message("system", BASE), message("user", asked)]
}

pub(crate) fn body(asked: &str) -> ForwardTextPromptingRequest {
    ForwardTextPromptingRequest {
        version: 500,
        hotkey: caller().to_string(),
        messages: messages(asked),
        timeout: 30.0,
    }
}

pub(crate) fn request<T>(body: T, call: CallId) -> Request<T> {
    let mut request = Request::new(body);
    metadata::write(request.metadata_mut(), &call, &TraceContext::new([1; 16], [2; 8]));
    request
}

pub(crate) async fn forward(
    mut client: AxonClient,
    asked: &str,
    call: CallId,
) -> ForwardTextPromptingResponse {
    let reply = client.forward(request(body(asked), call)).await;
    reply.expect("the axon answers").into_inner()
}

/// Returns a completion that counts, without its padding.
#[track_caller]
pub(crate) fn said(reply: &ForwardTextPromptingResponse) -> &str {
    assert_eq!(reply.return_code, ReturnCode::Success as i32, "{reply:?}");
    assert!(reply.response.chars().count() > 10, "{reply:?}");
    reply.response.trim()
}

/// The `mirror-miner` process, with one axon.
pub(crate) struct Process {
    pub(crate) child: Child,
    address: SocketAddr,
}

impl Process {
    pub(crate) async fn start(behaviours: Vec<BehaviourSpec>, dataset: &Path, subtensor: SocketAddr) -> Self {
        let mut line =
            serde_json::to_vec(&launch(&[(0, behaviours)], dataset, subtensor)).expect("plain data");
        line.push(b'\n');
        let mut child = Command::new(env!("CARGO_BIN_EXE_mirror-miner"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo built it");
        child
            .stdin
            .as_mut()
            .expect("piped")
            .write_all(&line)
            .expect("the process reads its standard input");
        let stdout = child.stdout.take().expect("piped");
        let listening = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = listening
            .await
            .expect("no panic")
            .expect("the process prints its listen address");
        let Listening { address, .. } = serde_json::from_str(&line).expect("a line of JSON");
        Self { child, address }
    }

    pub(crate) fn client(&self) -> AxonClient {
        client(Owner::Validator(0), 0, self.address)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have exited on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
