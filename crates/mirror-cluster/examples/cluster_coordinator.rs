//! A coordinator for tests that kill it. It starts nodes of every kind (one paused, one busy, one foreign program with
//! descendants), prints `started`, and waits. Its argument is the folder for logs.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_cluster::{ForeignProgram, NodeSpec, Placement, Program, Role};
use mirror_spec::AxonSettings;
use mirror_spec::launch::{LogLaunch, MinerLaunch};

const TIMEOUT: Duration = Duration::from_mins(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let logs = PathBuf::from(std::env::args_os().nth(1).context("a folder for logs")?);
    let programs = std::env::current_exe()?;
    let node = programs.with_file_name("cluster_node");
    let binaries = Binaries {
        mirror: programs.with_file_name("cluster_shim"),
        subtensor: node.clone(),
        miner: node.clone(),
        validator: node.clone(),
        proxy: node,
    };
    let (placement, _exits) = LocalProcesses::new(binaries, logs)?;
    for name in ["serve-0", "deaf-0"] {
        placement.spawn(&miner(name)).await?;
        placement.ready(name, TIMEOUT).await?;
    }
    placement.pause("serve-0").await?;
    placement.spawn(&miner("spin-0")).await?;
    while placement.address("spin-0").is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    placement.spawn(&foreign()).await?;
    println!("started");
    // The test ends this program by closing its standard input, or by killing it.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn miner(name: &str) -> NodeSpec {
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
        credentials: mirror_test_support::certificates::credentials(name),
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

/// Returns a foreign program that ignores SIGTERM and has an orphan and children in separate sessions.
fn foreign() -> NodeSpec {
    let script = "trap '' TERM; (setsid sh -c 'sleep 3600 & sleep 3600' &); setsid sleep 3600 & sleep 3600";
    let program = ForeignProgram {
        program: "/bin/sh".to_owned(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
    };
    NodeSpec {
        name: "foreign".to_owned(),
        program: Program::Foreign(program),
    }
}
