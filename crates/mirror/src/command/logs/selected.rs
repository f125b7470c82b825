//! The selected lines of logs, merged by time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use time::OffsetDateTime;

use super::line::Line;

/// Number of bytes of a line that are kept.
const LONGEST: usize = 64 << 10;

/// Number of bytes that are read from a log together. There may be thousands of logs.
const BLOCK: usize = 8 << 10;

/// The lines to select. A condition that is `None` selects all.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    /// The first digits of the trace.
    pub(super) trace: Option<String>,
    /// The uid that a field of the line, or the node, has.
    pub(super) uid: Option<u32>,
    /// The earliest time.
    pub(super) since: Option<OffsetDateTime>,
}

impl Selection {
    fn selects(&self, line: &Line, node_has_uid: bool) -> bool {
        let of_trace = self.trace.as_ref().is_none_or(|start| {
            let trace = line.trace.as_ref();
            trace.is_some_and(|trace| trace.starts_with(start))
        });
        let of_uid = self
            .uid
            .is_none_or(|uid| node_has_uid || line.uids.contains(&uid));
        of_trace && of_uid && self.since.is_none_or(|since| line.time >= Some(since))
    }
}

/// The logs of several nodes, read as one.
pub(super) struct Logs {
    selection: Selection,
    /// The nodes whose lines all have the selected uid.
    with_uid: BTreeSet<String>,
    by_node: BTreeMap<String, Log>,
    /// The next selected line of each log that has one, the earliest first.
    next: BinaryHeap<Reverse<(Option<OffsetDateTime>, String)>>,
}

impl Logs {
    /// Creates an empty set of logs. All lines of the nodes `with_uid` have the uid of the selection.
    pub(super) fn new(selection: Selection, with_uid: BTreeSet<String>) -> Self {
        Self {
            selection,
            with_uid,
            by_node: BTreeMap::new(),
            next: BinaryHeap::new(),
        }
    }

    /// Adds the log of a node, unless it was added before.
    pub(super) fn add(&mut self, node: &str, path: PathBuf) {
        self.by_node
            .entry(node.to_owned())
            .or_insert_with(|| Log::new(path));
    }

    /// Looks for lines in the logs that had none, which nodes may have written since. If `is_end`, an unfinished last
    /// line counts as a line.
    fn look(&mut self, is_end: bool) -> io::Result<()> {
        for (node, log) in &mut self.by_node {
            if log.line.is_none() && log.advance(&self.selection, self.with_uid.contains(node), is_end)? {
                self.next.push(Reverse((log.time, node.clone())));
            }
        }
        Ok(())
    }

    /// Calls `take` with the node and the bytes of each selected line that [`Logs::look`] finds, without the end of the
    /// line, in the order of their times. Lines with the same time are in the order of the names of their nodes.
    pub(super) fn take(
        &mut self,
        is_end: bool,
        mut take: impl FnMut(&str, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.look(is_end)?;
        while let Some(Reverse((_, node))) = self.next.pop() {
            let log = self
                .by_node
                .get_mut(&node)
                .expect("only logs of the map are in the heap");
            if let Some(line) = log.line.take() {
                take(&node, &line)?;
            }
            if log.advance(&self.selection, self.with_uid.contains(&node), is_end)? {
                self.next.push(Reverse((log.time, node)));
            }
        }
        Ok(())
    }
}

/// The log of a node.
struct Log {
    reader: BufReader<Opened>,
    /// The beginning of the line that is being read, at most [`LONGEST`] bytes of it.
    unfinished: Vec<u8>,
    /// Number of bytes of this line that were left out.
    left_out: usize,
    /// Time of the last line, or of the line to which it belongs.
    time: Option<OffsetDateTime>,
    /// Whether the last line, or the line to which it belongs, was selected.
    is_selected: bool,
    /// The next selected line.
    line: Option<Vec<u8>>,
}

impl Log {
    fn new(path: PathBuf) -> Self {
        Self {
            reader: BufReader::with_capacity(BLOCK, Opened { path, offset: 0 }),
            unfinished: Vec::new(),
            left_out: 0,
            time: None,
            is_selected: false,
            line: None,
        }
    }

    /// Reads up to the next selected line. Returns whether there is one.
    fn advance(&mut self, selection: &Selection, node_has_uid: bool, is_end: bool) -> io::Result<bool> {
        while let Some(bytes) = self.read_line(is_end)? {
            let line = Line::read(&String::from_utf8_lossy(&bytes));
            // A line without a time before the first one with a time belongs to none, and has no time.
            if line.time.is_some() || self.time.is_none() {
                self.time = line.time;
                self.is_selected = selection.selects(&line, node_has_uid);
            }
            if self.is_selected {
                self.line = Some(bytes);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the next line, without its end. Returns `None` if there is no further line so far.
    fn read_line(&mut self, is_end: bool) -> io::Result<Option<Vec<u8>>> {
        loop {
            let block = self.reader.fill_buf()?;
            if block.is_empty() {
                let is_line = is_end && !self.unfinished.is_empty();
                return Ok(is_line.then(|| self.finished()));
            }
            let line_end = block.iter().position(|byte| *byte == b'\n');
            let part = &block[..line_end.unwrap_or(block.len())];
            let kept = part.len().min(LONGEST - self.unfinished.len());
            self.unfinished.extend_from_slice(&part[..kept]);
            self.left_out += part.len() - kept;
            let used = part.len() + usize::from(line_end.is_some());
            self.reader.consume(used);
            if line_end.is_some() {
                return Ok(Some(self.finished()));
            }
        }
    }

    fn finished(&mut self) -> Vec<u8> {
        let mut line = std::mem::take(&mut self.unfinished);
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            line.extend(format!(" (… {left_out} further bytes)").bytes());
        }
        line
    }
}

/// A file that is opened for each read, because there may be more logs than a process may have open files.
struct Opened {
    path: PathBuf,
    offset: u64,
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        let file = File::open(&self.path).map_err(named)?;
        // The log of another program has been shortened to its last lines, which were read before.
        self.offset = self.offset.min(file.metadata().map_err(named)?.len());
        let count = file.read_at(buffer, self.offset).map_err(named)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use time::macros::datetime;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    /// Two logs of text and one of JSON. The last has a panic and ends without the end of a line.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
        write(
            "miner-1.log",
            &format!(
                "2026-11-28T17:41:24.000001Z  INFO a: listening\n\
                 2026-11-28T17:41:26.000000Z  WARN a: refused uid=1 trace_id={TRACE} span_id=b7ad6b7169203331\n"
            ),
        );
        write(
            "miner-2.log",
            &format!(
                "{{\"timestamp\":\"2026-11-28T17:41:24.000000Z\",\"level\":\"INFO\",\"message\":\"listening\"}}\n\
                 {{\"timestamp\":\"2026-11-28T17:41:25.000000Z\",\"message\":\"asked\",\"uid\":1,\"trace_id\":\"{TRACE}\"}}\n"
            ),
        );
        write(
            "validator-0.log",
            "before any line\n\
             2026-11-28T17:41:24.500000Z ERROR a: panicked uid=1\n\
             first\n\
             second\n\
             2026-11-28T17:41:26.000000Z  INFO a: continues\n\
             last",
        );
        folder
    }

    fn read(folder: &tempfile::TempDir, selection: Selection, with_uid: &[&str]) -> Vec<String> {
        let with_uid = with_uid.iter().map(|node| (*node).to_owned()).collect();
        let mut logs = Logs::new(selection, with_uid);
        for node in ["miner-1", "miner-2", "validator-0"] {
            logs.add(node, folder.path().join(format!("{node}.log")));
        }
        let mut lines = Vec::new();
        let read = logs.take(true, |node, line| {
            let line = String::from_utf8_lossy(line).replace(TRACE, "T");
            lines.push(format!("{node} {line}"));
            Ok(())
        });
        read.expect("the logs can be read");
        lines
    }

    #[test]
    fn lines_are_merged_by_time_with_those_that_belong_to_them() {
        let lines = read(&folder(), Selection::default(), &[]);
        let starts: Vec<&str> = lines.iter().map(|line| &line[..line.len().min(60)]).collect();
        assert_eq!(
            starts,
            [
                "validator-0 before any line",
                r#"miner-2 {"timestamp":"2026-11-28T17:41:24.000000Z","level":""#,
                "miner-1 2026-11-28T17:41:24.000001Z  INFO a: listening",
                "validator-0 2026-11-28T17:41:24.500000Z ERROR a: panicked ui",
                "validator-0 first",
                "validator-0 second",
                r#"miner-2 {"timestamp":"2026-11-28T17:41:25.000000Z","message""#,
                "miner-1 2026-11-28T17:41:26.000000Z  WARN a: refused uid=1 t",
                "validator-0 2026-11-28T17:41:26.000000Z  INFO a: continues",
                "validator-0 last",
            ]
        );
    }

    #[test]
    fn a_trace_and_its_first_digits_select_its_lines() {
        let folder = folder();
        for start in [TRACE, "0af7"] {
            let selection = Selection {
                trace: Some(start.to_owned()),
                ..Selection::default()
            };
            assert_eq!(
                read(&folder, selection, &[]),
                [
                    r#"miner-2 {"timestamp":"2026-11-28T17:41:25.000000Z","message":"asked","uid":1,"trace_id":"T"}"#,
                    "miner-1 2026-11-28T17:41:26.000000Z  WARN a: refused uid=1 trace_id=T span_id=b7ad6b7169203331",
                ]
            );
        }
    }

    #[test]
    fn a_uid_selects_the_lines_of_its_node_and_those_that_name_it() {
        let selection = Selection {
            uid: Some(1),
            ..Selection::default()
        };
        let nodes: Vec<String> = read(&folder(), selection, &["miner-1"])
            .into_iter()
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            nodes,
            [
                "miner-1",
                "validator-0",
                "validator-0",
                "validator-0",
                "miner-2",
                "miner-1"
            ]
        );
    }

    #[test]
    fn lines_before_a_time_are_left_out() {
        let selection = Selection {
            since: Some(datetime!(2026-11-28 17:41:26 UTC)),
            ..Selection::default()
        };
        let lines = read(&folder(), selection, &[]);
        assert_eq!(lines.len(), 3, "{lines:?}");
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let folder = folder();
        let path = folder.path().join("miner-1.log");
        let start = "2026-11-28T17:41:24.000001Z  INFO a: ";
        fs::write(&path, format!("{start}{}\nnext\n", "x".repeat(3 * LONGEST))).expect("a file");
        let lines = read(&folder, Selection::default(), &[]);
        let long = lines
            .iter()
            .find(|line| line.starts_with("miner-1 2026"))
            .expect("the line");
        let cut = 2 * LONGEST + start.len();
        assert!(
            long.ends_with(&format!("xx (… {cut} further bytes)")),
            "{}",
            long.len()
        );
        assert!(long.len() < LONGEST + 50, "{}", long.len());
        assert!(lines.contains(&"miner-1 next".to_owned()));
    }

    /// While a log is followed, a line is printed when it is whole.
    #[test]
    fn a_line_is_taken_once_and_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let mut file = File::create(&path).expect("a file");
        let mut logs = Logs::new(Selection::default(), BTreeSet::new());
        logs.add("a", path);
        for (text, is_end, expected) in [
            ("one\ntw", false, &["one"][..]),
            ("", false, &[]),
            ("o\nthree", false, &["two"]),
            ("", true, &["three"]),
            ("", true, &[]),
        ] {
            file.write_all(text.as_bytes()).expect("a text");
            let mut lines = Vec::new();
            let taken = logs.take(is_end, |_, line| {
                lines.push(String::from_utf8_lossy(line).into_owned());
                Ok(())
            });
            taken.expect("the log can be read");
            assert_eq!(lines, expected);
        }
    }
}
