//! A run whose nodes are started by agents, each at an address of its own, has the events of a run on one machine.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use mirror_certificates::Authority;
use mirror_cluster::agents::{AgentAddress, Agents};
use mirror_coordinator::{Ends, Finished, Network, Options};
use mirror_net::tls::Identity;
use mirror_proto::protocol::COORDINATOR;
use mirror_runs::tables::ResponseRow;
use mirror_runs::{NewRun, Recorder, Run, RunDirectory, State};
use mirror_tests::{TestEnv, acknowledged, logging_below, rows};
use tokio_util::sync::CancellationToken;

use crate::experiment::TRAINING;

/// A miner is killed and started again while the validators train.
const KILL: &str = "faults: [{at: step 20, kill: uid 5, restart_after: 15 steps}]\n";

/// An agent with its node. It is killed when this is dropped.
struct Agent(Child);

impl Agent {
    /// Starts an agent at a loopback address, whose files are below `folder`.
    fn start(env: &TestEnv, authority: &Authority, folder: &Path, ip: Ipv4Addr) -> (Self, SocketAddr) {
        let certificate = authority.issue("agent").expect("a certificate");
        fs::create_dir_all(folder).expect("a folder");
        for (name, content) in [
            ("ca.crt", certificate.authority),
            ("tls.crt", certificate.certificate),
            ("tls.key", certificate.key),
        ] {
            fs::write(folder.join(name), content).expect("a file");
        }
        let free = TcpListener::bind((ip, 0)).expect("a loopback address");
        let address = free.local_addr().expect("an address");
        drop(free);
        let child = Command::new(env.programs().join("mirror-agent"))
            // The paths of the coordinator mean nothing here.
            .current_dir(folder)
            .args([
                "--address",
                &ip.to_string(),
                "--port",
                &address.port().to_string(),
            ])
            .args(["--credentials", ".", "--folder", "nodes"])
            .spawn()
            .expect("the agent is built with the tests");
        (Self(child), address)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it has ended");
    }
}

/// Runs an experiment file with an agent for each node. Returns the run.
async fn run_with_agents(env: &TestEnv, file: &str) -> Run {
    let experiment = mirror_config::parse(file, "agents.yml")
        .unwrap_or_else(|problems| panic!("{}", problems.plain()))
        .experiment;
    let model = experiment.model.clone().expect("the file has a model");
    let data = mirror_coordinator::prepare(
        &experiment,
        &model,
        env.path(),
        &env.runs_dir(),
        Network::Forbidden,
    )
    .expect("the data is builtin");
    let new = NewRun {
        experiment: "agents".to_owned(),
        experiment_yml: file.to_owned(),
        resolved_yml: file.to_owned(),
        seed: experiment.seed,
        ..NewRun::default()
    };
    let folder = RunDirectory::create(env.runs_dir(), &new).expect("a folder for the run");
    let layout = folder.layout().clone();
    let recorder = Recorder::start(folder, Recorder::SEGMENT_BYTES).expect("a journal");

    let authority = Authority::new().expect("the system has random numbers");
    let names = ["subtensor".to_owned(), "validator-0".to_owned()];
    let names = names.into_iter().chain((0..8).map(|uid| format!("miner-{uid}")));
    let mut agents = Vec::new();
    let mut directory = HashMap::new();
    for (number, name) in (1..).zip(names) {
        let ip = Ipv4Addr::new(127, 4, 0, number);
        let (agent, address) = Agent::start(env, &authority, &env.path().join(&name), ip);
        agents.push(agent);
        let agent = AgentAddress {
            name: "agent".to_owned(),
            address,
        };
        directory.insert(name, agent);
    }
    let own = authority.issue(COORDINATOR).expect("a certificate");
    let (placement, exits) = Agents::new(
        directory,
        Identity::new(&own).expect("it is valid"),
        recorder.run_id().to_owned(),
        Ipv4Addr::LOCALHOST.into(),
        layout.logs(),
    )
    .expect("a folder for logs");
    let options = Options {
        authority: Arc::new(authority),
        log: "info".to_owned(),
        stop: CancellationToken::new(),
        now: CancellationToken::new(),
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
        placement,
        exits,
        options,
    ));
    let Finished { manifest, reason, .. } = finished.await.expect("the run can be recorded");
    // The agents still run, so the run has stopped the nodes.
    assert_eq!(logging_below(env.path()), []);
    assert_eq!((manifest.state, reason), (State::Done, None));
    Run::open(layout.root()).expect("the run can be read")
}

#[tokio::test]
async fn a_run_with_agents_has_the_events_of_a_run_on_one_machine() {
    let env = TestEnv::new();
    let file = format!("{TRAINING}{KILL}");
    let local = env.done(env.file("local.yml", &file), &[]);
    let remote = run_with_agents(&env, &file).await;
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
