//! The CPU profiles of a run. For each profiled process, its directory contains a flame graph (`validator-0.svg`), or a
//! text with the reason why there is none (`validator-0.txt`). The second process of a restarted node is
//! `validator-0.1`.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::layout::Layout;

/// Maximum size of a reason in bytes. A longer one is not shown.
const MAX_REASON: u64 = 4 << 10;

/// The CPU profiles of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Profiles {
    /// Names of the processes with a flame graph, in ascending order.
    pub written: Vec<String>,
    /// The processes without one, in ascending order.
    pub missing: Vec<MissingProfile>,
}

/// A process that has no flame graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingProfile {
    /// Name of the process.
    pub process: String,
    /// Reason in words.
    pub reason: String,
}

impl Profiles {
    /// Reads which profiles a run has. `None` if it was not profiled.
    ///
    /// # Errors
    /// Returns an error if the directory or a reason cannot be read.
    pub fn read(layout: &Layout) -> io::Result<Option<Self>> {
        let entries = match fs::read_dir(layout.profiles()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut found = Self::default();
        for entry in entries {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let Some(process) = stem.filter(|stem| is_name(stem)).map(str::to_owned) else {
                continue;
            };
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("svg") => found.written.push(process),
                Some("txt") => found.missing.push(MissingProfile {
                    process,
                    reason: reason(&path)?,
                }),
                _ => {}
            }
        }
        let Self { written, missing } = &mut found;
        // Between the two writes of a process, both of its files exist.
        missing.retain(|one| !written.contains(&one.process));
        written.sort_by(|one, other| by_number(one).cmp(&by_number(other)));
        missing.sort_by(|one, other| by_number(&one.process).cmp(&by_number(&other.process)));
        Ok(Some(found))
    }
}

fn reason(path: &Path) -> io::Result<String> {
    let text = mirror_files::read_at_most(File::open(path)?, MAX_REASON)?;
    let text = text.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned());
    Ok(text.unwrap_or_else(|| format!("{} has the reason", path.display())))
}

/// Returns whether a process can have this name. Such a name needs no escape in a link.
fn is_name(stem: &str) -> bool {
    stem.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Returns the parts of a name, so that `validator-2` precedes `validator-10`.
fn by_number(process: &str) -> Vec<Result<u32, &str>> {
    let parts = process.split(['-', '.']);
    parts.map(|part| part.parse().map_err(|_| part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_the_directory_was_not_profiled() {
        let run = tempfile::tempdir().expect("a folder");
        let found = Profiles::read(&Layout::new(run.path())).expect("the folder can be read");
        assert_eq!(found, None);
    }

    #[test]
    fn each_process_is_listed_once_by_number_with_the_reason_of_a_missing_profile() {
        let run = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(run.path());
        fs::create_dir(layout.profiles()).expect("a folder");
        let files = [
            ("validator-10.svg", "<svg/>"),
            ("validator-2.svg", "<svg/>"),
            ("validator-2.1.txt", "the process was killed\n"),
            ("coordinator.svg", "<svg/>"),
            ("coordinator.txt", "not finished\n"),
            ("subtensor.txt", &"long".repeat(2_000)),
            (".sampler-a1b2", ""),
            ("a b?.svg", ""),
        ];
        for (name, content) in files {
            fs::write(layout.profiles().join(name), content).expect("the file is written");
        }
        let found = Profiles::read(&layout).expect("the folder can be read");
        let found = found.expect("the run was profiled");
        assert_eq!(found.written, ["coordinator", "validator-2", "validator-10"]);
        let [chain, validator] = found.missing.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(chain.process, "subtensor");
        assert!(chain.reason.len() < 1_000, "{}", chain.reason);
        assert_eq!(validator.process, "validator-2.1");
        assert_eq!(validator.reason, "the process was killed");
    }
}
