//! Measures the cost of many miner processes: memory, time until all are ready, and complete runs that start and stop
//! them.

use std::time::{Duration, Instant};

use mirror_benches::bare::Servers;
use mirror_benches::figures::{self, Pair};
use mirror_benches::network::{Data, Network};
use mirror_benches::process;
use mirror_benches::run::{Experiment, Models};

/// Number of miner processes, and how often they are started.
const SIZES: [(u32, usize); 2] = [(256, 3), (1_024, 2)];

/// Timeout of a run.
const LIMIT: Duration = Duration::from_secs(90);

/// The cost of a set of started processes.
struct Started {
    seconds: f64,
    /// Proportional memory per process in MiB, mean over all.
    memory: f64,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir()?;
    let data = Data::prepare(folder.path())?;
    let mut started = Vec::new();
    for (processes, times) in SIZES {
        for _ in 0..times {
            let ours = runtime.block_on(miners(processes, &data))?;
            let reference = runtime.block_on(echoes(processes))?;
            started.push((processes, ours, reference));
        }
    }
    let pairs = |processes: u32, of: fn(&Started) -> f64| -> Vec<Pair> {
        let those = started.iter().filter(|(size, _, _)| *size == processes);
        those
            .map(|(_, ours, reference)| Pair {
                ours: of(ours),
                reference: of(reference),
            })
            .collect()
    };
    figures::head(
        &format!("proportional memory of a process, data {}", data.origin),
        "MiB",
    );
    for (processes, _) in SIZES {
        figures::line(
            &format!("one of {processes} miners"),
            &pairs(processes, |started| started.memory),
        );
    }
    figures::head("time until every process is ready", "seconds");
    for (processes, _) in SIZES {
        figures::line(
            &format!("{processes} miners"),
            &pairs(processes, |started| started.seconds),
        );
    }
    println!("\ncomplete runs, topk 50, 200 steps, one axon per process");
    for (miners, _) in SIZES {
        let before = Instant::now();
        let run = Experiment {
            validators: 1,
            miners,
            axons_per_process: 1,
            topk: 50,
            steps: 200,
            models: Models::Random,
            traces: "all",
        };
        let ended = run.start()?.end(LIMIT)?;
        println!(
            "{miners} miners: exit status 0 and no remaining process after {:.1} s, {:.0} steps/s",
            before.elapsed().as_secs_f64(),
            ended.steps_per_second
        );
    }
    Ok(())
}

async fn miners(count: u32, data: &Data) -> anyhow::Result<Started> {
    let network = Network::start(count, data).await?;
    let before = Instant::now();
    network.start_miners(count).await?;
    let seconds = before.elapsed().as_secs_f64();
    let mut ids = process::children(std::process::id())?;
    ids.retain(|id| process::program(*id).is_ok_and(|program| program == "mirror-miner"));
    let memory = mean_memory(&ids)?;
    network.end(count).await?;
    Ok(Started { seconds, memory })
}

async fn echoes(count: u32) -> anyhow::Result<Started> {
    let before = Instant::now();
    let servers = Servers::start(env!("CARGO_BIN_EXE_bare-echo"), count as usize, 1).await?;
    Ok(Started {
        seconds: before.elapsed().as_secs_f64(),
        memory: mean_memory(&servers.ids())?,
    })
}

fn mean_memory(ids: &[u32]) -> anyhow::Result<f64> {
    let mut sum = 0;
    for id in ids {
        sum += process::proportional_memory(*id)?;
    }
    Ok(sum as f64 / ids.len() as f64 / f64::from(1 << 20))
}
