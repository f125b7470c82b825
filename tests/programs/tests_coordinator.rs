//! A coordinator for tests that kill it. It starts and pauses a chain, starts a node that is busy in libtorch and a
//! foreign program with descendants, prints `started`, and waits.
//!
//! Its arguments are a folder for logs and state, and the folder of the project's programs.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_cluster::{ForeignProgram, NodeSpec, Placement, Program, Role};
use mirror_spec::launch::{GenesisLaunch, LogLaunch, MinerLaunch, SubtensorLaunch};
use mirror_spec::{AxonSettings, BlockTime, ChainPreset};

const TIMEOUT: Duration = Duration::from_mins(1);

/// Number of bytes of a log that are read.
const LOG: u64 = 4 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().context("a folder for logs and state")?;
    let programs = arguments.next().context("the folder of the project's programs")?;
    let busy = std::env::current_exe()?.with_file_name("busy_in_libtorch");
    let binaries = Binaries {
        miner: busy,
        ..Binaries::in_folder(&programs)
    };
    let (placement, _exits) = LocalProcesses::new(binaries, folder.join("logs"))?;
    placement
        .spawn(&ours("subtensor", chain(folder.join("state"))))
        .await?;
    placement.ready("subtensor", TIMEOUT).await?;
    placement.pause("subtensor").await?;
    placement.spawn(&ours("busy", busy_node())).await?;
    while !placement.logs("busy", LOG)?.0.contains("busy\n") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    placement.spawn(&family()).await?;
    println!("started");
    // The test kills this program.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn ours(name: &str, role: Role) -> NodeSpec {
    let program = Program::Ours {
        log: LogLaunch::pretty("info"),
        seed: 7,
        credentials: mirror_test_support::certificates::credentials(name),
        clock_skew: 0.0,
        telemetry: None,
        profiles: None,
        role,
    };
    NodeSpec {
        name: name.to_owned(),
        program,
    }
}

/// Returns a chain without registered neurons.
fn chain(state: PathBuf) -> Role {
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
    Role::Subtensor(Box::new(SubtensorLaunch {
        state,
        genesis,
        block_time: BlockTime::PerStep,
        barrier: Vec::new(),
        coordinator: None,
        snapshot_blocks: 1,
    }))
}

/// Returns the launch config of the busy node, which ignores it.
fn busy_node() -> Role {
    Role::Miner(MinerLaunch {
        axons: Vec::new(),
        settings: AxonSettings::default(),
        dataset: PathBuf::new(),
        base_prompt: String::new(),
        question_prompt: String::new(),
        subtensor: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        first_block: None,
        time_scale: 1.0,
        num_nodes: 0,
        proxy: None,
        rules: Vec::new(),
        injections: Vec::new(),
    })
}

/// Returns a shell that ignores SIGTERM, with an orphan and children in separate sessions: four commands that sleep.
fn family() -> NodeSpec {
    let script =
        "trap '' TERM; (setsid sh -c 'sleep 3600 & sleep 3600; :' &); setsid sleep 3600 & sleep 3600; :";
    let program = ForeignProgram {
        program: "/bin/sh".to_owned(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
    };
    NodeSpec {
        name: "family".to_owned(),
        program: Program::Foreign(program),
    }
}
