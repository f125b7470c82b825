//! The resources that a running process uses, from `/proc`.

use std::fs;
use std::ops::AddAssign;
use std::time::Duration;

use rustix::process::Pid;

use crate::shim;

/// Used resources.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Resident memory in bytes.
    pub(super) memory: u64,
    pub(super) cpu_time: Duration,
}

/// Returns the resources that a process uses, and for a foreign program those of all processes below the shim.
pub(super) fn usage(pid: u32, foreign: bool) -> Usage {
    let Some(pid) = Pid::from_raw(pid.cast_signed()) else {
        return Usage::default();
    };
    let mut usage = of(pid).unwrap_or_default();
    if foreign {
        for pid in shim::below(pid).unwrap_or_default() {
            usage += of(pid).unwrap_or_default();
        }
    }
    usage
}

/// Returns the resources that one process uses. `None` if it has ended.
fn of(pid: Pid) -> Option<Usage> {
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    let ticks = ticks_in(&String::from_utf8_lossy(&stat))?;
    let pages: u64 = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_pid()))
        .ok()?
        .split_ascii_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Some(Usage {
        memory: pages * rustix::param::page_size() as u64,
        cpu_time: Duration::from_secs_f64(seconds),
    })
}

/// Parses the processor time of a process, in user and kernel mode, in its `stat`: fields 14 and 15. The name before
/// is in parentheses and may contain any character.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    user.checked_add(kernel)
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.memory += other.memory;
        self.cpu_time += other.cpu_time;
    }
}
