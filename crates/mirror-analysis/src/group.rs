//! Reads the runs of a group for their common report.

use std::collections::BTreeMap;

use mirror_runs::expectations::{self, Checked};
use mirror_runs::{Group, Layout, Run};

use crate::error::AnalysisError;
use crate::moments::Moments;
use crate::run_data::{RunData, VALIDATOR};
use crate::summary::{Pay, Summary};

/// A group of runs.
#[derive(Debug)]
pub struct GroupData {
    /// Description of the group.
    pub group: Group,
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
            let data = RunData::read(run)?;
            let summary = Summary::of(&data);
            read.push((data, summary));
        }
        read.sort_by_key(|(data, _)| data.manifest.seed);
        Ok(Self {
            group,
            runs: read,
            expectations: expectations::load(layout)?,
        })
    }

    /// Returns the kind of pay, and for each role the mean pay of its miners with one value per run. Returns `None` if
    /// the runs have different kinds of pay.
    pub(crate) fn pay_by_role(&self) -> Option<(Pay, BTreeMap<&str, Moments>)> {
        let pay = self.runs.first()?.1.pay;
        if self.runs.iter().any(|(_, summary)| summary.pay != pay) {
            return None;
        }
        let mut roles: BTreeMap<&str, Moments> = BTreeMap::new();
        for (_, summary) in &self.runs {
            let mut of_run: BTreeMap<&str, Moments> = BTreeMap::new();
            for row in &summary.uids {
                let Some(role) = row.role.as_deref().filter(|role| *role != VALIDATOR) else {
                    continue;
                };
                of_run.entry(role).or_default().push(pay.of(row).unwrap_or(0.0));
            }
            for (role, moments) in of_run {
                if let Some(mean) = moments.mean() {
                    roles.entry(role).or_default().push(mean);
                }
            }
        }
        Some((pay, roles))
    }
}
