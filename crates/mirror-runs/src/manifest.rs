//! `manifest.json`: what a run is, where it ran, how it ended and what it contains.

use std::collections::BTreeMap;
use std::fs;
use std::thread;

use mirror_journal::{Loss, Missing};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::directory::NewRun;
use crate::error::RunError;
use crate::files;
use crate::layout::Layout;

/// The format that this version writes, and the newest format that it reads.
const FORMAT: u64 = 1;

/// Maximum size of a manifest in bytes. Larger files are rejected.
const LARGEST: u64 = 4 << 20;

/// Description of a run and of its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    format: u64,
    /// Id of the run, which is the name of its directory.
    pub id: String,
    /// Name of the experiment.
    pub experiment: String,
    /// State as last written. A run with the state `running` whose lock is not held was interrupted.
    pub state: State,
    /// Random seed of the run.
    pub seed: u64,
    /// Time of creation in UTC: `2026-11-23T10:45:02Z`.
    pub created: String,
    /// Time of the end in UTC. `None` if the run is in progress or its coordinator was killed.
    pub finished: Option<String>,
    /// Kind of work, as named by the user.
    pub job_type: String,
    /// Name of the group to which the run belongs.
    pub group: Option<String>,
    /// Words by which the run can be found.
    pub tags: Vec<String>,
    /// Notes of the user.
    pub notes: Option<String>,
    /// Versions of the programs and libraries of the run.
    pub versions: BTreeMap<String, String>,
    /// The machine on which the run was executed.
    pub host: Host,
    /// Contents of the run, counted at its end.
    pub counts: Counts,
    /// Number of records in the journal when the run ended. `None` if the run is in progress or its coordinator was
    /// killed, in which case the end of the journal cannot be checked.
    #[serde(default)]
    pub records: Option<u64>,
}

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The run is in progress.
    Running,
    /// The run is complete.
    Done,
    /// The run failed.
    Failed,
    /// The run's coordinator was killed, or the user stopped the run.
    Interrupted,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The run is complete.
    Done,
    /// The run failed.
    Failed,
    /// The run was stopped, or its coordinator was killed.
    Interrupted,
}

impl State {
    /// Returns the state as a word, as in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Ended> for State {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Done => Self::Done,
            Ended::Failed => Self::Failed,
            Ended::Interrupted => Self::Interrupted,
        }
    }
}

/// Properties of the machine that explain a run's measurements. None of them identifies the owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Operating system: `linux`.
    pub os: String,
    /// Release of the kernel. `None` if it is unknown.
    pub kernel: Option<String>,
    /// Processor architecture: `x86_64`.
    pub architecture: String,
    /// Number of threads that can run in parallel. `None` if it is unknown.
    pub cores: Option<usize>,
    /// Size of the memory in bytes. `None` if it is unknown.
    pub memory: Option<u64>,
}

impl Host {
    /// Returns the properties of this machine.
    pub fn observe() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            kernel: proc_file("/proc/sys/kernel/osrelease").map(|release| release.trim().to_owned()),
            architecture: std::env::consts::ARCH.to_owned(),
            // If the system does not report the number, it is documented as unknown.
            cores: thread::available_parallelism().ok().map(Into::into),
            memory: proc_file("/proc/meminfo").as_deref().and_then(total_memory),
        }
    }
}

/// Reads a file of `/proc`. Returns `None` on systems without these files, on which the property is unknown.
fn proc_file(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Contents of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Number of rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Number of records that were received repeatedly and not written again. `None` after an interruption.
    pub duplicates: Option<u64>,
    /// Number of records of a kind unknown to the version that finished the run. They are in no table.
    pub skipped: u64,
    /// Number of bytes of an incomplete record that was being written when the coordinator exited. It was not
    /// acknowledged.
    pub torn_bytes: u64,
    /// Parts of the journal that could not be read when the run was recovered. Their records are in no table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// Number of further losses, which are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub further_losses: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Returns whether records are missing, or may be missing, because the journal was damaged.
    pub fn has_gaps(&self) -> bool {
        self.further_losses > 0 || self.losses.iter().any(|loss| loss.missing() != Missing::Nothing)
    }
}

/// Job type of a run that was imported from event logs.
pub const IMPORT: &str = "import";

impl Manifest {
    /// Returns whether the run was imported from event logs.
    pub fn is_imported(&self) -> bool {
        self.job_type == IMPORT
    }

    /// Creates the manifest of a run that starts on this machine.
    pub(crate) fn begin(id: String, created: OffsetDateTime, run: &NewRun) -> Self {
        Self {
            format: FORMAT,
            id,
            experiment: run.experiment.clone(),
            state: State::Running,
            seed: run.seed,
            created: timestamp(created),
            finished: None,
            job_type: run.job_type.clone(),
            group: run.group.clone(),
            tags: run.tags.clone(),
            notes: run.notes.clone(),
            versions: run.versions.clone(),
            host: Host::observe(),
            counts: Counts::default(),
            records: None,
        }
    }

    /// Reads the manifest of a run in any state. Its `state` is returned as written; see
    /// [`Run::state`](crate::Run::state).
    pub fn read(layout: &Layout) -> Result<Self, RunError> {
        let path = layout.manifest();
        let Some(text) = files::read_small(&path, LARGEST)? else {
            return Err(RunError::NotARun {
                path: layout.root().to_owned(),
            });
        };
        let json_error = |source| RunError::Json {
            path: path.clone(),
            source,
        };
        // The format is checked first, because a later format may have changed everything else.
        let Format { format } = serde_json::from_slice(&text).map_err(json_error)?;
        if format > FORMAT {
            return Err(RunError::NewerFormat {
                path,
                found: format,
                known: FORMAT,
            });
        }
        serde_json::from_slice(&text).map_err(json_error)
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<(), RunError> {
        let path = layout.manifest();
        let mut text = serde_json::to_string_pretty(self).map_err(|source| RunError::Json {
            path: path.clone(),
            source,
        })?;
        text.push('\n');
        files::replace(&path, text.as_bytes())
    }
}

#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// Formats a time as `2026-11-23T10:45:02Z`.
pub(crate) fn timestamp(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.format(format)
        .expect("a UTC time has every component of the format")
}
