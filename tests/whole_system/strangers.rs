//! Programs that do not belong to a run call its control services: with plain text, with a certificate of another
//! network, and with the certificate of the operator, which is not for these services.

use std::fs;
use std::net::SocketAddr;

use futures::future::join_all;
use mirror_certificates::Authority;
use mirror_identity::{Owner, SecretKey};
use mirror_net::channel;
use mirror_net::tls::Identity;
use mirror_proto::bittensor::ForwardTextPromptingRequest;
use mirror_proto::bittensor::text_prompting_client::TextPromptingClient;
use mirror_proto::mirror::v1::coordinator_client::CoordinatorClient;
use mirror_proto::mirror::v1::neuron_client::NeuronClient;
use mirror_proto::mirror::v1::run_control_client::RunControlClient;
use mirror_proto::mirror::v1::subtensor_barrier_client::SubtensorBarrierClient;
use mirror_proto::mirror::v1::subtensor_control_client::SubtensorControlClient;
use mirror_proto::mirror::v1::{
    AddHoldRequest, ForwardEvent, Hello, ListNodesRequest, NodeReport, Purpose, QueryRequest, Record,
    RetireRequest, Sequenced, SettleRequest, ShutdownRequest, StepReport, TrainRequest, node_report, record,
};
use mirror_proto::protocol::{COORDINATOR, SUBTENSOR};
use mirror_runs::Layout;
use mirror_seed::Seed;
use mirror_test_support::eventually;
use mirror_tests::TestEnv;
use prost::Message;
use serde_json::Value;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::operator::operator;

const STEPS: u64 = 600;

fn network() -> String {
    format!(
        "\
seed: 7
model:
  id: strangers
  dendrite_pool: {{name: DummyDendritePool, args: {{data_path: builtin, fitness: 0.5, fail_rate: 0.1}}}}
  gating_model: RandomGatingModel
  reward_model: {{name: DummyRewardModel, args: {{reward_type: num_words}}}}
  subtensor: {{name: DummySubtensor, args: {{epoch_length: 10}}}}
  metagraph: {{name: DummyMetagraph, args: {{num_nodes: 4}}}}
network: {{validators: 2, axons_per_process: 4}}
query: {{id: training, method: {{name: train, args: {{max_iter: {STEPS}}}}}}}
"
    )
}

fn nodes(env: &TestEnv) -> Value {
    let listed = env.start(&["nodes", "last", "--json"]).ends();
    serde_json::from_str(&listed.out).unwrap_or_else(|_| panic!("{listed:?}"))
}

fn address(list: &Value, name: &str) -> SocketAddr {
    let nodes = list["nodes"].as_array().expect("a list");
    let node = nodes
        .iter()
        .find(|node| node["name"] == name)
        .expect("the node is listed");
    node["address"]
        .as_str()
        .expect("it listens")
        .parse()
        .expect("an address")
}

/// The way in which a stranger connects.
#[derive(Debug, Clone)]
enum Stranger {
    Plain,
    Certified(Identity),
}

impl Stranger {
    fn channel(&self, address: SocketAddr, server: &str) -> Channel {
        match self {
            Self::Plain => channel::lazy(address),
            Self::Certified(identity) => channel::secure(address, identity.connecting_to(server)),
        }
    }
}

/// The addresses of a running network.
struct Addresses {
    coordinator: SocketAddr,
    chain: SocketAddr,
    validator: SocketAddr,
    miner: SocketAddr,
}

/// A report of an event that replaces a real one: the name of its validator, its step and its number.
fn forgery(step: u64) -> Vec<u8> {
    let event = ForwardEvent {
        validator: "validator-0".to_owned(),
        purpose: Purpose::Query.into(),
        step,
        method: "train".to_owned(),
        message: "forged".to_owned(),
        ..ForwardEvent::default()
    };
    let kind = Some(record::Kind::Event(event));
    Record { kind }.encode_to_vec()
}

/// Sends forged events, and returns the status of the stream.
async fn report(channel: Channel, node: &str) -> Result<(), Status> {
    let hello = Hello {
        node: node.to_owned(),
        incarnation: 0,
    };
    let hello = node_report::Report::Hello(hello);
    let records = (0..STEPS).map(|step| {
        node_report::Report::Record(Sequenced {
            sequence: step + 1,
            record: forgery(step).into(),
        })
    });
    let reports: Vec<NodeReport> = std::iter::once(hello)
        .chain(records)
        .map(|report| NodeReport { report: Some(report) })
        .collect();
    let reports = tokio_stream::iter(reports);
    let mut directives = CoordinatorClient::new(channel)
        .report(reports)
        .await?
        .into_inner();
    while directives.message().await?.is_some() {}
    Ok(())
}

/// Reports a step in the name of a validator, and returns the status of the stream.
async fn step(channel: Channel) -> Result<(), Status> {
    let hotkey = SecretKey::hotkey(&Seed::root(7), Owner::Validator(0)).public();
    let report = StepReport {
        hotkey: hotkey.bytes().to_vec(),
        step: STEPS,
    };
    let mut closed = SubtensorBarrierClient::new(channel)
        .steps(tokio_stream::iter([report]))
        .await?
        .into_inner();
    while closed.message().await?.is_some() {}
    Ok(())
}

/// Makes every forbidden call, and returns the outcomes with their names.
async fn intrude(stranger: &Stranger, at: &Addresses) -> Vec<(&'static str, Result<(), Status>)> {
    let coordinator = stranger.channel(at.coordinator, COORDINATOR);
    let chain = stranger.channel(at.chain, SUBTENSOR);
    let hotkey = SecretKey::hotkey(&Seed::root(7), Owner::Validator(0)).public();
    let mut control = SubtensorControlClient::new(chain.clone());
    let retire = RetireRequest {
        hotkey: hotkey.bytes().to_vec(),
        reason: "forged".to_owned(),
    };
    vec![
        ("Report", report(coordinator.clone(), "validator-0").await),
        ("Steps", step(chain).await),
        ("Retire", control.retire(retire).await.map(drop)),
        ("Settle", control.settle(SettleRequest {}).await.map(drop)),
        (
            "AddHold",
            control.add_hold(AddHoldRequest { step: None }).await.map(drop),
        ),
    ]
}

/// Returns the outcomes of the calls that only the operator may make.
async fn operate(stranger: &Stranger, at: &Addresses) -> Vec<(&'static str, Result<(), Status>)> {
    let mut control = RunControlClient::new(stranger.channel(at.coordinator, COORDINATOR));
    let mut neuron = NeuronClient::new(stranger.channel(at.validator, "validator-0"));
    vec![
        ("Query", neuron.query(QueryRequest {}).await.map(drop)),
        (
            "Train",
            neuron.train(TrainRequest { max_iter: 1_000_000 }).await.map(drop),
        ),
        (
            "ListNodes",
            control.list_nodes(ListNodesRequest {}).await.map(drop),
        ),
        ("Shutdown", control.shutdown(ShutdownRequest {}).await.map(drop)),
    ]
}

/// Sends calls of 4 MiB each without a certificate or a signature, over one connection to the coordinator and one to an
/// axon. All are refused.
async fn flood(at: &Addresses) {
    const CALLS: usize = 200;
    const LENGTH: usize = 4 << 20;
    let (coordinator, axon) = (channel::lazy(at.coordinator), channel::lazy(at.miner));
    let reports = (0..CALLS).map(|_| {
        let record = Sequenced {
            sequence: 1,
            record: vec![7; LENGTH].into(),
        };
        let report = NodeReport {
            report: Some(node_report::Report::Record(record)),
        };
        let mut client = CoordinatorClient::new(coordinator.clone());
        async move { client.report(tokio_stream::iter([report])).await.map(drop) }
    });
    let asked = (0..CALLS).map(|_| {
        let request = ForwardTextPromptingRequest {
            messages: vec!["x".repeat(LENGTH - 64)],
            ..ForwardTextPromptingRequest::default()
        };
        let mut client = TextPromptingClient::new(axon.clone());
        async move { client.forward(request).await.map(drop) }
    });
    let (reports, asked) = futures::join!(join_all(reports), join_all(asked));
    for outcome in reports.into_iter().chain(asked) {
        let code = outcome.as_ref().err().map(Status::code);
        assert!(code.is_some(), "{outcome:?}");
    }
}

/// Returns the largest resident memory that a process has had so far, in bytes.
fn most_memory(process: u64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("Linux has it");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}

/// Checks that every call was refused with one of these codes.
#[track_caller]
fn assert_refused(stranger: &str, codes: &[Code], outcomes: &[(&'static str, Result<(), Status>)]) {
    for (name, outcome) in outcomes {
        let code = outcome.as_ref().err().map(Status::code);
        assert!(
            code.is_some_and(|code| codes.contains(&code)),
            "{stranger}: {name}: {outcome:?}"
        );
    }
}

#[test]
fn strangers_displace_no_event_end_no_run_and_move_no_chain() {
    let env = TestEnv::new();
    let file = env.file("network.yml", network());
    let alone = env.done(file, &[]);

    let started = env.start(&["up", file, "--offline"]).ends();
    assert_eq!(started.status, Some(0), "{started:?}");
    let id = started
        .out
        .lines()
        .find(|line| line.contains("-network-"))
        .expect("the id of the run");
    let folder = env.runs_dir().join(id.trim());
    let control = fs::read_to_string(Layout::new(&folder).control()).expect("the control file");
    let control: Value = serde_json::from_str(&control).expect("JSON");
    let list = nodes(&env);
    let miner = list["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|node| node["uids"] == "0-3");
    let miner = miner.expect("one process has all miners");
    let at = Addresses {
        coordinator: control["address"]
            .as_str()
            .expect("text")
            .parse()
            .expect("an address"),
        chain: list["subtensor"]
            .as_str()
            .expect("text")
            .parse()
            .expect("an address"),
        validator: address(&list, "validator-0"),
        miner: address(&list, miner["name"].as_str().expect("text")),
    };
    let authority = Authority::new().expect("the system has random numbers");
    let of_other_network = authority
        .issue("validator-0")
        .expect("the name can be in a certificate");
    let foreign = Stranger::Certified(Identity::new(&of_other_network).expect("the certificate is valid"));
    let operator = Stranger::Certified(operator(&folder));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for _ in 0..3 {
            let refused = [Code::Unauthenticated];
            assert_refused("plain text", &refused, &intrude(&Stranger::Plain, &at).await);
            assert_refused("plain text", &refused, &operate(&Stranger::Plain, &at).await);
            // The handshake fails, so there is no connection.
            let unconnected = [Code::Unavailable, Code::Unknown];
            assert_refused("another network", &unconnected, &intrude(&foreign, &at).await);
            assert_refused("another network", &unconnected, &operate(&foreign, &at).await);
            let not_admitted = [Code::PermissionDenied];
            assert_refused("the operator", &not_admitted, &intrude(&operator, &at).await);
            flood(&at).await;
        }
    });
    let coordinator = control["pid"].as_u64().expect("a number");
    assert!(
        most_memory(coordinator) < 512 << 20,
        "{} bytes",
        most_memory(coordinator)
    );
    let miner = miner["pid"].as_u64().expect("it runs");
    assert!(most_memory(miner) < 64 << 20, "{} bytes", most_memory(miner));

    eventually("the queries end", || {
        (nodes(&env)["phase"] == "standing").then_some(())
    });
    assert_eq!(nodes(&env)["steps_done"], STEPS);
    let down = env.start(&["down"]).ends();
    assert_eq!(down.status, Some(0), "{down:?}");
    let attacked = mirror_runs::Run::open(&folder).expect("the run has its tables");
    let compared = env.diff(&alone, &attacked);
    assert_eq!(compared.status, Some(0), "{compared:?}");
}

#[test]
fn no_file_of_a_run_and_no_output_contains_a_secret() {
    let env = TestEnv::new();
    let file = env.file("network.yml", network());
    let few_steps = "query.method.args.max_iter=20";
    let ended = env.mirror(&["run", file, "--offline", "--log", "trace", "--set", few_steps]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let owners = (0..4).map(Owner::Miner).chain((0..2).map(Owner::Validator));
    let seeds = owners.map(|owner| mirror_identity::MiniSecret::hotkey(&Seed::root(7), owner).hex());
    let secrets: Vec<String> = seeds.chain(["PRIVATE KEY".to_owned()]).collect();
    let mut folders = vec![env.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let entry = entry.expect("the entry can be read");
            if entry.file_type().expect("a type").is_dir() {
                assert_ne!(entry.file_name(), "certificates", "the certificates are removed");
                folders.push(entry.path());
                continue;
            }
            files += 1;
            let bytes = fs::read(entry.path()).expect("the file can be read");
            for secret in &secrets {
                let is_found = bytes
                    .windows(secret.len())
                    .any(|bytes| bytes == secret.as_bytes());
                assert!(!is_found, "{} contains a secret", entry.path().display());
            }
        }
    }
    assert!(files > 10, "{files} files");
}
