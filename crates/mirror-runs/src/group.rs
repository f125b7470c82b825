//! A group of runs: replicates of one experiment with different random seeds, and a directory for their common results.
//!
//! The directory is in the directory of runs and has the group's name. It contains `group.json`, the group's report,
//! and the results of the expectations of the whole group. The members of the group are the runs whose manifest names
//! it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::catalogue::{Listed, find, runs};
use crate::directory::make_folder;
use crate::error::RunError;
use crate::files;
use crate::layout::Layout;
use crate::manifest::timestamp;

/// The content of `group.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Name of the group and of its directory.
    pub id: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Time of creation in UTC: `2026-11-23T10:45:02Z`.
    pub created: String,
    /// Number of requested runs.
    pub replicates: u32,
    /// Random seed of the first run. Each next run uses the previous seed plus one.
    pub first_seed: u64,
}

/// Maximum size of `group.json` in bytes.
const LARGEST: u64 = 1 << 20;

impl Group {
    /// Returns whether a group can have this name: it is the name of one folder, without a separator, `.` or `..`.
    pub fn is_name(name: &str) -> bool {
        let mut components = Path::new(name).components();
        let is_normal = matches!(components.next(), Some(Component::Normal(only)) if only == name);
        is_normal && components.next().is_none() && !name.contains('\0')
    }

    /// Reads the description of the group whose directory is `layout`. `None` if there is none.
    pub fn read(layout: &Layout) -> Result<Option<Self>, RunError> {
        let path = layout.group();
        let Some(text) = files::read_small(&path, LARGEST)? else {
            return Ok(None);
        };
        let group = serde_json::from_slice(&text).map_err(|source| RunError::Json { path, source })?;
        Ok(Some(group))
    }

    /// Creates the directory of a new group in `runs_dir`.
    pub fn create(
        runs_dir: impl AsRef<Path>,
        experiment: &str,
        replicates: u32,
        first_seed: u64,
    ) -> Result<(Self, Layout), RunError> {
        let runs_dir = runs_dir.as_ref();
        fs::create_dir_all(runs_dir).map_err(|error| RunError::write(runs_dir, error))?;
        let created = OffsetDateTime::now_utc();
        let (id, folder) = make_folder(runs_dir, created, &format!("{experiment}-group"))?;
        let layout = Layout::new(folder);
        let group = Self {
            id,
            experiment: experiment.to_owned(),
            created: timestamp(created),
            replicates,
            first_seed,
        };
        let path = layout.group();
        let text = serde_json::to_vec_pretty(&group).map_err(|source| RunError::Json {
            path: path.clone(),
            source,
        })?;
        files::replace(&path, &text)?;
        Ok((group, layout))
    }
}

/// A group that was found, with the directories of its runs, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundGroup {
    /// Description of the group.
    pub group: Group,
    /// Paths of the group's files. The directory of a group that `mirror run --group` named may not exist.
    pub layout: Layout,
    /// Directories of its runs.
    pub runs: Vec<PathBuf>,
}

/// A run or a group that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The directory of a run.
    Run(PathBuf),
    /// A group.
    Group(FoundGroup),
}

/// Returns the groups in `runs_dir`, newest first: those with a directory, even if they have no runs, and those that
/// only manifests name. A run whose manifest names a group by something else than a name belongs to none. If
/// `group.json` is damaged, the group is described by its runs.
pub fn groups(runs_dir: impl AsRef<Path>) -> Result<Vec<FoundGroup>, RunError> {
    let runs_dir = runs_dir.as_ref();
    let mut members: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    for listed in runs(runs_dir)?.into_iter().rev() {
        let manifest = listed.run.as_ref().ok().map(|(manifest, _)| manifest);
        let group = manifest.and_then(|manifest| manifest.group.clone());
        if let Some(group) = group.filter(|group| Group::is_name(group)) {
            members.entry(group).or_default().push(listed);
        }
    }
    for id in directories(runs_dir)? {
        members.entry(id).or_default();
    }
    let mut found = Vec::new();
    for (id, runs) in members {
        let layout = Layout::new(runs_dir.join(&id));
        let described = Group::read(&layout).unwrap_or_else(|error| {
            tracing::warn!(%error, "the description of a group is not read");
            None
        });
        let first = runs.iter().find_map(|listed| listed.run.as_ref().ok());
        let described = match (described, first) {
            // The name of the directory is the one by which the runs belong to it.
            (Some(described), _) => Group { id, ..described },
            (None, Some((manifest, _))) => Group {
                id,
                experiment: manifest.experiment.clone(),
                created: manifest.created.clone(),
                replicates: runs.len() as u32,
                first_seed: manifest.seed,
            },
            (None, None) => continue,
        };
        found.push(FoundGroup {
            group: described,
            layout,
            runs: runs.into_iter().map(|listed| listed.path).collect(),
        });
    }
    found.sort_by(|one, other| other.group.created.cmp(&one.group.created));
    Ok(found)
}

/// Returns the names of the directories in `runs_dir` that contain `group.json`.
fn directories(runs_dir: &Path) -> Result<Vec<String>, RunError> {
    let read_error = |error| RunError::read(runs_dir, error);
    let entries = match fs::read_dir(runs_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read_error(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(read_error)?;
        if Layout::new(entry.path()).group().exists() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

/// Returns the run or group that `wanted` identifies: a path, an id or the beginning of one in `runs_dir`, the name of
/// a group, `last` for the newest run, or `last-group` for the newest group.
pub fn find_run_or_group(runs_dir: impl AsRef<Path>, wanted: &str) -> Result<Found, RunError> {
    let runs_dir = runs_dir.as_ref();
    let as_path = Path::new(wanted);
    if Layout::new(as_path).group().exists() {
        let name = as_path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        // The parent of a bare name is an empty path.
        let inside = as_path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let inside = inside.unwrap_or(Path::new("."));
        let group = groups(inside)?
            .into_iter()
            .find(|found| Some(&found.group.id) == name.as_ref());
        let Some(group) = group else {
            // A damaged description is the likely cause.
            Group::read(&Layout::new(as_path))?;
            return Err(RunError::NotARun {
                path: as_path.to_owned(),
            });
        };
        return Ok(Found::Group(group));
    }
    if as_path.components().count() > 1 || wanted == "last" {
        return find(runs_dir, wanted).map(Found::Run);
    }
    let mut groups = groups(runs_dir)?;
    let newest = wanted == "last-group";
    let exact = groups.iter().position(|found| newest || found.group.id == wanted);
    if let Some(exact) = exact {
        return Ok(Found::Group(groups.swap_remove(exact)));
    }
    groups.retain(|found| found.group.id.starts_with(wanted));
    match (find(runs_dir, wanted), groups.len()) {
        (Ok(run), 0) => Ok(Found::Run(run)),
        (Err(RunError::NotFound { .. }), 1) => Ok(Found::Group(groups.swap_remove(0))),
        (Err(error), 0) => Err(error),
        (found, _) => {
            let of_groups = groups.into_iter().map(|found| found.group.id);
            let of_runs = match found {
                Ok(run) => vec![run.file_name().unwrap_or_default().to_string_lossy().into_owned()],
                Err(RunError::Ambiguous { candidates, .. }) => candidates,
                Err(RunError::NotFound { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            Err(RunError::Ambiguous {
                wanted: wanted.to_owned(),
                candidates: of_groups.chain(of_runs).collect(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ended, NewRun, Recorder, RunDirectory};

    #[test]
    fn the_runs_of_a_group_name_it_and_its_folder_is_not_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let (group, layout) = Group::create(folder.path(), "copycats", 2, 7).unwrap();
        assert!(group.id.contains("copycats-group"), "{}", group.id);
        assert_eq!(
            layout.root().file_name().unwrap().to_str(),
            Some(group.id.as_str())
        );
        for of in [Some(&group.id), None, Some(&group.id)] {
            let new = NewRun {
                experiment: "copycats".to_owned(),
                group: of.cloned(),
                ..NewRun::default()
            };
            let directory = RunDirectory::create(folder.path(), &new).unwrap();
            let recorder = Recorder::start(directory, Recorder::SEGMENT_BYTES).unwrap();
            recorder.finish(Ended::Done).unwrap();
        }
        assert_eq!(runs(folder.path()).unwrap().len(), 3);

        let found = |wanted: &str| find_run_or_group(folder.path(), wanted);
        let Found::Group(whole) = found(&group.id).unwrap() else {
            panic!("a group")
        };
        assert_eq!((&whole.group.id, whole.runs.len()), (&group.id, 2));
        let path = layout.root().to_str().unwrap();
        for wanted in ["last-group", path, &group.id[..group.id.len() - 2]] {
            assert!(matches!(found(wanted).unwrap(), Found::Group(_)), "{wanted}");
        }
        assert!(matches!(found("last").unwrap(), Found::Run(_)));
        let member = whole.runs[1].file_name().unwrap().to_str().unwrap();
        assert!(whole.runs[0] < whole.runs[1]);
        assert!(matches!(found(member).unwrap(), Found::Run(_)));
        // The date is the beginning of every id.
        let error = found("20").unwrap_err().to_string();
        assert!(error.contains("matches 4 runs"), "{error}");
    }

    /// Records a run whose manifest names `group`.
    fn record(runs_dir: &Path, group: &str) {
        let new = NewRun {
            experiment: "one".to_owned(),
            group: Some(group.to_owned()),
            ..NewRun::default()
        };
        let directory = RunDirectory::create(runs_dir, &new).unwrap();
        let recorder = Recorder::start(directory, Recorder::SEGMENT_BYTES).unwrap();
        recorder.finish(Ended::Done).unwrap();
    }

    #[test]
    fn a_run_whose_manifest_names_a_path_as_its_group_belongs_to_none() {
        let folder = tempfile::tempdir().unwrap();
        let runs_dir = folder.path().join("runs");
        for group in ["..", ".", "", "a/b", "a/", "./a", "/tmp", "\0"] {
            assert!(!Group::is_name(group), "{group:?}");
            record(&runs_dir, group);
        }
        assert_eq!(groups(&runs_dir).unwrap(), []);
        record(&runs_dir, "..a");
        assert_eq!(groups(&runs_dir).unwrap()[0].group.id, "..a");
    }

    #[test]
    fn a_damaged_description_fails_no_other_run_or_group() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("empty", "{"), ("one", "[]")] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("group.json"), content).unwrap();
        }
        record(folder.path(), "one");
        record(folder.path(), "two");
        let found = |wanted: &str| find_run_or_group(folder.path(), wanted);
        for wanted in ["one", "two"] {
            let Found::Group(group) = found(wanted).unwrap() else {
                panic!("{wanted} is a group")
            };
            assert_eq!((group.group.id.as_str(), group.runs.len()), (wanted, 1));
        }
        let path = folder.path().join("empty");
        let error = found(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("group.json cannot be read"), "{error}");
    }

    #[test]
    fn a_group_without_runs_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (group, layout) = Group::create(folder.path(), "copycats", 2, 7).unwrap();
        for wanted in [group.id.as_str(), "last-group", layout.root().to_str().unwrap()] {
            let Found::Group(found) = find_run_or_group(folder.path(), wanted).unwrap() else {
                panic!("{wanted} is a group")
            };
            assert_eq!((&found.group, found.runs.len()), (&group, 0));
        }
    }
}
