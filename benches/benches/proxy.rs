//! Measures the time that the proxy without rules adds to a small call: health checks of a node, directly and through
//! the proxy in turn.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use mirror_benches::figures;
use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_cluster::{NodeSpec, Placement, Program, Role};
use mirror_net::channel;
use mirror_proto::mirror::v1::ServeTarget;
use mirror_proto::mirror::v1::proxy_client::ProxyClient;
use mirror_spec::launch::{LogLaunch, ProxyLaunch};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Numbers of connections, which are used in turn.
const CONNECTIONS: [usize; 2] = [1, 100];

/// Number of pairs of calls that are not measured, and of those that are.
const WARM_UP: usize = 2_000;
const PAIRS: usize = 30_000;

/// Timeouts of a node's start and of its shutdown.
const READY: Duration = Duration::from_mins(1);
const GRACE: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let programs = Path::new(env!("CARGO_BIN_EXE_bare-echo")).parent();
    let binaries = Binaries::in_folder(programs.context("the programs are in a folder")?);
    let (placement, _exits) = LocalProcesses::new(binaries, folder.path().join("logs"))?;
    // The server is a proxy without targets, because that is the smallest node.
    let server = start(&placement, "server").await?;
    let proxy = start(&placement, "proxy").await?;
    let target = ServeTarget {
        name: "server".to_owned(),
        address: server.to_string(),
    };
    let reply = ProxyClient::new(channel::lazy(proxy)).serve(target).await?;
    let through_proxy: SocketAddr = reply.into_inner().address.parse()?;

    println!("\na health check, directly and through the proxy, in microseconds");
    println!(
        "{:<24} {:>10} {:>10} {:>16} {:>10} {:>10}",
        "", "direct p50", "proxy p50", "difference (p50)", "direct p99", "proxy p99"
    );
    for connections in CONNECTIONS {
        let clients = |address| (0..connections).map(move |_| HealthClient::new(channel::lazy(address)));
        let (direct, proxied): (Vec<_>, Vec<_>) =
            (clients(server).collect(), clients(through_proxy).collect());
        let (mut direct_times, mut proxied_times) = (Vec::new(), Vec::new());
        for pair in 0..WARM_UP + PAIRS {
            let connection = pair % connections;
            let times = (
                check(&direct[connection]).await?,
                check(&proxied[connection]).await?,
            );
            if pair >= WARM_UP {
                direct_times.push(times.0);
                proxied_times.push(times.1);
            }
        }
        let medians = [&direct_times, &proxied_times].map(|times| figures::median(times.iter().copied()));
        println!(
            "{:<24} {:>10.1} {:>10.1} {:>16.1} {:>10.1} {:>10.1}",
            format!("connections: {connections}"),
            medians[0],
            medians[1],
            medians[1] - medians[0],
            p99(&mut direct_times),
            p99(&mut proxied_times)
        );
    }
    for node in ["proxy", "server"] {
        placement.stop(node, GRACE).await?;
    }
    Ok(())
}

async fn start(placement: &LocalProcesses, name: &str) -> anyhow::Result<SocketAddr> {
    let node = NodeSpec {
        name: name.to_owned(),
        program: Program::Ours {
            log: LogLaunch::pretty("warn"),
            seed: 1,
            credentials: mirror_test_support::certificates::credentials(name),
            clock_skew: 0.0,
            telemetry: None,
            profiles: None,
            role: Role::Proxy(ProxyLaunch {}),
        },
    };
    placement.spawn(&node).await?;
    Ok(placement.ready(name, READY).await?)
}

/// Returns the duration of a call in microseconds.
async fn check(client: &HealthClient<Channel>) -> anyhow::Result<f64> {
    let started = Instant::now();
    client.clone().check(HealthCheckRequest::default()).await?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}

fn p99(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN)
}
