//! Where each thing lies in a run's folder.

use std::path::{Path, PathBuf};

use crate::tables::{self, Row, Table};

/// The paths of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Of the run whose folder is `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The run's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The experiment as it was given.
    pub fn experiment(&self) -> PathBuf {
        self.root.join("experiment.yml")
    }

    /// The experiment with every default filled in.
    pub fn resolved(&self) -> PathBuf {
        self.root.join("resolved.yml")
    }

    /// What the run is and how it ended.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// The page that the analysis makes.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// What a group of runs is; its folder lies among those of the runs.
    pub fn group(&self) -> PathBuf {
        self.root.join("group.json")
    }

    /// What each uid was told to be.
    pub fn roles(&self) -> PathBuf {
        self.root.join("roles.json")
    }

    /// What became of the expectations, for programs.
    pub fn expectations(&self) -> PathBuf {
        self.root.join("expectations.json")
    }

    /// What became of the expectations, in the XML of `JUnit`.
    pub fn junit(&self) -> PathBuf {
        self.root.join("junit.xml")
    }

    /// Folder of the processes' logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Log of the process called `process`.
    pub fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    /// Folder in which nodes keep what they need to be started again.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Folder of the checkpoints of the validator called `validator`.
    pub fn checkpoints(&self, validator: &str) -> PathBuf {
        self.root.join("checkpoints").join(validator)
    }

    /// A table of a run that has ended.
    pub fn table(&self, table: &Table) -> PathBuf {
        self.root.join(table.file_name())
    }

    pub(crate) fn rows<R: Row>(&self) -> PathBuf {
        self.root.join(tables::file_name(R::TABLE))
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
