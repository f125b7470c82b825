//! A group of runs: replicates of one experiment with different random seeds, and a directory for their common results.
//!
//! The directory is in the directory of runs and has the group's name. It contains `group.json`, the group's report,
//! and the results of the expectations of the whole group. The members of the group are the runs whose manifest names
//! it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::catalogue::{Listed, runs};
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

impl Group {
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
    }
}
