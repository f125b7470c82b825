//! `mirror logs`: prints the log of a node of a running or ended run.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use mirror_runs::{Layout, Run, State};

use super::running::name_of;
use super::runs::size_of;
use super::{Misuse, RunsDir, Status, place};

/// Pause between two looks at a log that is followed.
const PAUSE: Duration = Duration::from_millis(100);

/// Number of bytes that are read together.
const BLOCK: u64 = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct LogsArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Name of a node, such as `validator-0` [default: lists the logs]
    node: Option<String>,
    /// Prints what the node adds, until Ctrl-C or the end of the run
    #[arg(long, requires = "node")]
    follow: bool,
    /// Prints only the last lines
    #[arg(long, value_name = "N", requires = "node")]
    lines: Option<u64>,
    #[command(flatten)]
    runs_dir: RunsDir,
}

pub(super) fn logs(arguments: &LogsArguments) -> anyhow::Result<Status> {
    let runs_dir = &arguments.runs_dir.runs_dir;
    let layout = Layout::new(place::run(runs_dir, &arguments.run)?);
    // A path may name a folder that is not a run.
    Run::state_of(layout.root())?;
    let names = names(&layout)?;
    let run = name_of(runs_dir, layout.root());
    let Some(node) = &arguments.node else {
        return list(&layout, &names, &run);
    };
    if !names.contains(node) {
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = mirror_config::did_you_mean(node, &known)
            .unwrap_or_else(|| format!("`mirror logs {run}` lists the logs"));
        return Err(Misuse::of(anyhow!("the run {run} has no log of `{node}`: {hint}")).into());
    }
    let path = layout.log(node);
    let mut log = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if let Some(lines) = arguments.lines {
        let start = start_of_last(&mut log, lines)?;
        log.seek(SeekFrom::Start(start))?;
    }
    let mut out = io::stdout().lock();
    loop {
        // The state is read first, so that nothing that was written before the end is missed.
        let has_ended = !arguments.follow || Run::state_of(layout.root())? != State::Running;
        io::copy(&mut log, &mut out)?;
        out.flush()?;
        if has_ended {
            return Ok(Status::Done);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Returns the names of the logs of a run, sorted.
fn names(layout: &Layout) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(layout.logs()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", layout.logs().display())),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = Path::new(&name);
        if name.extension().is_some_and(|ending| ending == "log")
            && let Some(stem) = name.file_stem()
        {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn list(layout: &Layout, names: &[String], run: &str) -> anyhow::Result<Status> {
    let mut out = io::stdout().lock();
    if names.is_empty() {
        writeln!(out, "the run {run} has no logs")?;
    }
    let width = names.iter().map(String::len).max().unwrap_or_default();
    for name in names {
        let size = fs::metadata(layout.log(name)).map_or(0, |file| file.len());
        writeln!(out, "{name:width$}  {:>8}", size_of(size))?;
    }
    Ok(Status::Done)
}

/// Returns the position at which the last lines of a file begin. An unfinished line counts as a line.
fn start_of_last(file: &mut File, lines: u64) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if lines == 0 {
        return Ok(length);
    }
    let mut missing = lines;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        for (offset, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = start + offset as u64 + 1;
            if after == length {
                continue;
            }
            missing -= 1;
            if missing == 0 {
                return Ok(after);
            }
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_those_of_tail() {
        let mut file = tempfile::tempfile().expect("a file");
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 5, "a\nb\n"),
            ("a\nb\n", 0, ""),
            ("", 3, ""),
            ("\n\n\n", 1, "\n"),
        ] {
            file.set_len(0).expect("an empty file");
            file.rewind().expect("the beginning");
            file.write_all(text.as_bytes()).expect("a text");
            let start = start_of_last(&mut file, lines).expect("a start");
            assert_eq!(&text[usize::try_from(start).expect("small")..], expected);
        }
    }

    #[test]
    fn lines_longer_than_a_block_are_whole() {
        let mut file = tempfile::tempfile().expect("a file");
        let long = "x".repeat(3 * BLOCK as usize);
        file.write_all(format!("a\n{long}\nb\n").as_bytes())
            .expect("a text");
        assert_eq!(start_of_last(&mut file, 2).ok(), Some(2));
    }
}
