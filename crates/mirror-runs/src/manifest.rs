//! `manifest.json`: what a run is, where it ran, how it ended and what it holds.

use std::collections::BTreeMap;
use std::fs;
use std::thread;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::directory::NewRun;
use crate::error::RunError;
use crate::files;
use crate::layout::Layout;

/// The format that this version writes, and the newest that it reads.
const FORMAT: u64 = 1;

/// A manifest is small; one larger than this is none.
const LARGEST: u64 = 4 << 20;

/// What a run is and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    format: u64,
    /// the run's name, that of its folder
    pub id: String,
    /// the experiment's name
    pub experiment: String,
    /// as it was last written: a run that says `running` and that nobody writes was interrupted
    pub state: State,
    /// the run's seed
    pub seed: u64,
    /// UTC, `2026-11-23T10:45:02Z`
    pub created: String,
    /// UTC; none while the run goes on, and where it was interrupted
    pub finished: Option<String>,
    /// what kind of work this was, in the user's word
    pub job_type: String,
    /// runs that belong together
    pub group: Option<String>,
    /// words to find the run by
    pub tags: Vec<String>,
    /// in the user's words
    pub notes: Option<String>,
    /// of the programs and libraries that made it
    pub versions: BTreeMap<String, String>,
    /// where it ran
    pub host: Host,
    /// what it holds, counted when it ended
    pub counts: Counts,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// its coordinator writes it
    Running,
    /// it came to its end
    Done,
    /// it gave up
    Failed,
    /// its coordinator went away, or somebody stopped it
    Interrupted,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// it came to its end
    Done,
    /// it gave up
    Failed,
    /// somebody stopped it
    Interrupted,
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

/// Facts of the machine that explain a run's figures, and none that name its owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// operating system, `linux`
    pub os: String,
    /// its kernel's release; none where it does not say
    pub kernel: Option<String>,
    /// processor architecture, `x86_64`
    pub architecture: String,
    /// threads that can run at once; none where the system does not say
    pub cores: Option<usize>,
    /// bytes; none where the system does not say
    pub memory: Option<u64>,
}

impl Host {
    /// This machine.
    pub fn observe() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            kernel: proc_file("/proc/sys/kernel/osrelease").map(|release| release.trim().to_owned()),
            architecture: std::env::consts::ARCH.to_owned(),
            // None is what the field's documentation says of a system that does not tell.
            cores: thread::available_parallelism().ok().map(Into::into),
            memory: proc_file("/proc/meminfo").as_deref().and_then(total_memory),
        }
    }
}

/// Systems other than Linux have no such files; the facts then stay unknown.
fn proc_file(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What a run holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// rows by table
    pub rows: BTreeMap<String, u64>,
    /// records that came a second time and were not written again; unknown after an interruption
    pub duplicates: Option<u64>,
    /// records of a kind that the version which ended the run did not know: they are in no table
    pub skipped: u64,
    /// bytes of a record that was being written when the coordinator died; it had not been acknowledged
    pub torn_bytes: u64,
}

impl Manifest {
    /// Of a run that begins on this machine.
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
        }
    }

    /// Reads the manifest of a run in any state. Its `state` is as written; see [`Run::state`](crate::Run::state).
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
        // The format comes first: a later one may have changed all the rest.
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

/// `2026-11-23T10:45:02Z`.
pub(crate) fn timestamp(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.format(format)
        .expect("a UTC time has all that the format names")
}
