//! The kernel's information about processes: parents, CPU time and memory.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// A process in the kernel's list.
struct Listed {
    id: u32,
    parent: u32,
    ticks: u64,
}

/// Returns the running processes that `parent` started.
pub fn children(parent: u32) -> anyhow::Result<Vec<u32>> {
    let all = fs::read_dir("/proc").context("cannot list the processes")?;
    let ids = all
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A process that has ended in the meantime is skipped.
    let listed = ids.filter_map(|id| listed(id).ok());
    Ok(listed
        .filter(|listed| listed.parent == parent)
        .map(|listed| listed.id)
        .collect())
}

/// Returns the processes whose environment contains `entry`, in the form `NAME=VALUE`. Processes inherit it from their
/// ancestors.
pub fn with_environment(entry: &str) -> anyhow::Result<Vec<u32>> {
    let all = fs::read_dir("/proc").context("cannot list the processes")?;
    let has_entry = |id: &u32| {
        let environment = fs::read(format!("/proc/{id}/environ"));
        // The environment of a process that has ended, or that belongs to another user, cannot be read.
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

/// Returns the name of a process's program, at most 15 bytes.
pub fn program(id: u32) -> anyhow::Result<String> {
    Ok(fs::read_to_string(format!("/proc/{id}/comm"))?.trim().to_owned())
}

/// Returns the CPU time of a process in user and kernel mode.
pub fn cpu_time(id: u32) -> anyhow::Result<Duration> {
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(
        listed(id)?.ticks as f64 / ticks_per_second as f64,
    ))
}

/// Returns the proportional memory of a process in bytes: a shared page is divided by the number of processes that
/// share it.
pub fn proportional_memory(id: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{id}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB"))
        .with_context(|| format!("{path} has no Pss line"))?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// Returns the largest resident memory that a process has had, in bytes.
pub fn peak_memory(id: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{id}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"))
        .with_context(|| format!("{path} has no VmHWM line"))?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// Parses `/proc/ID/stat`. The name in it may contain any character, so fields are counted from its closing
/// parenthesis.
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
