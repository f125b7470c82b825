//! Shared helpers of the tests: a placement of test programs, and access to the process table.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_cluster::{Exit, ForeignProgram, NodeSpec, Program, Role};
use mirror_spec::launch::{GenesisLaunch, LogLaunch, MinerLaunch, SubtensorLaunch};
use mirror_spec::{AxonSettings, BlockTime, ChainPreset};
use mirror_test_support::{Process, eventually, logging_below};
use tokio::sync::mpsc;

/// Timeout of events that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A grace period that never expires in a test.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// Returns the path of a program that is built with the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let built = test
        .ancestors()
        .nth(2)
        .expect("tests are in a subfolder of the target folder");
    built.join("examples").join(name)
}

pub(crate) fn binaries() -> Binaries {
    let node = program("cluster_node");
    Binaries {
        mirror: program("cluster_shim"),
        subtensor: node.clone(),
        miner: node.clone(),
        validator: node.clone(),
        proxy: node,
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

/// Returns a node that behaves as the first word of its name specifies.
pub(crate) fn node(name: &str) -> NodeSpec {
    let launch = MinerLaunch {
        axons: Vec::new(),
        settings: AxonSettings::default(),
        dataset: PathBuf::new(),
        base_prompt: String::new(),
        question_prompt: String::new(),
        subtensor: SocketAddr::from(([127, 0, 0, 1], 1)),
        first_block: None,
        time_scale: 1.0,
        num_nodes: 0,
        proxy: None,
        rules: Vec::new(),
        injections: Vec::new(),
    };
    let program = Program::Ours {
        log: LogLaunch::pretty("info"),
        seed: 7,
        credentials: mirror_test_support::certificates::credentials("subtensor"),
        clock_skew: 0.0,
        telemetry: None,
        profiles: None,
        role: Role::Miner(launch),
    };
    NodeSpec {
        name: name.to_owned(),
        program,
    }
}

/// Returns such a node as the chain, without registered neurons.
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
        coordinator: None,
        snapshot_blocks: 1,
    };
    let program = Program::Ours {
        log: LogLaunch::pretty("info"),
        seed: 7,
        credentials: mirror_test_support::certificates::credentials("subtensor"),
        clock_skew: 0.0,
        telemetry: None,
        profiles: None,
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

/// Waits until exactly `processes` processes log below `folder`, of which `sleeping` run the command `sleep`.
#[track_caller]
pub(crate) fn all_started(folder: &Path, processes: usize, sleeping: usize) -> Vec<Process> {
    eventually("all processes are started", || {
        let all = logging_below(folder);
        let asleep = all.iter().filter(|process| process.program == "sleep").count();
        (all.len() == processes && asleep == sleeping).then_some(all)
    })
}

/// Returns the current state of those processes that are still alive.
pub(crate) fn remaining(processes: &[Process]) -> Vec<Process> {
    processes.iter().filter_map(Process::now).collect()
}

/// Polls until a condition holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}
