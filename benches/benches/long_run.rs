//! Measures whether a step costs the same at the end of a long run as at its beginning: CPU time and memory over a run
//! of 200,000 events, in two halves of ten windows. A cost that rises until something is full rises only in the first
//! half. A cost that grows with the run rises in the second half too.
//!
//! The speed of a machine varies over minutes, so CPU time is compared with a small fixed piece of work that is
//! repeated during the run. Whatever slows both is caused by the machine.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mirror_benches::figures::{self, Slope, WINDOWS};
use mirror_benches::process;
use mirror_benches::run::{Acknowledged, Experiment, Models, Run};

/// Number of measured events, two per step.
const EVENTS: usize = 200_000;

/// Number of steps after the measured events, so that the last measurement does not include the costs of ending the
/// run.
const MORE_STEPS: u64 = 500;

/// Number of windows of the whole run.
const ALL_WINDOWS: usize = 2 * WINDOWS;

/// Timeout of the run.
const LIMIT: Duration = Duration::from_secs(700);

/// Pause between two checks of the progress.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Number of values that the fixed piece of work sorts, which takes about 0.1 ms.
const REFERENCE: u64 = 4_096;

/// Programs whose memory is measured.
const FOLLOWED: [&str; 3] = ["mirror", "mirror-validator", "mirror-subtensor"];

/// A measurement of the processes of the run.
struct Moment {
    events: usize,
    /// Total CPU time of all processes so far.
    cpu: Duration,
    /// Median time of the fixed piece of work since the previous measurement, in seconds.
    reference: f64,
    /// Proportional memory by program, in bytes.
    memory: BTreeMap<&'static str, u64>,
}

fn main() -> anyhow::Result<()> {
    let experiment = Experiment {
        validators: 1,
        miners: 16,
        axons_per_process: 1,
        topk: 10,
        steps: EVENTS as u64 / 2 + MORE_STEPS,
        models: Models::Random,
        traces: "all",
    };
    let started = Instant::now();
    let mut run = experiment.start()?;
    let moments = watch(&mut run, started + LIMIT)?;
    let ended = run.end(LIMIT.saturating_sub(started.elapsed()))?;
    let cpu: Vec<f64> = moments
        .windows(2)
        .map(|ends| {
            let steps = (ends[1].events - ends[0].events) as f64 / 2.0;
            ends[1].cpu.saturating_sub(ends[0].cpu).as_secs_f64() * 1e6 / steps
        })
        .collect();
    let ratios: Vec<f64> = cpu
        .iter()
        .zip(&moments[1..])
        .map(|(cpu, moment)| cpu / (moment.reference * 1e6))
        .collect();
    println!(
        "\n{EVENTS} events in {ALL_WINDOWS} windows, {:.0} steps/s",
        ended.steps_per_second
    );
    tell("CPU time of a step, all processes, µs", &cpu)?;
    tell("the same, relative to the fixed piece of work", &ratios)?;
    for program in FOLLOWED {
        let memory: Vec<f64> = moments[1..]
            .iter()
            .map(|moment| moment.memory.get(program).copied().unwrap_or_default() as f64 / f64::from(1 << 20))
            .collect();
        tell(&format!("memory of {program}, MiB"), &memory)?;
    }
    Ok(())
}

/// Returns the measurements at the beginning and at the end of each window.
fn watch(run: &mut Run, deadline: Instant) -> anyhow::Result<Vec<Moment>> {
    let mut acknowledged = Acknowledged::default();
    let mut moments = Vec::with_capacity(ALL_WINDOWS + 1);
    let mut references = Vec::new();
    while moments.len() <= ALL_WINDOWS {
        ensure!(run.is_running()?, "the run ended before its last event");
        ensure!(Instant::now() < deadline, "the run did not end within {LIMIT:?}");
        let events = acknowledged.count(run)?;
        // The first window begins with the first observed event.
        if events >= (EVENTS / ALL_WINDOWS * moments.len()).max(1) {
            let reference = figures::median(references.drain(..));
            moments.push(Moment::now(run, events, reference)?);
        }
        references.push(fixed_work().as_secs_f64());
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(moments)
}

/// Runs the fixed piece of work and returns its time.
fn fixed_work() -> Duration {
    let started = Instant::now();
    let mut numbers: Vec<u64> = (0..REFERENCE)
        .map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29))
        .collect();
    numbers.sort_unstable();
    black_box(&numbers);
    started.elapsed()
}

impl Moment {
    fn now(run: &Run, events: usize, reference: f64) -> anyhow::Result<Self> {
        let mut moment = Self {
            events,
            cpu: Duration::ZERO,
            reference,
            memory: BTreeMap::new(),
        };
        let mut processes = process::children(run.coordinator())?;
        processes.push(run.coordinator());
        for id in processes {
            moment.cpu += process::cpu_time(id)?;
            let program = process::program(id)?;
            // The kernel truncates names to 15 bytes.
            if let Some(followed) = FOLLOWED
                .iter()
                .find(|followed| followed[..followed.len().min(15)] == program)
            {
                moment.memory.insert(followed, process::proportional_memory(id)?);
            }
        }
        Ok(moment)
    }
}

fn tell(what: &str, windows: &[f64]) -> anyhow::Result<()> {
    println!("{what}:");
    let (first, second) = windows.split_at_checked(WINDOWS).context("a window is missing")?;
    for (half, windows) in [("first", first), ("second", second)] {
        let windows: &[f64; WINDOWS] = windows.try_into().context("a window is missing")?;
        let mean = windows.iter().sum::<f64>() / WINDOWS as f64;
        println!("    {half} half {mean:.1}, rise over it {}", Slope::of(windows));
        println!(
            "        {}",
            windows.map(|window| format!("{window:.1}")).join(" ")
        );
    }
    Ok(())
}
