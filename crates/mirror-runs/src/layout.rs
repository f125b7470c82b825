//! Paths in a run's directory.

use std::path::{Path, PathBuf};

use crate::tables::Table;

/// The paths of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Creates the layout of the run in the directory `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the run's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of the experiment as it was given.
    pub fn experiment(&self) -> PathBuf {
        self.root.join("experiment.yml")
    }

    /// Returns the path of the experiment with every default value.
    pub fn resolved(&self) -> PathBuf {
        self.root.join("resolved.yml")
    }

    /// Returns the path of the manifest.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// Returns the path of the file with the address of a running network.
    pub fn control(&self) -> PathBuf {
        self.root.join("control.json")
    }

    /// Returns the directory of the certificates with which a running network is controlled.
    pub fn certificates(&self) -> PathBuf {
        self.root.join("certificates")
    }

    /// Returns the path of the report that the analysis writes.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// Returns the path of the description of a group of runs. The group's directory is among those of the runs.
    pub fn group(&self) -> PathBuf {
        self.root.join("group.json")
    }

    /// Returns the path of the file with the kind, role and label of each uid.
    pub fn neurons(&self) -> PathBuf {
        self.root.join("neurons.json")
    }

    /// Returns the path of the file with the role of each uid, which earlier versions wrote.
    pub(crate) fn former_roles(&self) -> PathBuf {
        self.root.join("roles.json")
    }

    /// Returns the path of the results of the expectations in JSON.
    pub fn expectations(&self) -> PathBuf {
        self.root.join("expectations.json")
    }

    /// Returns the path of the results of the expectations in `JUnit` XML.
    pub fn junit(&self) -> PathBuf {
        self.root.join("junit.xml")
    }

    /// Returns the directory of the logs of the processes.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Returns the path of the log of the process named `process`.
    pub fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    /// Returns the directory of the CPU profiles, which exists only if the run was profiled.
    pub fn profiles(&self) -> PathBuf {
        self.root.join("profiles")
    }

    /// Returns the directory in which nodes store the state that they need for a restart.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Returns the directory of the checkpoints of the validator named `validator`.
    pub fn checkpoints(&self, validator: &str) -> PathBuf {
        self.root.join("checkpoints").join(validator)
    }

    /// Returns the path of a table of a run that has ended.
    pub fn table(&self, table: &Table) -> PathBuf {
        self.root.join(table.file_name())
    }

    /// Returns the directory with the spans and metrics of a run that has not ended.
    pub(crate) fn telemetry(&self) -> PathBuf {
        self.root.join("telemetry")
    }

    /// Returns the path of the counts of the run's spans and metrics.
    pub fn telemetry_summary(&self) -> PathBuf {
        self.root.join("telemetry.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    pub(crate) fn parts(&self) -> PathBuf {
        self.root.join("parts")
    }
}
