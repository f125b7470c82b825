//! The run directory of imported files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{ForwardEvent, Record};
use mirror_runs::{Ended, Layout, NewRun, Recorder, RunDirectory, RunError, State};
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::Finding;
use crate::reader::{Reader, Stopped};

/// Version of the way in which files are read. A run that was imported by another version is not used again.
const VERSION: u32 = 1;

/// Name of the file in the run directory that describes the import.
const DESCRIPTION: &str = "import.json";

/// Maximum size of a description in bytes.
const LARGEST_DESCRIPTION: u64 = 16 << 20;

/// Size in bytes of the events that are appended to the run together.
const BATCH: usize = 1 << 20;

/// Number of files that the notes of the run name.
const NAMED: usize = 5;

/// An imported run.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The paths of the run's files.
    pub layout: Layout,
    /// Number of events of the run.
    pub events: u64,
    /// Counts of everything that was left out of the files, by reason.
    pub findings: Vec<Finding>,
    /// Whether the files were read now. Otherwise, an earlier import of the same files is used.
    pub is_new: bool,
}

/// The reason why files were not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The files contain no event.
    #[error(
        "no event in {}: an event is a JSON object or a row of CSV with `uids` or `all_uids`, and `prompt` or \
         `message`; found {}",
        names(files),
        found(findings)
    )]
    NoEvent {
        /// The files.
        files: Vec<PathBuf>,
        /// Counts of the lines that the files contain instead, by reason.
        findings: Vec<Finding>,
    },
    /// The run cannot be written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The description of the import cannot be written.
    #[error("cannot write {}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

fn names(files: &[PathBuf]) -> String {
    let names: Vec<String> = files
        .iter()
        .take(NAMED)
        .map(|file| file.display().to_string())
        .collect();
    match files.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        others => format!("{} and {others} more", names.join(", ")),
    }
}

fn found(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "no line at all".to_owned();
    }
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// The description of an import, in the run directory.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    version: u32,
    files: Vec<Source>,
    events: u64,
    findings: Vec<Finding>,
}

/// A file as it was when it was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    path: PathBuf,
    /// Size in bytes.
    size: u64,
    /// Time of the last modification in nanoseconds since 1970.
    modified: u64,
}

impl Source {
    fn of(file: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(file)?;
        let modified = metadata
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Self {
            path: fs::canonicalize(file)?,
            size: metadata.len(),
            modified: modified.as_nanos() as u64,
        })
    }
}

/// Reads the events of `files`, in this order, into one new run named `name` in `runs_dir`. If the same files were
/// imported before and have not changed since (path, size, time of modification), that run is returned.
///
/// Steps that do not ascend, such as those of a second file that also begins at step 0, are numbered onwards.
///
/// # Errors
///
/// Returns an error if a file cannot be read, if the files contain no event, or if the run cannot be written. No run
/// remains then.
pub fn import(files: &[PathBuf], runs_dir: &Path, name: &str) -> Result<Imported, ImportError> {
    let read_error = |file: &Path, source| ImportError::Read {
        path: file.to_owned(),
        source,
    };
    let mut sources = Vec::new();
    for file in files {
        sources.push(Source::of(file).map_err(|error| read_error(file, error))?);
    }
    if let Some(imported) = earlier(runs_dir, &sources)? {
        return Ok(imported);
    }
    let mut run = NewImport {
        runs_dir,
        description: describe(&sources, name),
        recorder: None,
        batch: Vec::new(),
        batch_bytes: 0,
        events: 0,
    };
    let mut reader = Reader::default();
    for file in files {
        let file_name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        let read = reader.read(file, &file_name, &mut |event| run.add(event));
        if let Err(stopped) = read {
            run.remove();
            return Err(match stopped {
                Stopped::Unread(error) => read_error(file, error),
                Stopped::Refused(error) => error.into(),
            });
        }
    }
    let findings = reader.findings.list();
    let Some((layout, events)) = run.finish()? else {
        let files = files.to_owned();
        return Err(ImportError::NoEvent { files, findings });
    };
    let description = Description {
        version: VERSION,
        files: sources,
        events,
        findings,
    };
    let path = layout.root().join(DESCRIPTION);
    let written = serde_json::to_vec_pretty(&description).map_err(io::Error::from);
    let written = written.and_then(|text| mirror_files::replace(&path, &text));
    written.map_err(|source| ImportError::Description { path, source })?;
    Ok(Imported {
        layout,
        events,
        findings: description.findings,
        is_new: true,
    })
}

/// Returns the newest complete run that was imported from the same files.
fn earlier(runs_dir: &Path, sources: &[Source]) -> Result<Option<Imported>, RunError> {
    for listed in mirror_runs::runs(runs_dir)? {
        let is_complete = matches!(&listed.run, Ok((_, State::Done)));
        let description = description(&listed.path.join(DESCRIPTION));
        let same =
            description.filter(|found| is_complete && found.version == VERSION && found.files == sources);
        if let Some(found) = same {
            return Ok(Some(Imported {
                layout: Layout::new(listed.path),
                events: found.events,
                findings: found.findings,
                is_new: false,
            }));
        }
    }
    Ok(None)
}

/// Reads the description of an import. `None` if the run was not imported or if the file cannot be read, in which case
/// the files are imported again.
fn description(path: &Path) -> Option<Description> {
    let file = fs::File::open(path).ok()?;
    let text = mirror_files::read_at_most(file, LARGEST_DESCRIPTION).ok()??;
    serde_json::from_slice(&text).ok()
}

fn describe(sources: &[Source], name: &str) -> NewRun {
    let files: Vec<PathBuf> = sources.iter().map(|source| source.path.clone()).collect();
    // JSON escapes the ends of lines in a name.
    let lines = files
        .iter()
        .map(|file| format!("# - {}\n", Value::from(file.display().to_string())));
    let yml = format!(
        "# The events of this run were imported from:\n{}",
        lines.collect::<String>()
    );
    NewRun {
        experiment: name.to_owned(),
        resolved_yml: yml.clone(),
        experiment_yml: yml,
        job_type: mirror_runs::IMPORT.to_owned(),
        tags: vec!["imported".to_owned()],
        notes: Some(format!("imported from {}", names(&files))),
        versions: [("mirror".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
        ..NewRun::default()
    }
}

/// The run that is being written. Its directory is created with the first event.
struct NewImport<'a> {
    runs_dir: &'a Path,
    description: NewRun,
    recorder: Option<Recorder>,
    batch: Vec<Record>,
    /// Size of the encoded events of `batch`.
    batch_bytes: usize,
    events: u64,
}

impl NewImport<'_> {
    fn add(&mut self, event: ForwardEvent) -> Result<(), RunError> {
        self.events += 1;
        self.batch_bytes += event.encoded_len();
        self.batch.push(Record {
            kind: Some(Kind::Event(event)),
        });
        if self.batch_bytes >= BATCH {
            self.append()?;
        }
        Ok(())
    }

    fn append(&mut self) -> Result<(), RunError> {
        let recorder = if let Some(recorder) = &mut self.recorder {
            recorder
        } else {
            let directory = RunDirectory::create(self.runs_dir, &self.description)?;
            self.recorder
                .insert(Recorder::start(directory, Recorder::SEGMENT_BYTES)?)
        };
        recorder.append(self.batch.iter())?;
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }

    /// Finishes the run, and returns its paths and the number of its events. `None` if there is no event.
    fn finish(mut self) -> Result<Option<(Layout, u64)>, RunError> {
        if self.events == 0 {
            return Ok(None);
        }
        if let Err(error) = self.append() {
            self.remove();
            return Err(error);
        }
        let Some(recorder) = self.recorder.take() else {
            return Ok(None);
        };
        let layout = recorder.layout().clone();
        if let Err(error) = recorder.finish(Ended::Done) {
            remove(&layout);
            return Err(error);
        }
        Ok(Some((layout, self.events)))
    }

    /// Removes the directory of a run that cannot be completed.
    fn remove(self) {
        if let Some(recorder) = self.recorder {
            let layout = recorder.layout().clone();
            drop(recorder);
            remove(&layout);
        }
    }
}

/// Removes the directory of an incomplete run. If it cannot be removed, it is listed as an interrupted run, and the
/// error that made it incomplete is reported.
fn remove(layout: &Layout) {
    let _ = fs::remove_dir_all(layout.root());
}
