//! What the kernel knows of processes: whose children they are, their CPU time and their memory.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// A process as the kernel lists it.
struct Listed {
    id: u32,
    parent: u32,
    ticks: u64,
}

/// Processes that `parent` started and that are there.
pub fn children(parent: u32) -> anyhow::Result<Vec<u32>> {
    let all = fs::read_dir("/proc").context("cannot list the processes")?;
    let ids = all
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A process that is gone by now is nobody's child.
    let listed = ids.filter_map(|id| listed(id).ok());
    Ok(listed
        .filter(|listed| listed.parent == parent)
        .map(|listed| listed.id)
        .collect())
}

/// Processes whose environment has `entry`, `NAME=VALUE`. They carry it from whoever started them, across whatever came
/// between.
pub fn with_environment(entry: &str) -> anyhow::Result<Vec<u32>> {
    let all = fs::read_dir("/proc").context("cannot list the processes")?;
    let has_entry = |id: &u32| {
        let environment = fs::read(format!("/proc/{id}/environ"));
        // A process that is gone by now, or somebody else's, has not got it.
        environment.is_ok_and(|bytes| {
            bytes
                .split(|byte| *byte == 0)
                .any(|found| found == entry.as_bytes())
        })
    };
    Ok(all
        .filter_map(Result::ok)
        .filter_map(|file| file.file_name().to_str()?.parse().ok())
        .filter(has_entry)
        .collect())
}

/// The name of a process's program, at most 15 bytes of it.
pub fn program(id: u32) -> anyhow::Result<String> {
    Ok(fs::read_to_string(format!("/proc/{id}/comm"))?.trim().to_owned())
}

/// CPU time that a process has used, its own and the kernel's on its behalf.
pub fn cpu_time(id: u32) -> anyhow::Result<Duration> {
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(
        listed(id)?.ticks as f64 / ticks_per_second as f64,
    ))
}

/// Proportional memory of a process, bytes: shared pages count by how many share them.
pub fn proportional_memory(id: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{id}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB"))
        .with_context(|| format!("{path} has no Pss line"))?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// A line of `/proc/ID/stat`. The name in it may hold anything, so numbers count from its last bracket.
fn listed(id: u32) -> anyhow::Result<Listed> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, numbers) = stat.rsplit_once(')').context("a process without a name")?;
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    let number = |field: usize| -> anyhow::Result<u64> {
        // The state, which follows the name, is field 3.
        Ok(numbers.get(field - 3).context("a short line")?.parse()?)
    };
    Ok(Listed {
        id,
        parent: number(4)? as u32,
        ticks: number(14)? + number(15)?,
    })
}
