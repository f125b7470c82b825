//! What the tests of this crate share: a placement of test programs, and a look at the table of processes.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_cluster::{Exit, ForeignProgram, NodeSpec, Program, Role};
use mirror_spec::launch::{GenesisLaunch, MinerLaunch, SubtensorLaunch};
use mirror_spec::{BlockTime, ChainPreset};
use tokio::sync::mpsc;

/// Longest wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A grace that never runs out in a test.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// A program that is built with the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let built = test
        .ancestors()
        .nth(2)
        .expect("tests lie in a folder of the target folder");
    built.join("examples").join(name)
}

pub(crate) fn binaries() -> Binaries {
    let node = program("cluster_node");
    Binaries {
        mirror: program("cluster_shim"),
        subtensor: node.clone(),
        miner: node.clone(),
        validator: node,
    }
}

pub(crate) struct Place {
    pub(crate) placement: LocalProcesses,
    pub(crate) exits: mpsc::Receiver<Exit>,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn place_with(binaries: Binaries) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (placement, exits) = LocalProcesses::new(binaries, folder.path().join("logs")).unwrap();
    Place {
        placement,
        exits,
        folder,
    }
}

pub(crate) fn place() -> Place {
    place_with(binaries())
}

/// A node that behaves as the first word of its name says.
pub(crate) fn node(name: &str) -> NodeSpec {
    let launch = MinerLaunch {
        axons: Vec::new(),
        dataset: PathBuf::new(),
        base_prompt: String::new(),
        question_prompt: String::new(),
        subtensor: SocketAddr::from(([127, 0, 0, 1], 1)),
        first_block: None,
        time_scale: 1.0,
    };
    let program = Program::Ours {
        log: "info".to_owned(),
        seed: 7,
        role: Role::Miner(launch),
    };
    NodeSpec {
        name: name.to_owned(),
        program,
    }
}

/// The same as the chain, on which nobody is registered.
pub(crate) fn chain(name: &str) -> NodeSpec {
    let genesis = GenesisLaunch {
        netuid: 1,
        block: 1,
        rules: ChainPreset::Small,
        hyperparameters: BTreeMap::new(),
        owner: None,
        neurons: Vec::new(),
        nominations: Vec::new(),
        balances: Vec::new(),
    };
    let launch = SubtensorLaunch {
        state: PathBuf::new(),
        genesis,
        block_time: BlockTime::PerStep,
        barrier: Vec::new(),
        holds: Vec::new(),
        coordinator: None,
        snapshot_blocks: 1,
    };
    let program = Program::Ours {
        log: "info".to_owned(),
        seed: 7,
        role: Role::Subtensor(Box::new(launch)),
    };
    NodeSpec {
        name: name.to_owned(),
        program,
    }
}

pub(crate) fn foreign(name: &str, program: &str, arguments: &[&str]) -> NodeSpec {
    let foreign = ForeignProgram {
        program: program.to_owned(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
    };
    NodeSpec {
        name: name.to_owned(),
        program: Program::Foreign(foreign),
    }
}

/// A process, told apart from a later one of the same number by when it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    pub(crate) started: String,
    pub(crate) name: String,
    pub(crate) stopped: bool,
}

/// Every process that is alive; one that only waits to be reaped is not.
fn running() -> Vec<Running> {
    let entries = fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let pids = entries.filter_map(|name| name.to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let (before, after) = stat.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let alive = !matches!(fields[0], "Z" | "X");
        let started = fields[19].to_owned();
        alive.then(|| Running {
            pid,
            started,
            name,
            stopped: fields[0] == "T",
        })
    })
    .collect()
}

/// All that a placement started which keeps its logs below `folder`, and all that came of it.
pub(crate) fn logging_to(folder: &Path) -> Vec<Running> {
    let log = |process: &Running| fs::read_link(format!("/proc/{}/fd/2", process.pid));
    running()
        .into_iter()
        .filter(|process| log(process).is_ok_and(|log| log.starts_with(folder)))
        .collect()
}

/// Waits for a number of processes that log to `folder`, so many of them sleeping commands: those come last.
#[track_caller]
pub(crate) fn all_started(folder: &Path, processes: usize, sleeping: usize) -> Vec<Running> {
    let mut all = Vec::new();
    eventually("all processes are started", || {
        all = logging_to(folder);
        all.len() == processes && all.iter().filter(|process| process.name == "sleep").count() == sleeping
    });
    all
}

/// Those that are still alive.
pub(crate) fn remaining(processes: &[Running]) -> Vec<Running> {
    let same = |a: &Running, b: &Running| a.pid == b.pid && a.started == b.started;
    running()
        .into_iter()
        .filter(|process| processes.iter().any(|other| same(process, other)))
        .collect()
}

/// Looks again and again until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
