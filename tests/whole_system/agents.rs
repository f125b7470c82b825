//! Runs whose nodes are started by agents have the events of runs on one machine.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command};

use mirror_runs::Run;
use mirror_runs::tables::ResponseRow;
use mirror_tests::{TestEnv, acknowledged, logging_below, rows};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::experiment::TRAINING;

/// A miner is killed and started again while the validators train.
const KILL: &str = "faults: [{at: step 20, kill: uid 5, restart_after: 15 steps}]\n";

/// An agent with its node. It is killed when this is dropped.
struct Agent {
    process: Child,
    address: SocketAddr,
    health: SocketAddr,
}

impl Agent {
    /// Starts an agent at a loopback address, with the certificates in the folder `certificates`.
    fn start(env: &TestEnv, name: &str, ip: Ipv4Addr) -> Self {
        let [address, health] = [(); 2].map(|()| {
            let free = TcpListener::bind((ip, 0)).expect("a loopback address");
            free.local_addr().expect("an address")
        });
        let folder = env.path().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let process = Command::new(env.programs().join("mirror-agent"))
            // The paths of the coordinator mean nothing here.
            .current_dir(folder)
            .args(["--address", &ip.to_string()])
            .args(["--port", &address.port().to_string()])
            .args(["--health-port", &health.port().to_string()])
            .args(["--credentials", "../certificates", "--folder", "nodes"])
            .spawn()
            .expect("the agent is built with the tests");
        Self {
            process,
            address,
            health,
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it has ended");
    }
}

/// Runs an experiment file at the agents of `agents.yml`.
fn run_at_agents(env: &TestEnv, file: &str) -> Run {
    let mut running = env.start(&["run", file, "--offline", "--agents", "agents.yml"]);
    let folder = running.folder();
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    // The agents still run, so the run has stopped the nodes.
    assert_eq!(logging_below(env.path()), []);
    Run::open(folder).expect("a run that has ended opens")
}

#[test]
fn runs_at_agents_have_the_events_of_a_run_on_one_machine() {
    let env = TestEnv::new();
    let file = env.file("training.yml", format!("{TRAINING}{KILL}"));
    let local = env.done(file, &[]);

    let created = env.mirror(&["agents", "certificates", "certificates"]);
    assert_eq!(created.status, Some(0), "{created:?}");
    let names = ["subtensor".to_owned(), "validator-0".to_owned()];
    let names = names.into_iter().chain((0..8).map(|uid| format!("miner-{uid}")));
    let mut agents = Vec::new();
    let mut content = "credentials: certificates\naddress: 127.0.0.1\nagents:\n".to_owned();
    for (number, name) in (1..).zip(names) {
        let agent = Agent::start(&env, &name, Ipv4Addr::new(127, 4, 0, number));
        writeln!(content, "- {{address: '{}', nodes: [{name}]}}", agent.address).expect("a text");
        agents.push(agent);
    }
    env.file("agents.yml", content);

    // The agents run the nodes of one run after the other.
    for _ in 0..2 {
        let remote = run_at_agents(&env, file);
        let same = env.diff(&local, &remote);
        assert_eq!(same.status, Some(0), "{same:?}");
        assert!(same.out.contains("the same events"), "{same:?}");
        let down = |row: &&ResponseRow| row.uid == 5 && row.outcome == "unreachable";
        assert!(
            rows::<ResponseRow>(&remote).iter().filter(down).count() > 0,
            "uid 5 was not killed"
        );
        // What the nodes wrote has come to the run: logs of both incarnations, and acknowledgements.
        let log = fs::read_to_string(remote.layout().logs().join("miner-5.log")).expect("a log");
        assert_eq!(log.matches("listening").count(), 2, "{log}");
        let of = |run: &Run| acknowledged(run.layout().root(), "validator-0");
        assert_eq!(of(&remote), of(&local));
    }
}

#[tokio::test]
async fn an_agent_answers_health_checks_without_a_certificate() {
    let env = TestEnv::new();
    let created = env.mirror(&["agents", "certificates", "certificates"]);
    assert_eq!(created.status, Some(0), "{created:?}");
    let agent = Agent::start(&env, "agent", Ipv4Addr::new(127, 4, 1, 1));
    let channel = loop {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", agent.health));
        match endpoint.expect("an address").connect().await {
            Ok(channel) => break channel,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let reply = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    assert_eq!(
        reply.expect("a reply").into_inner().status(),
        ServingStatus::Serving
    );
}

#[test]
fn a_file_of_agents_that_cannot_be_used_is_refused_with_the_reason() {
    let env = TestEnv::new();
    let file = env.file("training.yml", TRAINING);
    let entry = "agents: [{address: '127.0.0.1:1', nodes: [subtensor]}]\n";
    let created = env.mirror(&["agents", "certificates", "certificates"]);
    assert_eq!(created.status, Some(0), "{created:?}");
    let again = env.mirror(&["agents", "certificates", "certificates"]);
    assert!(
        again.status == Some(0) && again.err.contains("already"),
        "{again:?}"
    );
    for (content, status, reason) in [
        (
            "address: 127.0.0.1\nagents: []\n".to_owned(),
            2,
            "missing field `credentials`",
        ),
        (
            "credentials: certificates\naddress: 127.0.0.1\nagents: []\n".to_owned(),
            2,
            "names no agent",
        ),
        (
            format!("credentials: certificates\naddress: 0.0.0.0\n{entry}"),
            2,
            "no agent can reach the coordinator",
        ),
        (
            format!("credentials: nowhere\naddress: 127.0.0.1\n{entry}"),
            2,
            "mirror agents certificates nowhere",
        ),
        (
            format!("credentials: certificates\naddress: 127.0.0.1\nport: 3\n{entry}"),
            2,
            "unknown field `port`",
        ),
        (
            "credentials: certificates\naddress: 127.0.0.1\nagents: [{address: '127.0.0.1:1', nodes: [x]}]\n"
                .to_owned(),
            1,
            "no agent may run subtensor",
        ),
    ] {
        env.file("agents.yml", &content);
        let refused = env.mirror(&["run", file, "--offline", "--agents", "agents.yml"]);
        assert_eq!(refused.status, Some(status), "{content}{refused:?}");
        assert!(refused.err.contains(reason), "{content}{refused:?}");
    }
}
