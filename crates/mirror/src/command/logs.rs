//! `mirror logs`: prints the logs of the nodes of a running or ended run.

mod line;
mod selected;
mod since;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use mirror_output::message;
use mirror_runs::{Layout, Manifest, Run, State, neurons};
use time::OffsetDateTime;

use self::line::time_of;
use self::selected::{Logs, Selection};
use self::since::Since;
use super::running::name_of;
use super::runs::size_of;
use super::{Misuse, RunsDir, Status, place};

/// Pause between two looks at a log that is followed.
const PAUSE: Duration = Duration::from_millis(100);

/// Minimum number of digits of the start of a trace id.
const TRACE_DIGITS: usize = 4;

/// Number of bytes that are read together.
const BLOCK: u64 = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct LogsArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Name of a node, such as `validator-0` [default: lists the logs, or merges them if any option is given]
    node: Option<String>,
    /// Prints only the lines of a trace: its id, or the first digits of it, at least 4
    #[arg(long, value_name = "ID", value_parser = trace)]
    trace: Option<String>,
    /// Prints only the lines of the neuron with this uid, and those about it
    #[arg(long, value_name = "N")]
    uid: Option<u32>,
    /// Prints only the lines from a time on: `5m` before the end of the run or now, `17:41:24` in UTC, or a date and
    /// time
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// Prints what the nodes add, until Ctrl-C or the end of the run
    #[arg(long)]
    follow: bool,
    /// Prints only the last lines
    #[arg(long, value_name = "N")]
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
    let selection = arguments.selection(&layout)?;
    let is_about_lines = selection.is_some() || arguments.follow || arguments.lines.is_some();
    match (&arguments.node, selection) {
        (None, _) if !is_about_lines => list(&layout, &names, &run),
        (Some(node), _) if !names.contains(node) => {
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            let hint = mirror_config::did_you_mean(node, &known)
                .unwrap_or_else(|| format!("`mirror logs {run}` lists the logs"));
            Err(Misuse::of(anyhow!("the run {run} has no log of `{node}`: {hint}")).into())
        }
        (Some(node), None) => print_log(&layout, node, arguments),
        (_, selection) => print_selected(&layout, &selection.unwrap_or_default(), arguments),
    }
}

impl LogsArguments {
    /// Returns the lines to select. `None` if all are.
    fn selection(&self, layout: &Layout) -> anyhow::Result<Option<Selection>> {
        if self.trace.is_none() && self.uid.is_none() && self.since.is_none() {
            return Ok(None);
        }
        let since = match self.since {
            Some(since) => Some(since.until(end_of(layout)?)),
            None => None,
        };
        Ok(Some(Selection {
            trace: self.trace.clone(),
            uid: self.uid,
            since,
        }))
    }
}

fn trace(text: &str) -> Result<String, String> {
    let is_trace =
        (TRACE_DIGITS..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_trace
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| format!("expected {TRACE_DIGITS} to 32 hexadecimal digits"))
}

/// Returns the time of the end of a run, or the time of day if it has not ended. The end of a run whose coordinator was
/// killed is the time of the last change of a log.
fn end_of(layout: &Layout) -> anyhow::Result<OffsetDateTime> {
    if Run::state_of(layout.root())? == State::Running {
        return Ok(OffsetDateTime::now_utc());
    }
    if let Some(end) = Manifest::read(layout)?.finished.as_deref().and_then(time_of) {
        return Ok(end);
    }
    let changes = names(layout)?
        .into_iter()
        .filter_map(|name| fs::metadata(layout.log(&name)).ok()?.modified().ok());
    Ok(changes.max().map_or_else(OffsetDateTime::now_utc, Into::into))
}

/// Prints the log of a node as it is.
fn print_log(layout: &Layout, node: &str, arguments: &LogsArguments) -> anyhow::Result<Status> {
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

/// Prints the selected lines of one log, or of all logs with the names of the nodes.
fn print_selected(
    layout: &Layout,
    selection: &Selection,
    arguments: &LogsArguments,
) -> anyhow::Result<Status> {
    let with_uid = match selection.uid {
        Some(uid) => nodes_with_only(uid, layout)?,
        None => BTreeSet::new(),
    };
    let mut skipped = 0;
    if let Some(lines) = arguments.lines {
        let mut count: u64 = 0;
        let mut logs = Logs::new(selection.clone(), with_uid.clone());
        add_logs(&mut logs, layout, arguments)?;
        logs.take(!arguments.follow, |_, _| {
            count += 1;
            Ok(())
        })?;
        skipped = count.saturating_sub(lines);
    }
    let mut logs = Logs::new(selection.clone(), with_uid);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut is_any = false;
    loop {
        // The state is read first, so that nothing that was written before the end is missed.
        let has_ended = !arguments.follow || Run::state_of(layout.root())? != State::Running;
        let width = add_logs(&mut logs, layout, arguments)?;
        logs.take(has_ended, |node, line| {
            is_any = true;
            if skipped > 0 {
                skipped -= 1;
                return Ok(());
            }
            if arguments.node.is_none() {
                write!(out, "{node:width$}  ")?;
            }
            out.write_all(line)?;
            out.write_all(b"\n")
        })?;
        out.flush()?;
        if has_ended {
            if !is_any {
                message!("no line of the logs is selected");
            }
            return Ok(Status::Done);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Adds the logs of the selected nodes, also of those that have started since the last call. Returns the number of
/// characters of the longest name.
fn add_logs(logs: &mut Logs, layout: &Layout, arguments: &LogsArguments) -> anyhow::Result<usize> {
    let names = match &arguments.node {
        Some(node) => vec![node.clone()],
        None => names(layout)?,
    };
    for name in &names {
        logs.add(name, layout.log(name));
    }
    Ok(names.iter().map(String::len).max().unwrap_or_default())
}

/// Returns the nodes that are the neuron with a uid, and no other neuron.
fn nodes_with_only(uid: u32, layout: &Layout) -> anyhow::Result<BTreeSet<String>> {
    let mut uids: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for neuron in neurons::load(layout)? {
        if let Some(node) = neuron.node {
            uids.entry(node).or_default().push(neuron.uid);
        }
    }
    uids.retain(|_, uids| *uids == [uid]);
    Ok(uids.into_keys().collect())
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
