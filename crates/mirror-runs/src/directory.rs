//! A new run's folder.

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

/// Longest part of an id that comes from the experiment's name, characters.
const MAX_SLUG: usize = 40;

/// Ids tried before a folder in which they all exist is given up.
const ATTEMPTS: usize = 16;

/// What a run is made of.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    /// the experiment's name
    pub experiment: String,
    /// its file as given
    pub experiment_yml: String,
    /// its file with every default
    pub resolved_yml: String,
    /// the run's seed
    pub seed: u64,
    /// what kind of work this is, in the user's word
    pub job_type: String,
    /// runs that belong together
    pub group: Option<String>,
    /// words to find the run by
    pub tags: Vec<String>,
    /// in the user's words
    pub notes: Option<String>,
    /// of the programs and libraries that make it
    pub versions: BTreeMap<String, String>,
}

/// The folder of a run that goes on, and the lock that says so.
#[derive(Debug)]
pub struct RunDirectory {
    layout: Layout,
    manifest: Manifest,
    lock: RunLock,
}

impl RunDirectory {
    /// Makes the folder of a new run in `runs_dir`, which is made as well if it is not there. Its id begins with the
    /// time, so that ids sort by age: `2026-11-23T10-45-02-317-dummy-3f9a`.
    ///
    /// Fails with [`RunError::ReadOnly`] or [`RunError::Full`] where the run could not be kept; nothing is left behind
    /// then.
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
                    tracing::warn!(folder = %folder.display(), error = %leftover, "half a run is left behind");
                }
                Err(error)
            }
        }
    }

    /// Where its files lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What is known of the run so far.
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
        .expect("a UTC time has all that the format names");
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

/// The manifest comes last: a folder that has one is whole.
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

/// The experiment's name in letters, digits and single hyphens.
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
