//! Reads the runs of a group for their common report.

use mirror_runs::expectations::{self, Checked};
use mirror_runs::{Group, Layout, Run};

use crate::error::AnalysisError;
use crate::run_data::RunData;
use crate::summary::Summary;

/// A group of runs.
#[derive(Debug)]
pub struct GroupData {
    /// Description of the group.
    pub group: Group,
    /// Paths of the group's files.
    pub layout: Layout,
    /// Runs of the group, each with its summary, in the order of their random seeds.
    pub runs: Vec<(RunData, Summary)>,
    /// Results of the expectations of the whole group.
    pub expectations: Vec<Checked>,
}

impl GroupData {
    /// Reads `runs` of the group whose directory is `layout`.
    pub fn read(group: Group, layout: &Layout, runs: &[Run]) -> Result<Self, AnalysisError> {
        let mut read = Vec::with_capacity(runs.len());
        for run in runs {
            let mut data = RunData::read_without_traces(std::slice::from_ref(run))?;
            data.drop_texts_and_scores();
            let summary = Summary::of(&data);
            read.push((data, summary));
        }
        read.sort_by_key(|(data, _)| data.manifest.seed);
        Ok(Self {
            group,
            layout: layout.clone(),
            runs: read,
            expectations: expectations::load(layout)?,
        })
    }
}
