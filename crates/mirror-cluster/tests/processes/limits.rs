//! Tests of the limits of running nodes, and of what can be seen of a node.

use std::time::{Duration, Instant};

use crate::support::{LONG, PATIENCE, Place, foreign, node, place, until};
use mirror_cluster::local::Cgroups;
use mirror_cluster::{
    Capability, DiskSpace, EndedBy, Liveness, NodeLimits, NodeState, Placement, PlacementError, Status,
};
use rustix::process::{Pid, Signal, kill_process};

/// A time limit that is over before a stopped node answers.
const SHORT: Duration = Duration::from_millis(50);

/// Starts a node and waits until it has reported its address.
async fn start(place: &Place, name: &str) {
    place.placement.spawn(&node(name)).await.unwrap();
    while place.placement.address(name).is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn can(place: &Place, capability: Capability) -> bool {
    let can = place.placement.capabilities().contains(&capability);
    if !can {
        eprintln!("skipped: this machine does not allow {capability:?}");
    }
    can
}

/// Returns the processor time of a node in a period, as a share of it.
async fn share_used(place: &Place, name: &str, period: Duration) -> f64 {
    let used = || place.placement.inspect(name).unwrap().cpu_time;
    let (start, before) = (Instant::now(), used());
    tokio::time::sleep(period).await;
    (used().as_secs_f64() - before.as_secs_f64()) / start.elapsed().as_secs_f64()
}

#[tokio::test]
async fn a_busy_node_uses_its_share_of_a_processor() {
    let place = place();
    if !can(&place, Capability::CpuLimit) {
        return;
    }
    start(&place, "spin-0").await;
    let limits = NodeLimits {
        cpu: Some(0.2),
        ..NodeLimits::default()
    };
    place.placement.limit("spin-0", &limits).await.unwrap();
    assert_eq!(place.placement.inspect("spin-0").unwrap().limits, limits);
    let share = share_used(&place, "spin-0", Duration::from_secs(4)).await;
    assert!((0.15..=0.25).contains(&share), "{share}");
    place
        .placement
        .limit("spin-0", &NodeLimits::default())
        .await
        .unwrap();
    // It uses more again, as soon as there is a processor for it.
    while share_used(&place, "spin-0", Duration::from_millis(500)).await <= 0.25 {}
    place.placement.kill("spin-0").await.unwrap();
}

#[tokio::test]
async fn a_node_that_exceeds_its_memory_limit_is_killed_with_the_reason() {
    const LIMIT: u64 = 128 << 20;
    let mut place = place();
    if !can(&place, Capability::MemoryLimit) {
        return;
    }
    let limits = NodeLimits {
        memory: Some(LIMIT),
        ..NodeLimits::default()
    };
    start(&place, "grow-0").await;
    place.placement.limit("grow-0", &limits).await.unwrap();
    let exit = place.exits.recv().await.unwrap();
    assert_eq!(
        (exit.status, exit.ended_by),
        (Status::MemoryLimit(LIMIT), EndedBy::Itself)
    );
    assert_eq!(
        exit.status.to_string(),
        "was killed by the kernel because it exceeded its memory limit of 134217728 bytes"
    );
    // The next incarnation has no limit, and a kill has another reason.
    start(&place, "grow-0").await;
    assert_eq!(
        place.placement.inspect("grow-0").unwrap().limits,
        NodeLimits::default()
    );
    until("it has grown beyond the limit", || {
        place.placement.inspect("grow-0").unwrap().memory > LIMIT + LIMIT / 4
    });
    let error = place.placement.limit("grow-0", &limits).await.unwrap_err();
    let PlacementError::Limit { source, .. } = error else {
        panic!("{error}")
    };
    assert!(source.to_string().contains("already in use"), "{source}");
    let killed = place.placement.kill("grow-0").await.unwrap();
    assert_eq!(killed, Status::Signal(Signal::KILL.as_raw()));
}

#[tokio::test]
async fn a_node_continues_on_a_full_disk_and_writes_again_when_there_is_space() {
    let place = place();
    start(&place, "write-0").await;
    let log = place.folder.path().join("logs/write-0.log");
    let size = || std::fs::metadata(&log).unwrap().len();
    until("it writes", || size() > 100);
    let full = NodeLimits {
        disk: DiskSpace::Full,
        ..NodeLimits::default()
    };
    for _ in 0..2 {
        place.placement.limit("write-0", &full).await.unwrap();
        let before = size();
        let used = || place.placement.inspect("write-0").unwrap();
        let start = used().cpu_time;
        until("it goes on", || used().cpu_time > start);
        assert_eq!(used().state, NodeState::Running);
        assert_eq!(size(), before);
        place
            .placement
            .limit("write-0", &NodeLimits::default())
            .await
            .unwrap();
        until("it writes again", || size() > before);
    }
    place.placement.kill("write-0").await.unwrap();
}

#[tokio::test]
async fn the_processes_of_a_foreign_program_are_limited() {
    let mut place = place();
    let script = "trap 'exit 9' XFSZ; echo started; while echo more; do sleep 0.01; done; exit 3";
    let spec = foreign("foreign", "/bin/sh", &["-c", script]);
    place.placement.spawn(&spec).await.unwrap();
    until("it writes", || {
        place.placement.logs("foreign", 1_000).unwrap().0.contains("more")
    });
    let full = NodeLimits {
        disk: DiskSpace::Full,
        ..NodeLimits::default()
    };
    place.placement.limit("foreign", &full).await.unwrap();
    let exit = place.exits.recv().await.unwrap();
    assert!(matches!(exit.status, Status::Code(3 | 9)), "{exit:?}");
}

/// A plain folder in place of the control groups has none of their files.
#[tokio::test]
async fn a_limit_that_is_not_allowed_is_refused_by_name() {
    let Place {
        placement,
        exits: _exits,
        folder,
    } = place();
    let mount = format!(
        "1 0 0:1 / {} rw - cgroup cgroup rw,cpu,memory\n",
        folder.path().display()
    );
    let placement = placement.with_cgroups(Cgroups::described_by("1:cpu,memory:/\n", &mount));
    assert!(!placement.capabilities().contains(&Capability::CpuLimit));
    assert!(!placement.capabilities().contains(&Capability::MemoryLimit));
    placement.spawn(&node("serve-0")).await.unwrap();
    let cpu = NodeLimits {
        cpu: Some(0.5),
        ..NodeLimits::default()
    };
    let memory = NodeLimits {
        memory: Some(1 << 30),
        ..NodeLimits::default()
    };
    for (limits, what) in [(cpu, "processor time"), (memory, "memory")] {
        let error = placement.limit("serve-0", &limits).await.unwrap_err();
        assert!(matches!(error, PlacementError::Unsupported { .. }), "{error}");
        let message = error.to_string();
        let file = folder.path().join("cgroup.procs").display().to_string();
        for words in [what, "serve-0", &file, "run as root"] {
            assert!(message.contains(words), "expected `{words}` in: {message}");
        }
    }
    placement.kill("serve-0").await.unwrap();
}

#[tokio::test]
async fn a_node_is_seen_in_each_of_its_states() {
    let place = place();
    assert_eq!(place.placement.inspect("serve-0"), None);
    let seen = || place.placement.inspect("serve-0").unwrap();
    start(&place, "serve-0").await;
    let running = seen();
    assert_eq!(running.state, NodeState::Running);
    assert_eq!(running.address, place.placement.address("serve-0"));
    assert!(running.memory > 1 << 20, "{running:?}");
    let logging = mirror_test_support::logging_below(place.folder.path());
    assert_eq!(running.pid, Some(logging[0].pid));
    place.placement.pause("serve-0").await.unwrap();
    assert_eq!(seen().state, NodeState::Paused);
    place.placement.resume("serve-0").await.unwrap();
    assert_eq!(seen().state, NodeState::Running);
    place.placement.stop("serve-0", LONG).await.unwrap();
    let ended = seen();
    assert_eq!(ended.state, NodeState::Ended(Status::Code(0)));
    assert_eq!((ended.pid, ended.address, ended.memory), (None, None, 0));
    start(&place, "serve-0").await;
    assert_eq!((seen().state, seen().incarnation), (NodeState::Running, 1));
}

#[tokio::test]
async fn repeated_pauses_end_with_one_resume_and_a_paused_node_can_be_killed() {
    let place = place();
    start(&place, "serve-0").await;
    let state = || place.placement.inspect("serve-0").unwrap().state;
    for _ in 0..2 {
        place.placement.pause("serve-0").await.unwrap();
        assert_eq!(state(), NodeState::Paused);
    }
    for _ in 0..2 {
        place.placement.resume("serve-0").await.unwrap();
        assert_eq!(state(), NodeState::Running);
    }
    place.placement.ready("serve-0", PATIENCE).await.unwrap();
    place.placement.pause("serve-0").await.unwrap();
    let killed = place.placement.kill("serve-0").await.unwrap();
    assert_eq!(killed, Status::Signal(Signal::KILL.as_raw()));
    let refused = place.placement.pause("serve-0").await.unwrap_err();
    assert!(matches!(refused, PlacementError::NotRunning { .. }), "{refused}");
}

/// After a pause, one check without a reply is not counted as silence, because the time before it includes the pause.
#[tokio::test]
async fn a_pause_between_two_checks_is_not_silence() {
    let place = place();
    start(&place, "serve-0").await;
    let pid = place.placement.inspect("serve-0").unwrap().pid.unwrap();
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    let check = async || place.placement.check_liveness("serve-0", SHORT).await;
    place.placement.pause("serve-0").await.unwrap();
    place.placement.resume("serve-0").await.unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    // Its threads stop one after the other.
    let mut found = check().await;
    while found == Liveness::Answered {
        place.placement.pause("serve-0").await.unwrap();
        place.placement.resume("serve-0").await.unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        found = check().await;
    }
    assert_eq!(found, Liveness::Paused);
    assert_eq!(check().await, Liveness::Silent);
    // A pause that begins during a check.
    let (found, paused) = futures::join!(check(), place.placement.pause("serve-0"));
    paused.unwrap();
    assert_eq!(found, Liveness::Paused);
    place.placement.kill("serve-0").await.unwrap();
}
