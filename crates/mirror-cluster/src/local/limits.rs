//! The limits of one running process and of all processes below it.
//!
//! Shares of a processor and memory are limited by control groups ([`cgroup`]). A full disk is imitated by the limit on
//! the size of files: every write to a file fails with EFBIG ("file too large"), not with ENOSPC as on a disk that is
//! full, also one that would not make the file longer. Writes by memory mapping are not affected. A program without a
//! handler of SIGXFSZ is ended by its first write; the nodes of this project have one.

pub(super) mod cgroup;

use std::fs;
use std::io;

use rustix::process::{Pid, Resource, Rlimit};

use self::cgroup::{Cgroups, Group, LimitError};
use crate::{DiskSpace, NodeLimits};

/// Kibibytes in the unit of `/proc/PID/status`.
const KIB: u64 = 1024;

/// The limits that are in effect for one process.
#[derive(Debug, Default)]
pub(super) struct ProcessLimits {
    cpu: Option<Group>,
    memory: Option<MemoryGroup>,
    disk: DiskSpace,
}

/// The group that limits memory.
#[derive(Debug)]
struct MemoryGroup {
    group: Group,
    /// Memory in bytes that the process had before it joined the group, for which the kernel does not charge the group.
    before: u64,
    /// The limit in bytes. `None` if it was lifted.
    limit: Option<u64>,
}

impl ProcessLimits {
    /// Replaces the limits of `processes`. `group` is the name of their control groups.
    pub(super) fn replace(
        &mut self,
        cgroups: &Cgroups,
        group: &str,
        processes: &[Pid],
        limits: &NodeLimits,
    ) -> io::Result<()> {
        self.replace_cpu(cgroups, group, processes, limits.cpu)
            .and_then(|()| self.replace_memory(cgroups, group, processes, limits.memory))
            .map_err(io::Error::other)?;
        self.replace_disk(processes, limits.disk)
    }

    fn replace_cpu(
        &mut self,
        cgroups: &Cgroups,
        name: &str,
        processes: &[Pid],
        share: Option<f64>,
    ) -> Result<(), LimitError> {
        if self.cpu.is_none() && share.is_some() {
            self.cpu = Some(cgroups.cpu()?.group(name)?);
        }
        let Some(group) = &self.cpu else {
            return Ok(());
        };
        group.limit_cpu(share)?;
        group.admit(processes)
    }

    fn replace_memory(
        &mut self,
        cgroups: &Cgroups,
        name: &str,
        processes: &[Pid],
        limit: Option<u64>,
    ) -> Result<(), LimitError> {
        let before = match &self.memory {
            Some(memory) => memory.before,
            None => processes.iter().map(|pid| anonymous_memory(*pid)).sum(),
        };
        let charged = limit.map(|limit| {
            limit
                .checked_sub(before)
                .filter(|rest| *rest > 0)
                .ok_or(LimitError::InUse { limit, used: before })
        });
        let charged = charged.transpose()?;
        if self.memory.is_none() && limit.is_some() {
            self.memory = Some(MemoryGroup {
                group: cgroups.memory()?.group(name)?,
                before,
                limit: None,
            });
        }
        let Some(memory) = &mut self.memory else {
            return Ok(());
        };
        memory.group.limit_memory(charged)?;
        memory.limit = limit;
        memory.group.admit(processes)
    }

    fn replace_disk(&mut self, processes: &[Pid], disk: DiskSpace) -> io::Result<()> {
        if disk == self.disk {
            return Ok(());
        }
        // The processes have inherited the limit of this one.
        let own = rustix::process::getrlimit(Resource::Fsize);
        let limit = match disk {
            DiskSpace::Unlimited => own,
            DiskSpace::Full => Rlimit {
                current: Some(0),
                ..own
            },
        };
        for pid in processes {
            match rustix::process::prlimit(Some(*pid), Resource::Fsize, limit) {
                // The process ended in the meantime.
                Ok(_) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.disk = disk;
        Ok(())
    }

    /// Returns the memory limit in bytes if the kernel killed a process because of it.
    pub(super) fn exceeded_memory(&self) -> Option<u64> {
        let memory = self.memory.as_ref()?;
        memory.limit.filter(|_| memory.group.killed_for_memory() > 0)
    }
}

/// Returns the memory of a process in bytes that belongs to it alone. 0 if it has ended.
fn anonymous_memory(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap_or_default();
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * KIB
}
