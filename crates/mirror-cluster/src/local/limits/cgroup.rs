//! Control groups of Linux, version 1 or 2, whichever has the controller.
//!
//! A group is made for each limited node and removed with it. In version 1 it is a child of the group of this process.
//! In version 2, only groups without processes may have children with controllers, so it is next to the group of this
//! process, unless that already distributes the controller or is the root.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::Pid;

/// Period in microseconds in which the share of a processor is measured, the kernel's default.
const PERIOD: u64 = 100_000;

/// Minimum running time in a period in microseconds. The kernel accepts no less.
const MIN_QUOTA: u64 = 1_000;

/// Prefix of the names of groups, which continue with the id of this process and the name of the node.
const PREFIX: &str = "mirror-";

/// Maximum number of attempts to remove a group, and the pause between them. A process that has just ended can still
/// count as a member.
const REMOVAL: (u32, Duration) = (10, Duration::from_millis(2));

/// The control groups that this process may make.
#[derive(Debug, Clone)]
pub struct Cgroups {
    cpu: Result<Controller, String>,
    memory: Result<Controller, String>,
}

/// A group below which groups of nodes can be made for one controller.
#[derive(Debug, Clone)]
pub(crate) struct Controller {
    name: &'static str,
    version: Version,
    parent: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// A control group. It is removed when this value is dropped.
#[derive(Debug)]
pub(super) struct Group {
    version: Version,
    folder: PathBuf,
}

/// A limit could not be set.
#[derive(Debug, thiserror::Error)]
pub(super) enum LimitError {
    #[error("{0}")]
    Refused(String),
    #[error("cannot create the control group {}: {source}", folder.display())]
    Create { folder: PathBuf, source: io::Error },
    #[error("cannot write `{value}` to {}: {source}", file.display())]
    Write {
        file: PathBuf,
        value: String,
        source: io::Error,
    },
    #[error("a share of {0} of a processor is out of range: expected at least 0.01")]
    Share(f64),
    #[error("the limit of {limit} bytes of memory is below the {used} bytes that are already in use")]
    InUse { limit: u64, used: u64 },
}

impl Cgroups {
    /// Determines which groups this process may make, without making any.
    pub fn of_this_process() -> Self {
        match (
            fs::read_to_string("/proc/self/cgroup"),
            fs::read_to_string("/proc/self/mountinfo"),
        ) {
            (Ok(membership), Ok(mounts)) => Self::described_by(&membership, &mounts),
            (Err(error), _) => Self::none(&format!("cannot read /proc/self/cgroup: {error}")),
            (_, Err(error)) => Self::none(&format!("cannot read /proc/self/mountinfo: {error}")),
        }
    }

    /// Determines which groups a process may make: `membership` is the content of its `/proc/PID/cgroup`, and `mounts`
    /// that of `/proc/PID/mountinfo`.
    pub fn described_by(membership: &str, mounts: &str) -> Self {
        Self {
            cpu: Controller::find("cpu", membership, mounts),
            memory: Controller::find("memory", membership, mounts),
        }
    }

    fn none(reason: &str) -> Self {
        Self {
            cpu: Err(reason.to_owned()),
            memory: Err(reason.to_owned()),
        }
    }

    /// Returns the reason why shares of a processor cannot be limited, if they cannot.
    pub(crate) fn no_cpu(&self) -> Option<&str> {
        self.cpu.as_ref().err().map(String::as_str)
    }

    /// Returns the reason why memory cannot be limited, if it cannot.
    pub(crate) fn no_memory(&self) -> Option<&str> {
        self.memory.as_ref().err().map(String::as_str)
    }

    pub(super) fn cpu(&self) -> Result<&Controller, LimitError> {
        self.cpu
            .as_ref()
            .map_err(|reason| LimitError::Refused(reason.clone()))
    }

    pub(super) fn memory(&self) -> Result<&Controller, LimitError> {
        self.memory
            .as_ref()
            .map_err(|reason| LimitError::Refused(reason.clone()))
    }

    /// Removes the groups of processes that have ended.
    pub(crate) fn remove_stale(&self) {
        for controller in [&self.cpu, &self.memory].into_iter().flatten() {
            let Ok(entries) = fs::read_dir(&controller.parent) else {
                continue;
            };
            for entry in entries.flatten() {
                let stale = entry.file_name().to_str().and_then(owner).is_some_and(|pid| {
                    rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
                });
                if stale && let Err(error) = fs::remove_dir(entry.path()) {
                    tracing::debug!(%error, group = %entry.path().display(), "cannot remove an old control group");
                }
            }
        }
    }
}

/// Returns the process that made a group of this name.
fn owner(group: &str) -> Option<Pid> {
    let (pid, _node) = group.strip_prefix(PREFIX)?.split_once('-')?;
    Pid::from_raw(pid.parse().ok()?)
}

/// Returns the name of the groups of a node of this process.
pub(crate) fn group_name(node: &str) -> String {
    format!("{PREFIX}{}-{node}", std::process::id())
}

impl Default for Cgroups {
    /// No control groups.
    fn default() -> Self {
        Self::none("no control groups were looked for")
    }
}

impl Controller {
    fn find(name: &'static str, membership: &str, mounts: &str) -> Result<Self, String> {
        if let Some(folder) = v1_folder(name, membership, mounts) {
            writable(&folder)?;
            return Ok(Self {
                name,
                version: Version::V1,
                parent: folder,
            });
        }
        let Some((mount, folder)) = v2_folder(membership, mounts) else {
            return Err(format!(
                "no control groups with the controller `{name}` are mounted"
            ));
        };
        let controllers = folder.join("cgroup.controllers");
        if !lists(&controllers, name) {
            return Err(format!(
                "{} does not list the controller `{name}`: run as root, or in a group to which it is delegated \
                 (`systemd-run --user --scope --property=Delegate=yes`)",
                controllers.display()
            ));
        }
        // The parent distributes the controller, because this group has it. The root may do so despite its processes.
        let distributes = lists(&folder.join("cgroup.subtree_control"), name);
        let parent = match folder.parent() {
            Some(parent) if !distributes && folder != mount => parent.to_owned(),
            Some(_) | None => folder,
        };
        writable(&parent)?;
        Ok(Self {
            name,
            version: Version::V2,
            parent,
        })
    }

    /// Makes the group of this name.
    pub(super) fn group(&self, name: &str) -> Result<Group, LimitError> {
        let control = self.parent.join("cgroup.subtree_control");
        if self.version == Version::V2 && !lists(&control, self.name) {
            write(&control, &format!("+{}", self.name))?;
        }
        let folder = self.parent.join(name);
        match fs::create_dir(&folder) {
            Ok(()) => {}
            // The group of the other controller of version 2.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(LimitError::Create { folder, source }),
        }
        Ok(Group {
            version: self.version,
            folder,
        })
    }
}

/// Checks that groups can be made below `folder` and that processes of it can be moved there.
fn writable(folder: &Path) -> Result<(), String> {
    for file in [folder.to_owned(), folder.join("cgroup.procs")] {
        if let Err(error) = rustix::fs::access(&file, Access::WRITE_OK) {
            return Err(format!(
                "cannot write to {}: {error}: run as root, or in a control group that belongs to this user",
                file.display()
            ));
        }
    }
    Ok(())
}

fn lists(file: &Path, controller: &str) -> bool {
    let listed = fs::read_to_string(file).unwrap_or_default();
    listed.split_ascii_whitespace().any(|name| name == controller)
}

/// Returns the folder of the group of version 1 that has the controller.
fn v1_folder(controller: &str, membership: &str, mounts: &str) -> Option<PathBuf> {
    let group = membership.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let group = fields.next()?;
        controllers
            .split(',')
            .any(|name| name == controller)
            .then_some(group)
    })?;
    let mount = mounts.lines().filter_map(Mount::parse).find(|mount| {
        mount.kind == "cgroup" && mount.options.split(',').any(|option| option == controller)
    })?;
    mount.folder_of(group)
}

/// Returns the mount point of version 2 and the folder of the group there.
fn v2_folder(membership: &str, mounts: &str) -> Option<(PathBuf, PathBuf)> {
    let group = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts
        .lines()
        .filter_map(Mount::parse)
        .find(|mount| mount.kind == "cgroup2")?;
    Some((mount.point.into(), mount.folder_of(group)?))
}

/// A line of `/proc/PID/mountinfo`.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let mut kind = kind.split(' ');
        Some(Self {
            root: place.next()?,
            point: place.next()?,
            kind: kind.next()?,
            options: kind.nth(1)?,
        })
    }

    /// Returns the folder of a group, if it is below the mounted part of the hierarchy.
    fn folder_of(&self, group: &str) -> Option<PathBuf> {
        let below = Path::new(group).strip_prefix(self.root).ok()?;
        let point = Path::new(self.point);
        // Joining an empty path would append a separator.
        Some(if below.as_os_str().is_empty() {
            point.to_owned()
        } else {
            point.join(below)
        })
    }
}

impl Group {
    /// Moves processes into the group. The processes that they start later belong to it too.
    pub(super) fn admit(&self, processes: &[Pid]) -> Result<(), LimitError> {
        for pid in processes {
            let moved = write(&self.folder.join("cgroup.procs"), &pid.as_raw_pid().to_string());
            match moved {
                Err(LimitError::Write { source, .. })
                    if source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                moved => moved?,
            }
        }
        Ok(())
    }

    /// Limits the share of one processor. `None` lifts the limit.
    pub(super) fn limit_cpu(&self, share: Option<f64>) -> Result<(), LimitError> {
        let quota = share.map(|share| {
            let quota = (share * PERIOD as f64).round();
            if (MIN_QUOTA as f64..=f64::from(u32::MAX)).contains(&quota) {
                Ok(quota as u64)
            } else {
                Err(LimitError::Share(share))
            }
        });
        let quota = quota.transpose()?;
        match self.version {
            Version::V1 => {
                self.write("cpu.cfs_period_us", &PERIOD.to_string())?;
                self.write("cpu.cfs_quota_us", &or(quota, "-1"))
            }
            Version::V2 => self.write("cpu.max", &format!("{} {PERIOD}", or(quota, "max"))),
        }
    }

    /// Limits memory, including swap, in bytes. `None` lifts the limit.
    pub(super) fn limit_memory(&self, bytes: Option<u64>) -> Result<(), LimitError> {
        let (limit, swap, unlimited) = match self.version {
            Version::V1 => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "-1"),
            Version::V2 => ("memory.max", "memory.swap.max", "max"),
        };
        let has_swap = self.folder.join(swap).exists();
        if has_swap {
            // In version 1, the limit of memory with swap is never below the one without.
            self.write(swap, unlimited)?;
        }
        self.write(limit, &or(bytes, unlimited))?;
        match (self.version, bytes) {
            (Version::V1, Some(bytes)) if has_swap => self.write(swap, &bytes.to_string()),
            (Version::V2, Some(_)) if has_swap => self.write(swap, "0"),
            (Version::V1 | Version::V2, _) => Ok(()),
        }
    }

    /// Returns the number of processes that the kernel killed because the group exceeded its memory limit.
    pub(super) fn killed_for_memory(&self) -> u64 {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let counts = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let count = counts
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "))
            .and_then(|count| count.trim().parse().ok());
        count.unwrap_or_default()
    }

    fn write(&self, file: &str, value: &str) -> Result<(), LimitError> {
        write(&self.folder.join(file), value)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let (attempts, pause) = REMOVAL;
        for _ in 0..attempts {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(pause),
                // In version 2, the groups of both controllers are the same.
                Ok(()) | Err(_) => return,
            }
        }
        tracing::debug!(group = %self.folder.display(), "the control group of a node that ended is left for a later run");
    }
}

fn or(value: Option<u64>, unlimited: &str) -> String {
    value.map_or_else(|| unlimited.to_owned(), |value| value.to_string())
}

/// Writes to an existing file of the kernel.
fn write(file: &Path, value: &str) -> Result<(), LimitError> {
    let written = OpenOptions::new()
        .write(true)
        .open(file)
        .and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|source| LimitError::Write {
        file: file.to_owned(),
        value: value.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "mirror-1-validator-0";

    /// A folder that imitates a mounted hierarchy of version 2, whose files are plain files, with a group `scope` that
    /// this process is in. It shows which files are written with which values, not that a kernel accepts them.
    struct Imitated {
        folder: tempfile::TempDir,
    }

    impl Imitated {
        fn new(controllers: &str, subtree_control: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let group = folder.path().join(format!("slice/{NODE}"));
            fs::create_dir_all(&group).unwrap();
            fs::create_dir_all(folder.path().join("slice/scope")).unwrap();
            let imitated = Self { folder };
            imitated.file("slice/cgroup.procs", "");
            imitated.file("slice/cgroup.subtree_control", controllers);
            imitated.file("slice/scope/cgroup.procs", "7\n");
            imitated.file("slice/scope/cgroup.controllers", controllers);
            imitated.file("slice/scope/cgroup.subtree_control", subtree_control);
            for file in ["cgroup.procs", "cpu.max", "memory.max", "memory.swap.max"] {
                imitated.file(&format!("slice/{NODE}/{file}"), "");
            }
            imitated.file(
                &format!("slice/{NODE}/memory.events"),
                "low 0\noom 3\noom_kill 2\n",
            );
            imitated
        }

        fn file(&self, name: &str, content: &str) {
            fs::write(self.folder.path().join(name), content).unwrap();
        }

        fn read(&self, file: &str) -> String {
            fs::read_to_string(self.folder.path().join(format!("slice/{NODE}/{file}"))).unwrap()
        }

        fn cgroups(&self) -> Cgroups {
            let mount = format!(
                "41 31 0:38 / {} rw shared:4 - cgroup2 cgroup2 rw\n",
                self.folder.path().display()
            );
            Cgroups::described_by("0::/slice/scope\n", &mount)
        }
    }

    #[test]
    fn limits_of_version_2_are_written_next_to_the_group_of_this_process() {
        let imitated = Imitated::new("cpu io memory\n", "");
        let cgroups = imitated.cgroups();
        let group = cgroups.cpu().unwrap().group(NODE).unwrap();
        group.limit_cpu(Some(0.25)).unwrap();
        assert_eq!(imitated.read("cpu.max"), "25000 100000");
        imitated.file(&format!("slice/{NODE}/cpu.max"), "");
        group.limit_cpu(None).unwrap();
        assert_eq!(imitated.read("cpu.max"), "max 100000");
        let group = cgroups.memory().unwrap().group(NODE).unwrap();
        group.limit_memory(Some(1 << 20)).unwrap();
        assert_eq!(imitated.read("memory.max"), "1048576");
        group.admit(&[Pid::from_raw(4_711).unwrap()]).unwrap();
        assert_eq!(imitated.read("cgroup.procs"), "4711");
        assert_eq!(group.killed_for_memory(), 2);
    }

    #[test]
    fn a_missing_controller_of_version_2_is_named() {
        let cgroups = Imitated::new("io memory\n", "").cgroups();
        let reason = cgroups.no_cpu().expect("there is no such controller");
        assert!(
            reason.contains("cgroup.controllers does not list the controller `cpu`"),
            "{reason}"
        );
        assert_eq!(cgroups.no_memory(), None);
    }

    #[test]
    fn a_share_out_of_range_is_refused() {
        let imitated = Imitated::new("cpu\n", "");
        let group = imitated.cgroups().cpu().unwrap().group(NODE).unwrap();
        for share in [0.0, -1.0, 0.001, f64::NAN, f64::INFINITY] {
            assert!(
                matches!(group.limit_cpu(Some(share)), Err(LimitError::Share(_))),
                "{share}"
            );
        }
    }

    #[test]
    fn the_folder_of_a_group_is_below_the_mounted_part() {
        let mounts = "1 0 0:1 /docker/a /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpuacct,cpu\n";
        let folder = |group: &str| v1_folder("cpu", &format!("3:cpu,cpuacct:{group}\n"), mounts);
        assert_eq!(folder("/docker/a"), Some("/sys/fs/cgroup/cpu,cpuacct".into()));
        assert_eq!(folder("/docker/a/b"), Some("/sys/fs/cgroup/cpu,cpuacct/b".into()));
        assert_eq!(folder("/docker/other"), None);
    }

    #[test]
    fn only_groups_of_this_program_have_an_owner() {
        assert_eq!(owner("mirror-12-validator-0"), Pid::from_raw(12));
        for name in [
            "mirror-12",
            "mirror-x-validator-0",
            "12-validator-0",
            "mirror-0-a",
        ] {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
