//! Starts many nodes that only answer health checks, and prints how long it took until all were ready and until all had
//! stopped. The number of nodes is the argument, 256 by default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mirror_cluster::fleet::{start_all, stop_in_order};
use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_cluster::{NodeSpec, Program, Role};
use mirror_spec::AxonSettings;
use mirror_spec::launch::{LogLaunch, MinerLaunch};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(256), |count| count.parse())?;
    let node = std::env::current_exe()?.with_file_name("cluster_node");
    let binaries = Binaries {
        mirror: node.clone(),
        subtensor: node.clone(),
        miner: node.clone(),
        validator: node.clone(),
        proxy: node,
    };
    let logs = tempfile::tempdir()?;
    let (placement, _exits) = LocalProcesses::new(binaries, logs.path().to_owned())?;
    let nodes: Vec<NodeSpec> = (0..count).map(miner).collect();

    let started = Instant::now();
    start_all(&placement, &nodes, Duration::from_mins(1)).await?;
    println!("{count} nodes ready after {:?}", started.elapsed());

    let stopped = Instant::now();
    let wave = nodes.into_iter().map(|node| node.name).collect();
    let failures = stop_in_order(
        &placement,
        &[wave],
        Duration::from_secs(5),
        &CancellationToken::new(),
    )
    .await;
    println!(
        "stopped after {:?}, {} failures",
        stopped.elapsed(),
        failures.len()
    );
    Ok(())
}

fn miner(index: u32) -> NodeSpec {
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
        credentials: mirror_test_support::certificates::credentials("miner-0"),
        clock_skew: 0.0,
        telemetry: None,
        profiles: None,
        role: Role::Miner(launch),
    };
    NodeSpec {
        name: format!("serve-{index}"),
        program,
    }
}
