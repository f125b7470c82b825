//! Measures the training steps per second of complete runs, compared with bare tonic calls that make only the same two
//! fan-outs to ten servers, one after the other.

use std::time::{Duration, Instant};

use mirror_benches::bare::Servers;
use mirror_benches::figures::{self, Pair};
use mirror_benches::run::{Experiment, Models};
use mirror_seed::Seed;
use rand::seq::index;

/// Number of axons that each forward of a step asks.
const TOPK: u32 = 10;

/// Number of miners, axons per process, steps of a run, pairs, and the models.
const NETWORKS: [(u32, u32, u64, usize, Models); 5] = [
    (16, 1, 3_000, 5, Models::Random),
    (1_024, 64, 1_500, 3, Models::Random),
    (1_024, 128, 1_500, 3, Models::Random),
    (16, 1, 2_000, 5, Models::Sequential),
    (1_024, 64, 1_500, 3, Models::Sequential),
];

/// Duration of a measurement of the reference.
const MEASURE: Duration = Duration::from_secs(2);

/// Timeout of a run.
const LIMIT: Duration = Duration::from_mins(1);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    figures::head(
        "training steps, topk 10, compared with the same two fan-outs in bare tonic",
        "steps/s",
    );
    for (miners, axons_per_process, steps, pairs, models) in NETWORKS {
        let experiment = Experiment {
            validators: 1,
            miners,
            axons_per_process,
            topk: TOPK,
            steps,
            models,
            traces: "all",
        };
        let processes = miners / axons_per_process;
        let bare = runtime.block_on(Servers::start(
            env!("CARGO_BIN_EXE_bare-echo"),
            processes as usize,
            axons_per_process as usize,
        ))?;
        let measured: Vec<Pair> = (0..pairs)
            .map(|_| {
                Ok(Pair {
                    ours: experiment.start()?.end(LIMIT)?.steps_per_second,
                    reference: runtime.block_on(two_fan_outs(&bare, miners))?,
                })
            })
            .collect::<anyhow::Result<_>>()?;
        let learning = match models {
            Models::Sequential => ", an LSTM learns",
            Models::Random | Models::TransformerGating | Models::TransformerReward => "",
        };
        figures::line(
            &format!("{miners} miners in {processes} processes{learning}"),
            &measured,
        );
    }
    println!(
        "upstream, which mocks every call inside one process: 320 with 16 uids, 239 with 1,024; with an LSTM that \
         learns and a tokenizer that only splits words, 87 and 74"
    );
    Ok(())
}

/// Returns the steps per second of two consecutive fan-outs without any other work.
async fn two_fan_outs(bare: &Servers, miners: u32) -> anyhow::Result<f64> {
    let mut generator = Seed::root(1).generator();
    let started = Instant::now();
    let mut steps = 0_u64;
    while started.elapsed() < MEASURE {
        for _ in 0..2 {
            let chosen = index::sample(&mut generator, miners as usize, TOPK as usize);
            bare.ask(&chosen.into_vec()).await?;
        }
        steps += 1;
    }
    Ok(steps as f64 / started.elapsed().as_secs_f64())
}
