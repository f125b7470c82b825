//! Tests of nodes that agents run, over TLS on loopback. The agents and their nodes are processes.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use crate::support::{LONG, PATIENCE, foreign, node, program, until};
use mirror_cluster::agents::{AgentAddress, Agents};
use mirror_cluster::{
    EndedBy, Exit, Liveness, NodeLimits, NodeSpec, NodeState, Placement, PlacementError, Program, Role,
    Status,
};
use mirror_test_support::certificates::{credentials, identity};
use mirror_test_support::logging_below;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

type Place = Agents<HashMap<String, AgentAddress>>;

/// An agent. It is killed when this is dropped.
struct Agent {
    address: SocketAddrV4,
    folder: PathBuf,
    process: Child,
}

impl Agent {
    /// Starts an agent whose nodes are the test program.
    fn start(below: &Path, ip: Ipv4Addr) -> Self {
        let free = TcpListener::bind((ip, 0)).expect("a loopback address");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        Self::start_at(below, SocketAddrV4::new(ip, port))
    }

    /// Starts an agent at the address of an earlier one.
    fn start_at(below: &Path, address: SocketAddrV4) -> Self {
        let programs = below.join("programs");
        fs::create_dir_all(&programs).expect("a folder for programs");
        for name in [
            "mirror-miner",
            "mirror-subtensor",
            "mirror-validator",
            "mirror-proxy",
        ] {
            // Several agents share the folder.
            let _ = symlink(program("cluster_node"), programs.join(name));
        }
        let of_agent = credentials("agent");
        let certificates = below.join("certificates");
        fs::create_dir_all(&certificates).expect("a folder for certificates");
        for (name, content) in [
            ("ca.crt", of_agent.authority),
            ("tls.crt", of_agent.certificate),
            ("tls.key", of_agent.key),
        ] {
            fs::write(certificates.join(name), content).expect("a file");
        }
        let folder = below.join(format!("agent-{}", address.ip().octets()[3]));
        let process = Command::new(program("cluster_agent"))
            .arg(address.to_string())
            .args([&certificates, &folder, &programs])
            .spawn()
            .expect("the agent is built with the tests");
        Self {
            address,
            folder,
            process,
        }
    }

    fn at(address: SocketAddr) -> AgentAddress {
        AgentAddress {
            name: "agent".to_owned(),
            address,
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it has ended");
    }
}

/// Returns a placement with these agents by the names of their nodes.
fn placement(below: &Path, agents: &[(&str, SocketAddr)]) -> (Place, mpsc::Receiver<Exit>) {
    let directory = agents
        .iter()
        .map(|(node, address)| ((*node).to_owned(), Agent::at(*address)))
        .collect();
    Agents::new(
        directory,
        identity("coordinator"),
        "run".to_owned(),
        Ipv4Addr::LOCALHOST.into(),
        below.join("logs"),
    )
    .expect("a folder for logs")
}

/// Returns a node that reads a file with this content.
fn node_reading(below: &Path, name: &str, content: &str) -> NodeSpec {
    let mut spec = node(name);
    let path = below.join("data set.qa");
    fs::write(&path, content).expect("a file");
    let Program::Ours {
        role: Role::Miner(launch),
        ..
    } = &mut spec.program
    else {
        panic!("the node is a miner");
    };
    launch.dataset = path;
    spec
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

const FIRST: Ipv4Addr = Ipv4Addr::new(127, 3, 0, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 3, 0, 2);

#[tokio::test]
async fn nodes_of_two_agents_are_started_paused_restarted_and_stopped() {
    let folder = folder();
    let agents = [
        Agent::start(folder.path(), FIRST),
        Agent::start(folder.path(), SECOND),
    ];
    let nodes = [
        ("serve-0", agents[0].address.into()),
        ("serve-1", agents[1].address.into()),
    ];
    let (place, mut exits) = placement(folder.path(), &nodes);
    for (name, agent) in nodes {
        let spec = node_reading(folder.path(), name, "questions");
        assert_eq!(place.spawn(&spec).await.expect("it is started"), 0);
        let address = place.ready(name, PATIENCE).await.expect("it is ready");
        assert_eq!((address.ip(), place.source(name)), (agent.ip(), Some(agent.ip())));
        assert_eq!(place.check_liveness(name, LONG).await, Liveness::Answered);
        assert_eq!(place.address(name), Some(address));
        assert!(place.control(name).is_some());
        let again = place.spawn(&spec).await.expect_err("it is running");
        assert!(matches!(again, PlacementError::Running { .. }), "{again:?}");
    }
    tokio::time::timeout(PATIENCE, async {
        while place.inspect("serve-0").is_none_or(|view| view.memory == 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the use of memory is reported");
    place.pause("serve-0").await.expect("it is paused");
    assert_eq!(place.check_liveness("serve-0", LONG).await, Liveness::Paused);
    assert_eq!(place.inspect("serve-0").expect("a node").state, NodeState::Paused);
    place.resume("serve-0").await.expect("it is resumed");
    assert_eq!(place.check_liveness("serve-0", LONG).await, Liveness::Answered);

    let killed = Status::Signal(Signal::KILL.as_raw());
    assert_eq!(place.kill("serve-0").await.expect("it is killed"), killed);
    let exit = exits.recv().await.expect("an exit");
    assert_eq!((&*exit.node, exit.incarnation), ("serve-0", 0));
    assert_eq!((exit.status, exit.ended_by), (killed, EndedBy::Placement));
    let spec = node_reading(folder.path(), "serve-0", "questions");
    assert_eq!(place.spawn(&spec).await.expect("it is started again"), 1);
    place.ready("serve-0", PATIENCE).await.expect("it is ready");
    for (name, _) in nodes {
        assert_eq!(place.stop(name, LONG).await.expect("it ends"), Status::Code(0));
    }
    // The log of both incarnations is complete once the node has ended.
    let log = place.logs("serve-0", 1 << 20).expect("a log").0;
    for incarnation in [0, 1] {
        let line = format!("serve-0 in its incarnation {incarnation}");
        assert!(log.contains(&line), "{log}");
    }
}

#[tokio::test]
async fn a_node_reads_what_the_coordinator_sends_and_an_agent_takes_each_file_once() {
    let folder = folder();
    let agent = Agent::start(folder.path(), FIRST);
    let address = agent.address.into();
    let (place, _exits) = placement(folder.path(), &[("serve-0", address), ("serve-1", address)]);
    for name in ["serve-0", "serve-1"] {
        let spec = node_reading(folder.path(), name, "questions and answers");
        place.spawn(&spec).await.expect("it is started");
        place.ready(name, PATIENCE).await.expect("it is ready");
    }
    let stored = fs::read_dir(agent.folder.join("files")).expect("a folder");
    let stored: Vec<fs::DirEntry> = stored.map(|entry| entry.expect("an entry")).collect();
    assert_eq!(stored.len(), 1);
    let inode = stored[0].metadata().expect("a file").ino();
    let inputs: Vec<PathBuf> = fs::read_dir(agent.folder.join("inputs"))
        .expect("a folder of inputs")
        .map(|entry| entry.expect("an entry").path().join("data set.qa"))
        .collect();
    assert_eq!(inputs.len(), 1, "both nodes read the same file: {inputs:?}");
    assert_eq!(
        fs::read_to_string(&inputs[0]).expect("the file"),
        "questions and answers"
    );
    // A second upload would have put another file in the place of the first.
    assert_eq!(fs::metadata(&inputs[0]).expect("the file").ino(), inode);
}

#[tokio::test]
async fn failures_of_nodes_are_reported_with_their_reasons() {
    let folder = folder();
    let agent = Agent::start(folder.path(), FIRST);
    let names = ["fail-0", "serve-0", "serve-1", "foreign-0"];
    let (place, mut exits) = placement(folder.path(), &names.map(|name| (name, agent.address.into())));
    let spec = node_reading(folder.path(), "fail-0", "");
    place.spawn(&spec).await.expect("it is started");
    let failed = place.ready("fail-0", PATIENCE).await.expect_err("it fails");
    let PlacementError::Ended { last_log, .. } = &failed else {
        panic!("{failed:?}");
    };
    assert!(last_log.0.contains("its name requests a failure"), "{failed}");
    let exit = exits.recv().await.expect("an exit");
    assert_eq!(exit.ended_by, EndedBy::Itself);
    assert!(
        exit.last_log.0.contains("its name requests a failure"),
        "{exit:?}"
    );

    // A file that the coordinator cannot read.
    let mut spec = node_reading(folder.path(), "serve-0", "");
    if let Program::Ours {
        role: Role::Miner(launch),
        ..
    } = &mut spec.program
    {
        launch.dataset = folder.path().join("missing.qa");
    }
    let missing = place.spawn(&spec).await.expect_err("the file is missing");
    let PlacementError::Start { source, .. } = missing else {
        panic!("{missing:?}");
    };
    assert!(source.to_string().contains("missing.qa"), "{source}");

    // A program that the agent does not have.
    fs::remove_file(folder.path().join("programs/mirror-miner")).expect("it was there");
    let spec = node_reading(folder.path(), "serve-1", "");
    let missing = place.spawn(&spec).await.expect_err("the program is missing");
    let PlacementError::Start { source, .. } = missing else {
        panic!("{missing:?}");
    };
    assert!(source.to_string().contains("mirror-miner"), "{source}");
    // The node was not started, so its name is free.
    assert!(place.inspect("serve-1").is_none());

    let unknown = place.kill("serve-9").await.expect_err("it was never started");
    assert!(matches!(unknown, PlacementError::Unknown { .. }));
    let limits = NodeLimits {
        cpu: Some(0.5),
        ..NodeLimits::default()
    };
    let ended = place.limit("fail-0", &limits).await.expect_err("it has ended");
    assert!(
        matches!(
            ended,
            PlacementError::NotRunning { .. } | PlacementError::Unsupported { .. }
        ),
        "{ended:?}"
    );
    let unplaced = place
        .spawn(&foreign("elsewhere-0", "sleep", &["1"]))
        .await
        .expect_err("no agent runs it");
    assert!(matches!(unplaced, PlacementError::Start { .. }), "{unplaced:?}");
}

#[tokio::test]
async fn only_the_coordinator_of_its_run_has_an_agent() {
    let folder = folder();
    let agent = Agent::start(folder.path(), FIRST);
    let address: SocketAddr = agent.address.into();
    let (place, _exits) = placement(folder.path(), &[("serve-0", address)]);
    let spec = node_reading(folder.path(), "serve-0", "");
    place.spawn(&spec).await.expect("it is started");
    for (caller, run, reason) in [
        ("validator-0", "run", "validator-0"),
        ("coordinator", "another run", "runs the nodes of the run `run`"),
    ] {
        let directory = HashMap::from([("serve-1".to_owned(), Agent::at(address))]);
        let (other, _exits) = Agents::new(
            directory,
            identity(caller),
            run.to_owned(),
            Ipv4Addr::LOCALHOST.into(),
            folder.path().join("other logs"),
        )
        .expect("a folder for logs");
        let spec = node_reading(folder.path(), "serve-1", "");
        let refused = other.spawn(&spec).await.expect_err("it is refused");
        let PlacementError::Start { source, .. } = refused else {
            panic!("{refused:?}");
        };
        assert!(source.to_string().contains(reason), "{caller}: {source}");
    }
}

/// Passes connections on to `target` until `broken` changes, which resets those that are open.
async fn relay(target: SocketAddr, broken: watch::Receiver<u32>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut broken = broken.clone();
            broken.mark_unchanged();
            tokio::spawn(async move {
                let mut to = TcpStream::connect(target).await?;
                tokio::select! {
                    passed = tokio::io::copy_bidirectional(&mut from, &mut to) => passed.map(|_| ()),
                    _ = broken.changed() => Ok(()),
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_session_continues_after_its_connection_breaks() {
    let folder = folder();
    let agent = Agent::start(folder.path(), FIRST);
    let (broken, breaks) = watch::channel(0);
    let through = relay(agent.address.into(), breaks).await;
    let (place, mut exits) = placement(folder.path(), &[("serve-0", through)]);
    let spec = node_reading(folder.path(), "serve-0", "");
    place.spawn(&spec).await.expect("it is started");
    place.ready("serve-0", PATIENCE).await.expect("it is ready");
    for number in 1..=3 {
        broken.send_replace(number);
        // The request is answered over a new connection, if not at once.
        tokio::time::timeout(PATIENCE, async {
            while place.pause("serve-0").await.is_err() || place.resume("serve-0").await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("the session continues");
    }
    assert_eq!(
        place.stop("serve-0", LONG).await.expect("it ends"),
        Status::Code(0)
    );
    assert_eq!(exits.recv().await.expect("an exit").status, Status::Code(0));
    let log = place.logs("serve-0", 1 << 20).expect("a log").0;
    let first_line = "serve-0 in its incarnation 0";
    assert_eq!(
        log.matches(first_line).count(),
        1,
        "no line is there twice: {log}"
    );
}

#[tokio::test]
async fn the_nodes_of_an_agent_that_is_lost_count_as_ended() {
    let folder = folder();
    let agent = Agent::start(folder.path(), FIRST);
    let (place, mut exits) = placement(folder.path(), &[("serve-0", agent.address.into())]);
    let place = place.losing_agents_after(Duration::from_millis(500));
    let spec = node_reading(folder.path(), "serve-0", "");
    place.spawn(&spec).await.expect("it is started");
    place.ready("serve-0", PATIENCE).await.expect("it is ready");
    drop(agent);
    let exit = tokio::time::timeout(PATIENCE, exits.recv())
        .await
        .expect("the loss is noticed")
        .expect("an exit");
    assert_eq!((&*exit.node, exit.status), ("serve-0", Status::Unknown));
    assert_eq!(exit.ended_by, EndedBy::Itself);
    assert!(exit.last_log.0.contains("agent"), "{exit:?}");
    assert_eq!(place.address("serve-0"), None);
}

#[tokio::test]
async fn the_nodes_end_with_their_agent() {
    let folder = folder();
    let agent = Agent::start(folder.path(), FIRST);
    let (place, _exits) = placement(folder.path(), &[("serve-0", agent.address.into())]);
    let spec = node_reading(folder.path(), "serve-0", "");
    place.spawn(&spec).await.expect("it is started");
    place.ready("serve-0", PATIENCE).await.expect("it is ready");
    let folder = agent.folder.clone();
    assert_eq!(logging_below(&folder).len(), 1);
    drop(agent);
    until("its process has ended", || logging_below(&folder).is_empty());
}

/// An agent that is started again has no nodes. The coordinator starts them again there.
#[tokio::test]
async fn the_nodes_of_an_agent_that_is_started_again_are_started_again() {
    let folder = folder();
    let agent = Agent::start(folder.path(), FIRST);
    let address = agent.address;
    let (place, mut exits) = placement(folder.path(), &[("serve-0", address.into())]);
    let spec = node_reading(folder.path(), "serve-0", "");
    place.spawn(&spec).await.expect("it is started");
    place.ready("serve-0", PATIENCE).await.expect("it is ready");
    // An agent that is killed loses what it has not sent.
    let has_line = |place: &Place, line: &str| {
        let log = place.logs("serve-0", 1 << 20);
        log.is_ok_and(|log| log.0.contains(line))
    };
    tokio::time::timeout(PATIENCE, async {
        while !has_line(&place, "serve-0 in its incarnation 0") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the log is sent");
    drop(agent);
    let _again = Agent::start_at(folder.path(), address);
    let exit = tokio::time::timeout(PATIENCE, exits.recv())
        .await
        .expect("the restart is noticed")
        .expect("an exit");
    assert_eq!((exit.incarnation, exit.ended_by), (0, EndedBy::Itself));
    assert_eq!(place.spawn(&spec).await.expect("it is started again"), 1);
    place.ready("serve-0", PATIENCE).await.expect("it is ready");
    assert_eq!(
        place.stop("serve-0", LONG).await.expect("it ends"),
        Status::Code(0)
    );
    let log = place.logs("serve-0", 1 << 20).expect("a log").0;
    for incarnation in [0, 1] {
        let line = format!("serve-0 in its incarnation {incarnation}");
        assert_eq!(log.matches(&line).count(), 1, "{log}");
    }
}

/// The signal comes from the machine of the agent, so the coordinator must learn of the end.
#[tokio::test]
async fn nodes_that_end_with_an_agent_that_is_asked_to_end_have_not_been_stopped_by_the_coordinator() {
    let folder = folder();
    let agent = Agent::start(folder.path(), FIRST);
    let names = ["serve-0", "deaf-0"];
    let (place, mut exits) = placement(folder.path(), &names.map(|name| (name, agent.address.into())));
    let place = place.losing_agents_after(Duration::from_millis(500));
    for name in names {
        let spec = node_reading(folder.path(), name, "");
        place.spawn(&spec).await.expect("it is started");
        place.ready(name, PATIENCE).await.expect("it is ready");
    }
    let pid = Pid::from_raw(agent.process.id().cast_signed()).expect("a process id");
    kill_process(pid, Signal::TERM).expect("it is there");
    for _ in names {
        let exit = tokio::time::timeout(PATIENCE, exits.recv())
            .await
            .expect("the end is noticed")
            .expect("an exit");
        assert_eq!(exit.ended_by, EndedBy::Itself, "{exit:?}");
    }
    until("their processes have ended", || {
        logging_below(&agent.folder).is_empty()
    });
}

/// The end of a node is reported after all of its log, also if that is long.
#[tokio::test]
async fn a_long_log_is_complete_when_its_node_has_ended() {
    const LINES: usize = 300_000;
    let folder = folder();
    let agent = Agent::start(folder.path(), FIRST);
    let (place, mut exits) = placement(folder.path(), &[("seq-0", agent.address.into())]);
    place
        .spawn(&foreign("seq-0", "seq", &[&LINES.to_string()]))
        .await
        .expect("it is started");
    tokio::time::timeout(PATIENCE, exits.recv())
        .await
        .expect("it ends")
        .expect("an exit");
    let log = place.logs("seq-0", 1 << 10).expect("a log").0;
    assert!(log.ends_with(&format!("{LINES}\n")), "{log}");
}
