//! Measures what a network costs by the number of its uids and of its validators: steps and calls per second, and the
//! largest memory of each kind of process. All miners are in one process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mirror_benches::process;
use mirror_benches::run::{Experiment, Models};

/// Numbers of uids and of validators.
const NETWORKS: [(u32, u32); 6] = [(16, 1), (256, 1), (4_096, 1), (16, 4), (4_096, 4), (4_096, 16)];

/// Number of steps.
const STEPS: u64 = 100;

/// Number of axons that a forward asks. A step has two forwards.
const TOPK: u32 = 10;

/// Timeout of a run.
const LIMIT: Duration = Duration::from_mins(10);

/// Pause between two measurements of the memory.
const PAUSE: Duration = Duration::from_millis(20);

/// The programs whose memory is measured, as the kernel truncates their names, with their headings.
const PROGRAMS: [(&str, &str); 4] = [
    ("mirror-miner", "miners"),
    ("mirror-validato", "a validator"),
    ("mirror-subtenso", "chain"),
    ("mirror", "coordinator"),
];

fn main() -> anyhow::Result<()> {
    print!(
        "\n{:>6} {:>10} {:>9} {:>10} {:>8}",
        "uids", "validators", "steps/s", "calls/s", "whole s"
    );
    for (_, heading) in PROGRAMS {
        print!(" {heading:>12}");
    }
    println!("   (largest memory, MiB)");
    for (miners, validators) in NETWORKS {
        let experiment = Experiment {
            validators,
            miners,
            axons_per_process: miners,
            topk: TOPK,
            steps: STEPS,
            models: Models::Random,
            traces: "off",
        };
        let started = Instant::now();
        let mut run = experiment.start()?;
        let mut peaks: BTreeMap<u32, (String, u64)> = BTreeMap::new();
        while run.is_running()? {
            let mut processes = process::children(run.coordinator())?;
            processes.push(run.coordinator());
            for id in processes {
                // A process that has ended in the meantime keeps its last measurement.
                if let (Ok(program), Ok(memory)) = (process::program(id), process::peak_memory(id)) {
                    peaks.insert(id, (program, memory));
                }
            }
            std::thread::sleep(PAUSE);
        }
        let ended = run.end(LIMIT)?;
        let calls = ended.steps_per_second * f64::from(2 * TOPK * validators);
        print!(
            "{miners:>6} {validators:>10} {:>9.1} {calls:>10.0} {:>8.1}",
            ended.steps_per_second,
            started.elapsed().as_secs_f64()
        );
        for (program, _) in PROGRAMS {
            let of_program = peaks.values().filter(|(name, _)| name == program);
            let largest = of_program.map(|(_, memory)| memory >> 20).max().unwrap_or(0);
            print!(" {largest:>12}");
        }
        println!();
    }
    Ok(())
}
