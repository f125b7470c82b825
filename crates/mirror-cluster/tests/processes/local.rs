//! Tests of nodes as processes of this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use crate::support::{
    LONG, PATIENCE, Place, all_started, binaries, chain, foreign, node, place, place_with, program,
    remaining, until,
};
use mirror_cluster::fleet::{start_all, stop_in_order};
use mirror_cluster::local::Binaries;
use mirror_cluster::{EndedBy, Exit, LastLog, Liveness, Placement, PlacementError, Status};
use mirror_test_support::{Process, logging_below};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

const KILLED: Status = Status::Signal(Signal::KILL.as_raw());

/// A grace period that is over before a test notices.
const SHORT: Duration = Duration::from_millis(50);

async fn start(place: &Place, name: &str) {
    place.placement.spawn(&node(name)).await.unwrap();
    place.placement.ready(name, PATIENCE).await.unwrap();
}

/// A cancelled start leaves neither a node of that name nor a process. This program ignores its lifeline and the death
/// of its parent.
#[tokio::test]
async fn a_cancelled_start_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hanger_on = folder.path().join("hanger-on");
    fs::write(&hanger_on, "#!/bin/sh\nexec sleep 3600\n").unwrap();
    fs::set_permissions(&hanger_on, fs::Permissions::from_mode(0o755)).unwrap();
    let place = place_with(Binaries {
        miner: hanger_on,
        ..binaries()
    });
    let cut_short = node("cut-short");
    {
        let mut spawning = pin!(place.placement.spawn(&cut_short));
        assert!(futures::poll!(&mut spawning).is_pending());
    }
    // Processes are started one after the other, so the first has been started when the second starts.
    place.placement.spawn(&node("whole")).await.unwrap();
    until("one process is left", || {
        logging_below(place.folder.path()).len() == 1
    });
    place.placement.kill("whole").await.unwrap();
    assert!(logging_below(place.folder.path()).is_empty());
}

#[tokio::test]
async fn a_node_is_started_and_asked_to_end() {
    let mut place = place();
    start(&place, "serve-0").await;
    assert!(place.placement.address("serve-0").is_some());
    assert_eq!(
        place.placement.stop("serve-0", LONG).await.unwrap(),
        Status::Code(0)
    );
    assert_eq!(place.placement.address("serve-0"), None);
    let exit = place.exits.recv().await.unwrap();
    assert_eq!((exit.node.as_str(), exit.incarnation), ("serve-0", 0));
    assert_eq!(
        (exit.status, exit.ended_by),
        (Status::Code(0), EndedBy::Placement)
    );
    assert_eq!(
        place.placement.stop("serve-0", LONG).await.unwrap(),
        Status::Code(0),
        "a repeated stop is not an error"
    );
}

#[tokio::test]
async fn a_node_that_ignores_the_request_to_stop_is_killed() {
    let place = place();
    start(&place, "deaf-0").await;
    assert_eq!(place.placement.stop("deaf-0", SHORT).await.unwrap(), KILLED);
}

#[tokio::test]
async fn a_paused_node_is_not_ready_until_it_is_resumed() {
    let place = place();
    start(&place, "serve-0").await;
    place.placement.pause("serve-0").await.unwrap();
    let error = place
        .placement
        .ready("serve-0", Duration::from_secs(3))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("accepts connections"), "{error}");
    place.placement.resume("serve-0").await.unwrap();
    place.placement.ready("serve-0", PATIENCE).await.unwrap();
}

/// The main thread of `spin-0` is permanently busy. Its thread for health checks is not, until the process is stopped.
#[tokio::test]
async fn a_busy_node_is_alive_and_a_stopped_one_is_silent() {
    let place = place();
    place.placement.spawn(&node("spin-0")).await.unwrap();
    while place.placement.address("spin-0").is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let pid = logging_below(place.folder.path())[0].pid;
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    let check = async |deadline| place.placement.check_liveness("spin-0", deadline).await;
    assert_eq!(check(PATIENCE).await, Liveness::Answered);
    kill_process(pid, Signal::STOP).unwrap();
    // Its threads stop one after the other.
    while check(SHORT).await == Liveness::Answered {}
    assert_eq!(check(SHORT).await, Liveness::Silent);
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!(check(PATIENCE).await, Liveness::Answered);
    place.placement.kill("spin-0").await.unwrap();
    assert_eq!(check(PATIENCE).await, Liveness::Unwatched);
}

#[tokio::test]
async fn no_answer_is_expected_of_a_node_that_was_paused_on_purpose() {
    let place = place();
    start(&place, "serve-0").await;
    let check = async || place.placement.check_liveness("serve-0", PATIENCE).await;
    place.placement.pause("serve-0").await.unwrap();
    assert_eq!(check().await, Liveness::Paused);
    place.placement.resume("serve-0").await.unwrap();
    assert_eq!(check().await, Liveness::Answered);
}

#[tokio::test]
async fn the_chain_keeps_its_address_when_it_is_started_again() {
    let place = place();
    let chain = chain("serve-chain");
    place.placement.spawn(&chain).await.unwrap();
    let first = place.placement.ready("serve-chain", PATIENCE).await.unwrap();
    for _ in 0..3 {
        place.placement.kill("serve-chain").await.unwrap();
        // No server answers there in the meantime, and a socket that does not allow reuse cannot bind the address.
        let other = TcpSocket::new_v4().unwrap();
        assert!(other.bind(first).is_err(), "another socket could bind {first}");
        let refused = std::net::TcpStream::connect(first).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        place.placement.spawn(&chain).await.unwrap();
        assert_eq!(
            place.placement.ready("serve-chain", PATIENCE).await.unwrap(),
            first
        );
    }
}

#[tokio::test]
async fn a_paused_node_is_stopped_in_order() {
    let place = place();
    start(&place, "serve-0").await;
    place.placement.pause("serve-0").await.unwrap();
    assert_eq!(
        place.placement.stop("serve-0", LONG).await.unwrap(),
        Status::Code(0)
    );
}

#[tokio::test]
async fn a_node_that_never_serves_times_out_and_its_log_can_be_read() {
    let place = place();
    place.placement.spawn(&node("mute-0")).await.unwrap();
    let error = place
        .placement
        .ready("mute-0", Duration::from_secs(1))
        .await
        .unwrap_err();
    assert!(matches!(error, PlacementError::NotReady { .. }), "{error}");
    until("its log", || {
        place.placement.logs("mute-0", 1000).unwrap() != LastLog::default()
    });
    place.placement.kill("mute-0").await.unwrap();
}

#[tokio::test]
async fn a_node_that_fails_immediately_is_reported_with_its_reason() {
    let mut place = place();
    place.placement.spawn(&node("fail-0")).await.unwrap();
    let error = place.placement.ready("fail-0", PATIENCE).await.unwrap_err();
    let PlacementError::Ended { status, last_log, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(status, Status::Code(1));
    assert!(
        last_log.0.contains("fail-0: its name requests a failure"),
        "{last_log}"
    );
    let exit = place.exits.recv().await.unwrap();
    assert_eq!((exit.ended_by, exit.last_log), (EndedBy::Itself, last_log));
}

#[tokio::test]
async fn a_program_that_exits_without_output_is_reported() {
    let place = place_with(Binaries {
        miner: PathBuf::from("/bin/false"),
        ..binaries()
    });
    place.placement.spawn(&node("miner-0")).await.unwrap();
    let error = place.placement.ready("miner-0", PATIENCE).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "miner-0 exited with status 1 before it was ready; its log is empty"
    );
}

#[tokio::test]
async fn a_program_that_is_missing_is_named() {
    let place = place_with(Binaries {
        miner: PathBuf::from("/nowhere/mirror-miner"),
        ..binaries()
    });
    let error = place.placement.spawn(&node("miner-0")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start miner-0 from /nowhere/mirror-miner"
    );
}

#[tokio::test]
async fn a_program_that_prints_something_else_is_reported() {
    for chatterer in [PathBuf::from("/usr/bin/yes"), program("cluster_flood")] {
        let place = place_with(Binaries {
            miner: chatterer,
            ..binaries()
        });
        place.placement.spawn(&node("miner-0")).await.unwrap();
        let error = place.placement.ready("miner-0", PATIENCE).await.unwrap_err();
        let PlacementError::BadHandshake { written, .. } = error else {
            panic!("{error}")
        };
        assert!((1..=200).contains(&written.len()), "{written}");
        place.placement.kill("miner-0").await.unwrap();
    }
}

#[tokio::test]
async fn a_node_is_started_again_under_its_name() {
    let mut place = place();
    start(&place, "serve-0").await;
    let error = place.placement.spawn(&node("serve-0")).await.unwrap_err();
    assert!(matches!(error, PlacementError::Running { .. }), "{error}");
    assert_eq!(place.placement.kill("serve-0").await.unwrap(), KILLED);
    start(&place, "serve-0").await;
    place.placement.stop("serve-0", LONG).await.unwrap();
    let incarnations = [
        place.exits.recv().await.unwrap(),
        place.exits.recv().await.unwrap(),
    ]
    .map(|exit| exit.incarnation);
    assert_eq!(incarnations, [0, 1]);
    let log = place.placement.logs("serve-0", 1000).unwrap().0;
    assert!(
        log.contains("incarnation 0") && log.contains("incarnation 1"),
        "{log}"
    );
}

#[tokio::test]
async fn each_node_has_its_own_loopback_address_in_all_its_incarnations() {
    let place = place();
    let source = |node| place.placement.source(node).map(|source| source.to_string());
    assert_eq!(source("serve-0"), None);
    start(&place, "serve-0").await;
    let port = ["--port", "{port}"];
    let program = program("cluster_node");
    let foreign = foreign("foreign-0", program.to_str().unwrap(), &port);
    place.placement.spawn(&foreign).await.unwrap();
    place.placement.spawn(&chain("serve-chain")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(source("serve-0").as_deref(), Some("127.1.0.1"));
        assert_eq!(source("foreign-0").as_deref(), Some("127.0.0.1"));
        assert_eq!(source("serve-chain").as_deref(), Some("127.1.0.3"));
        for node in ["serve-0", "foreign-0", "serve-chain"] {
            let address = place.placement.ready(node, PATIENCE).await.unwrap();
            assert_eq!(Some(address.ip()), place.placement.source(node), "{node}");
        }
        place.placement.kill("serve-0").await.unwrap();
        place.placement.spawn(&node("serve-0")).await.unwrap();
    }
}

#[tokio::test]
async fn names_that_are_paths_are_refused() {
    let place = place();
    for name in ["", "../serve", "serve/0", ".", &"s".repeat(65)] {
        let error = place.placement.spawn(&node(name)).await.unwrap_err();
        assert!(matches!(error, PlacementError::Name { .. }), "{error}");
    }
}

#[tokio::test]
async fn nodes_that_are_not_there_are_named() {
    let place = place();
    let error = place.placement.kill("serve-0").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no node `serve-0`");
    start(&place, "serve-0").await;
    place.placement.kill("serve-0").await.unwrap();
    let error = place.placement.pause("serve-0").await.unwrap_err();
    assert_eq!(error.to_string(), "serve-0 is not running");
}

#[tokio::test]
async fn waves_are_stopped_one_after_the_other() {
    let mut place = place();
    let nodes = ["serve-validator", "serve-miner-0", "serve-miner-1", "serve-chain"];
    let addresses = start_all(&place.placement, &nodes.map(node), PATIENCE)
        .await
        .unwrap();
    assert_eq!(addresses[3], place.placement.address("serve-chain").unwrap());
    let waves = [vec![nodes[0]], vec![nodes[1], nodes[2]], vec![nodes[3]]];
    let waves = waves.map(|wave| wave.into_iter().map(str::to_owned).collect());
    let failures = stop_in_order(&place.placement, &waves, LONG, &CancellationToken::new()).await;
    assert!(failures.is_empty(), "{failures:?}");
    let mut order = Vec::new();
    for _ in nodes {
        let Exit { node, status, .. } = place.exits.recv().await.unwrap();
        assert_eq!(status, Status::Code(0));
        order.push(node);
    }
    assert_eq!(
        (order[0].as_str(), order[3].as_str()),
        ("serve-validator", "serve-chain")
    );
}

#[tokio::test]
async fn cancelling_now_kills_nodes_that_do_not_stop() {
    let place = place();
    start(&place, "deaf-0").await;
    start(&place, "deaf-1").await;
    let now = CancellationToken::new();
    let waves = [vec!["deaf-0".to_owned()], vec!["deaf-1".to_owned()]];
    let (failures, ()) = tokio::join!(stop_in_order(&place.placement, &waves, LONG, &now), async {
        tokio::task::yield_now().await;
        now.cancel();
    });
    assert!(failures.is_empty(), "{failures:?}");
}

#[tokio::test]
async fn nothing_outlives_its_placement() {
    let Place {
        placement,
        mut exits,
        folder,
    } = place();
    let sleeper = foreign("foreign", "/bin/sh", &["-c", "setsid sleep 3600 & sleep 3600"]);
    for spec in [node("spin-0"), node("deaf-0"), node("deaf-1"), sleeper] {
        placement.spawn(&spec).await.unwrap();
    }
    placement.ready("deaf-0", PATIENCE).await.unwrap();
    placement.ready("deaf-1", PATIENCE).await.unwrap();
    placement.pause("deaf-1").await.unwrap();
    // The shim, the shell, two sleeping processes, and three nodes.
    let all = all_started(folder.path(), 7, 2);
    drop(placement);
    for _ in 0..4 {
        exits.recv().await.unwrap();
    }
    assert_eq!(remaining(&all), []);
    drop(folder);
}

/// Starts a foreign program with grandchildren in separate sessions, one of them orphaned, that ignore SIGTERM.
async fn start_family(place: &Place) -> Vec<Process> {
    let stubborn = "trap '' TERM; (setsid sh -c 'sleep 3600 & sleep 3600' &); setsid sleep 3600 & sleep 3600";
    place
        .placement
        .spawn(&foreign("foreign", "/bin/sh", &["-c", stubborn]))
        .await
        .unwrap();
    // The shim, the shell, the shell of the orphans with its two children, and two more sleeping processes.
    all_started(place.folder.path(), 7, 4)
}

#[tokio::test]
async fn stopping_a_foreign_program_ends_its_descendants() {
    let place = place();
    let family = start_family(&place).await;
    place.placement.stop("foreign", SHORT).await.unwrap();
    assert_eq!(remaining(&family), []);
}

#[tokio::test]
async fn pausing_a_foreign_program_pauses_its_descendants() {
    let place = place();
    let family = start_family(&place).await;
    let stopped = || {
        remaining(&family)
            .iter()
            .filter(|process| process.stopped)
            .count()
    };
    place.placement.pause("foreign").await.unwrap();
    until("all processes but the shim are stopped", || stopped() == 6);
    place.placement.resume("foreign").await.unwrap();
    until("all processes run again", || stopped() == 0);
    place.placement.kill("foreign").await.unwrap();
    assert_eq!(remaining(&family), []);
}

#[tokio::test]
async fn the_exit_status_of_a_foreign_program_is_reported() {
    let mut place = place();
    let cases = [
        ("exit 3", Status::Code(3)),
        ("kill -9 $$", Status::Code(137)),
        ("sleep 3600 & exit 0", Status::Code(0)),
    ];
    for (script, status) in cases {
        place
            .placement
            .spawn(&foreign("foreign", "/bin/sh", &["-c", script]))
            .await
            .unwrap();
        let exit = place.exits.recv().await.unwrap();
        assert_eq!(
            (exit.status, exit.ended_by),
            (status, EndedBy::Itself),
            "{script}"
        );
    }
}

#[tokio::test]
async fn a_foreign_program_can_handle_the_request_to_stop() {
    let place = place();
    let script = "trap 'exit 5' TERM; echo trapped; while :; do sleep 0.01; done";
    place
        .placement
        .spawn(&foreign("foreign", "/bin/sh", &["-c", script]))
        .await
        .unwrap();
    until("the trap", || {
        place
            .placement
            .logs("foreign", 100)
            .unwrap()
            .0
            .contains("trapped")
    });
    assert_eq!(
        place.placement.stop("foreign", LONG).await.unwrap(),
        Status::Code(5)
    );
}

#[tokio::test]
async fn a_foreign_program_that_is_missing_is_named() {
    let place = place();
    place
        .placement
        .spawn(&foreign("foreign", "/nowhere/miner", &[]))
        .await
        .unwrap();
    let error = place.placement.ready("foreign", PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("cannot run /nowhere/miner"), "{error}");
}

#[tokio::test]
async fn a_foreign_server_without_health_checking_is_ready_when_it_answers() {
    let place = place();
    let server = program("cluster_node").display().to_string();
    place
        .placement
        .spawn(&foreign("foreign", &server, &["--port", "{port}"]))
        .await
        .unwrap();
    let address = place.placement.ready("foreign", PATIENCE).await.unwrap();
    let found = place.placement.check_liveness("foreign", PATIENCE).await;
    assert_eq!(found, Liveness::Unwatched);
    assert_eq!(Some(address), place.placement.address("foreign"));
    place.placement.kill("foreign").await.unwrap();
}
