//! A group of runs: replicates of one experiment under seeds of their own, and a folder for what is said of them
//! together.
//!
//! Its folder lies among the runs, under the group's name, and holds `group.json`, the group's report, and what became
//! of the expectations that are of the whole group. Its runs are those whose manifest names it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::catalogue::{Listed, runs};
use crate::directory::make_folder;
use crate::error::RunError;
use crate::files;
use crate::layout::Layout;
use crate::manifest::timestamp;

/// `group.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// the group's name, that of its folder
    pub id: String,
    /// the experiment's name
    pub experiment: String,
    /// UTC, `2026-11-23T10:45:02Z`
    pub created: String,
    /// runs that were asked for
    pub replicates: u32,
    /// seed of the first; each one's is the one before's and one
    pub first_seed: u64,
}

impl Group {
    /// Makes the folder of a new group in `runs_dir`.
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

/// The runs of `runs_dir` whose manifest names `group`, oldest first.
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
    fn a_groups_runs_are_those_that_name_it_and_its_folder_is_none_of_them() {
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
