//! Creates the directory of a new run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::macros::format_description;

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;
use crate::lock::RunLock;
use crate::manifest::Manifest;

/// Maximum length of the part of an id that is derived from the experiment's name, in characters.
const MAX_SLUG: usize = 28;

/// Number of random ids that are tried before an error is returned because all of them exist.
const ATTEMPTS: usize = 16;

/// The description of a new run.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    /// Name of the experiment.
    pub experiment: String,
    /// The experiment file as given.
    pub experiment_yml: String,
    /// The experiment file with every default value.
    pub resolved_yml: String,
    /// Random seed of the run.
    pub seed: u64,
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
}

/// The directory of a running run, with its lock.
#[derive(Debug)]
pub struct RunDirectory {
    layout: Layout,
    manifest: Manifest,
    lock: RunLock,
}

impl RunDirectory {
    /// Creates the directory of a new run in `runs_dir`, and `runs_dir` if it does not exist. The id begins with the
    /// time, so that ids sort by age: `2026-11-23T10-45-02-317-dummy-3f9a`.
    ///
    /// # Errors
    ///
    /// Returns [`RunError::ReadOnly`] or [`RunError::Full`] if the run cannot be written. In this case the new
    /// directory is removed.
    pub fn create(runs_dir: impl AsRef<Path>, run: &NewRun) -> Result<Self, RunError> {
        let runs_dir = runs_dir.as_ref();
        fs::create_dir_all(runs_dir).map_err(|error| RunError::write(runs_dir, error))?;
        let created = OffsetDateTime::now_utc();
        let (id, folder) = make_folder(runs_dir, created, &run.experiment)?;
        let layout = Layout::new(&folder);
        let manifest = Manifest::begin(id, created, run);
        let filled = fill(&layout, &manifest, run).and_then(|lock| files::sync(runs_dir).map(|()| lock));
        match filled {
            Ok(lock) => Ok(Self {
                layout,
                manifest,
                lock,
            }),
            Err(error) => {
                if let Err(leftover) = fs::remove_dir_all(&folder) {
                    tracing::warn!(folder = %folder.display(), error = %leftover, "cannot remove the directory of an incomplete run");
                }
                Err(error)
            }
        }
    }

    /// Returns the paths of the run's files.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the manifest of the run.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn into_parts(self) -> (Layout, Manifest, RunLock) {
        (self.layout, self.manifest, self.lock)
    }
}

pub(crate) fn make_folder(
    runs_dir: &Path,
    created: OffsetDateTime,
    experiment: &str,
) -> Result<(String, PathBuf), RunError> {
    let format = format_description!("[year]-[month]-[day]T[hour]-[minute]-[second]-[subsecond digits:3]");
    let time = created
        .format(format)
        .expect("a UTC time has every component of the format");
    let slug = slug(experiment);
    let mut attempt = 1;
    loop {
        let mut random = [0; 2];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).map_err(|error| {
            RunError::Io {
                action: "draw a random name for a run in",
                path: runs_dir.to_owned(),
                source: error.into(),
            }
        })?;
        let id = format!("{time}-{slug}-{}", hex::encode(random));
        let folder = runs_dir.join(&id);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok((id, folder)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(RunError::write(&folder, error)),
        }
    }
}

/// Creates the files of a run. The manifest is written last, so that a directory with a manifest is complete.
fn fill(layout: &Layout, manifest: &Manifest, run: &NewRun) -> Result<RunLock, RunError> {
    let lock = RunLock::take(layout)?;
    for folder in [layout.journal(), layout.parts(), layout.logs(), layout.state()] {
        fs::create_dir(&folder).map_err(|error| RunError::write(&folder, error))?;
    }
    files::replace(&layout.experiment(), run.experiment_yml.as_bytes())?;
    files::replace(&layout.resolved(), run.resolved_yml.as_bytes())?;
    manifest.write(layout)?;
    Ok(lock)
}

/// Returns the experiment's name in letters, digits and single hyphens.
fn slug(name: &str) -> String {
    let letters = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            ' '
        }
    });
    let letters: String = letters.collect();
    let words: Vec<&str> = letters.split_whitespace().collect();
    let slug: String = words.join("-").chars().take(MAX_SLUG).collect();
    match slug.trim_end_matches('-') {
        "" => "run".to_owned(),
        slug => slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_readable_and_safe_as_a_folder_name() {
        let check = |name: &str, expected: &str| assert_eq!(slug(name), expected, "{name:?}");
        check("dummy", "dummy");
        check("My first run!", "my-first-run");
        check("../../etc/passwd", "etc-passwd");
        check("-- ü --", "run");
        check("", "run");
        assert_eq!(slug(&"a ".repeat(100)).len(), MAX_SLUG - 1);
    }
}
