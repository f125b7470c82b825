//! A group of runs: replicates of one experiment with different random seeds, and a directory for their common results.
//!
//! The directory is in the directory of runs and has the group's name. It contains `group.json`, the group's report,
//! and the results of the expectations of the whole group. The members of the group are the runs whose manifest names
//! it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
        std::fs::create_dir_all(runs_dir).map_err(|error| RunError::write(runs_dir, error))?;
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

/// Returns the runs in `runs_dir` whose manifest names `group`, oldest first.
pub fn runs_of_group(runs_dir: impl AsRef<Path>, group: &str) -> Result<Vec<Listed>, RunError> {
    let mut members = runs(runs_dir)?;
    members.retain(|listed| {
        let named = listed
            .run
            .as_ref()
            .ok()
            .and_then(|(manifest, _)| manifest.group.as_deref());
        named == Some(group)
    });
    members.reverse();
    Ok(members)
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

/// Returns the groups in `runs_dir`, newest first: those with a directory, and those that only manifests name.
pub fn groups(runs_dir: impl AsRef<Path>) -> Result<Vec<FoundGroup>, RunError> {
    let runs_dir = runs_dir.as_ref();
    let mut members: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    for listed in runs(runs_dir)?.into_iter().rev() {
        let manifest = listed.run.as_ref().ok().map(|(manifest, _)| manifest);
        if let Some(group) = manifest.and_then(|manifest| manifest.group.clone()) {
            members.entry(group).or_default().push(listed);
        }
    }
    let mut found = Vec::new();
    for (id, runs) in members {
        let layout = Layout::new(runs_dir.join(&id));
        let described = Group::read(&layout)?;
        let first = runs.iter().find_map(|listed| listed.run.as_ref().ok());
        let described = described.or_else(|| {
            let (manifest, _) = first?;
            Some(Group {
                id,
                experiment: manifest.experiment.clone(),
                created: manifest.created.clone(),
                replicates: runs.len() as u32,
                first_seed: manifest.seed,
            })
        });
        if let Some(group) = described {
            found.push(FoundGroup {
                group,
                layout,
                runs: runs.into_iter().map(|listed| listed.path).collect(),
            });
        }
    }
    found.sort_by(|one, other| other.group.created.cmp(&one.group.created));
    Ok(found)
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
        let inside = as_path.parent().unwrap_or(Path::new("."));
        let group = groups(inside)?
            .into_iter()
            .find(|found| Some(&found.group.id) == name.as_ref());
        let not_a_run = || RunError::NotARun {
            path: as_path.to_owned(),
        };
        return group.map(Found::Group).ok_or_else(not_a_run);
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
        let members = runs_of_group(folder.path(), &group.id).unwrap();
        assert_eq!(members.len(), 2);
        assert!(members[0].id < members[1].id);
        assert_eq!(runs(folder.path()).unwrap().len(), 3);

        let found = |wanted: &str| find_run_or_group(folder.path(), wanted);
        let Found::Group(whole) = found(&group.id).unwrap() else {
            panic!("a group")
        };
        assert_eq!((whole.group.id, whole.runs.len()), (group.id.clone(), 2));
        let path = layout.root().to_str().unwrap();
        for wanted in ["last-group", path, &group.id[..group.id.len() - 2]] {
            assert!(matches!(found(wanted).unwrap(), Found::Group(_)), "{wanted}");
        }
        assert!(matches!(found("last").unwrap(), Found::Run(_)));
        assert!(matches!(found(&members[1].id).unwrap(), Found::Run(_)));
        // The date is the beginning of every id.
        let error = found("20").unwrap_err().to_string();
        assert!(error.contains("matches 4 runs"), "{error}");
    }
}
