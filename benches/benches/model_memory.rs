//! Measures the memory of a validator with each model, and whether it grows: runs of 10,000 steps, in ten windows.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mirror_benches::figures::{self, Slope, WINDOWS};
use mirror_benches::process;
use mirror_benches::run::{Acknowledged, Experiment, Models, Run};

/// Number of steps of a run, with two events each.
const STEPS: u64 = 10_000;

/// Timeout of a run.
const LIMIT: Duration = Duration::from_mins(5);

/// Pause between two checks of the progress.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The name of the validator's program, as truncated by the kernel.
const VALIDATOR: &str = "mirror-validato";

fn main() -> anyhow::Result<()> {
    println!("\nmemory of a validator over {STEPS} steps, MiB");
    println!(
        "{:<34} {:>10}   {:<36} steps/s",
        "", "median", "rise over the run"
    );
    for models in Models::ALL {
        let experiment = Experiment {
            validators: 1,
            miners: 16,
            axons_per_process: 16,
            topk: 10,
            steps: STEPS,
            models,
            traces: "all",
        };
        let mut run = experiment.start()?;
        let memory = watch(&mut run, Instant::now() + LIMIT)?;
        let ended = run.end(LIMIT)?;
        println!(
            "{:<34} {:>10.1}   {:<36} {:.0}",
            models.words(),
            figures::median(memory.iter().copied()),
            Slope::of(&memory).to_string(),
            ended.steps_per_second
        );
    }
    Ok(())
}

/// Returns the validator's memory in the middle of each window, in MiB.
fn watch(run: &mut Run, deadline: Instant) -> anyhow::Result<[f64; WINDOWS]> {
    let mut acknowledged = Acknowledged::default();
    let mut memory = [0.0; WINDOWS];
    for (window, found) in memory.iter_mut().enumerate() {
        let middle = (2 * window + 1) * STEPS as usize / WINDOWS;
        while acknowledged.count(run)? < middle {
            ensure!(run.is_running()?, "the run ended before its last event");
            ensure!(Instant::now() < deadline, "the run did not end within {LIMIT:?}");
            std::thread::sleep(LOOK_AGAIN);
        }
        *found = validators_memory(run)?;
    }
    Ok(memory)
}

fn validators_memory(run: &Run) -> anyhow::Result<f64> {
    for id in process::children(run.coordinator())? {
        if process::program(id)? == VALIDATOR {
            return Ok(process::proportional_memory(id)? as f64 / f64::from(1 << 20));
        }
    }
    None.context("the run has no validator")
}
