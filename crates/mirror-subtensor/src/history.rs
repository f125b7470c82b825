//! The metagraph as of any past block: a journal of every version that the chain has had.
//!
//! A version is a header record followed by records of the neurons that differ from the previous version. A segment
//! begins with a complete version, so that a block is found by the first records of the segments and a scan of one
//! segment. Only the last version and the versions that wait to be written stay in memory.
//!
//! The history is written after the log and never ahead of the part of the log that is synced to disk. A version that
//! is missing at its end after a kill is restored by the replay of the log.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use mirror_chain::{Block, Hyperparameters, MAX_UIDS, Metagraph, Neuron, Uid, Version};
use mirror_journal::{Entry, JournalError, Reader, Writer};
use serde::{Deserialize, Serialize};

/// Segment size from which the next version begins a new segment, in bytes.
const SEGMENT_BYTES: u64 = 8 << 20;

/// Segment size from which the next version begins a new segment, as a multiple of the size of the segment's first
/// version. It applies if it exceeds [`SEGMENT_BYTES`].
const FIRST_VERSIONS: u64 = 8;

/// Maximum number of neurons in a record.
const NEURONS: usize = 32;

/// Number of waiting versions at which the log is synced so that they can be written.
const WAITING: usize = 16;

/// A record of the history.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    /// Header of a version.
    Version {
        version: Version,
        since: Block,
        hyperparameters: Hyperparameters,
        /// Number of neurons.
        neurons: u32,
        /// Number of neurons in the following [`Record::Neurons`] records.
        changed: u32,
    },
    /// Neurons of the version.
    Neurons(Vec<(Uid, Arc<Neuron>)>),
}

/// Writer of the history.
pub(crate) struct History {
    folder: PathBuf,
    writer: Writer,
    /// Last version that the history contained when it was opened.
    found: Option<Version>,
    /// Last version written to the current segment.
    written: Option<Arc<Metagraph>>,
    /// Size of the segment's first version, in bytes.
    first_bytes: u64,
    /// Versions to be written, oldest first.
    waiting: Vec<Arc<Metagraph>>,
    /// Last version passed to [`History::take`].
    taken: Option<Version>,
}

impl History {
    /// Opens the history in `folder`, or creates it.
    pub(crate) fn open(folder: PathBuf) -> anyhow::Result<Self> {
        // Segments are rotated below, between versions, not by the writer's size limit.
        let mut writer = Writer::open(&folder, u64::MAX)?.writer;
        let found = last_version(&folder)?;
        // The content of the last version is unknown, so the next version is written in full, in a new segment.
        writer.rotate()?;
        Ok(Self {
            folder,
            writer,
            found,
            written: None,
            first_bytes: 0,
            waiting: Vec::new(),
            taken: found,
        })
    }

    /// Returns the last version that the history contained when it was opened.
    pub(crate) fn found(&self) -> Option<Version> {
        self.found
    }

    /// Queues a version to be written, unless the history already contains it.
    pub(crate) fn take(&mut self, version: &Arc<Metagraph>) {
        if self.taken < Some(version.version) {
            self.taken = Some(version.version);
            self.waiting.push(Arc::clone(version));
        }
    }

    /// Whether enough versions wait that they must be written now.
    pub(crate) fn presses(&self) -> bool {
        self.waiting.len() >= WAITING
    }

    /// Writes the waiting versions. The log must be synced up to the last of them.
    pub(crate) fn write(&mut self) -> anyhow::Result<()> {
        for version in std::mem::take(&mut self.waiting) {
            if self.writer.position().offset > SEGMENT_BYTES.max(self.first_bytes * FIRST_VERSIONS) {
                self.writer.rotate()?;
                self.written = None;
            }
            let records = records(&version, self.written.as_deref())?;
            let end = self.writer.append_batch(&records)?;
            if self.written.is_none() {
                self.first_bytes = end.offset;
            }
            self.written = Some(version);
        }
        Ok(())
    }

    /// Syncs the written versions to disk.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        self.writer.sync()
    }

    /// Returns the version of a block if it waits to be written.
    pub(crate) fn waiting(&self, block: Block) -> Option<&Arc<Metagraph>> {
        let mut newest_first = self.waiting.iter().rev();
        newest_first.find(|version| version.since <= block)
    }

    /// Returns the folder of the history.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Encodes a version as changes to the version `before`, or in full without it.
fn records(version: &Metagraph, before: Option<&Metagraph>) -> anyhow::Result<Vec<Vec<u8>>> {
    let before = before.map_or(&[][..], |before| &before.neurons);
    let neurons = (0..=u16::MAX).map(Uid).zip(&version.neurons);
    let changed: Vec<_> = neurons
        .filter(|(uid, neuron)| before.get(uid.index()) != Some(*neuron))
        .map(|(uid, neuron)| (uid, Arc::clone(neuron)))
        .collect();
    let head = Record::Version {
        version: version.version,
        since: version.since,
        hyperparameters: version.hyperparameters.clone(),
        neurons: version.neurons.len() as u32,
        changed: changed.len() as u32,
    };
    let parts = changed.chunks(NEURONS).map(|part| Record::Neurons(part.to_vec()));
    let records = std::iter::once(head).chain(parts);
    records
        .map(|record| postcard::to_stdvec(&record).context("cannot encode a version of the metagraph"))
        .collect()
}

/// Reads the version of the metagraph as of the closing of `block`. `None` if the history begins later.
pub(crate) fn read(folder: &Path, block: Block) -> anyhow::Result<Option<Metagraph>> {
    let Some(segment) = segment_of(folder, block)? else {
        return Ok(None);
    };
    let mut found = None;
    walk(folder, segment, |version| {
        if version.since > block {
            return ControlFlow::Break(());
        }
        found = Some(version);
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Returns the first block of the oldest version in the history.
pub(crate) fn begins(folder: &Path) -> anyhow::Result<Option<Block>> {
    first_since(folder, 1)
}

/// Returns the newest segment that begins at `block` or earlier.
fn segment_of(folder: &Path, block: Block) -> anyhow::Result<Option<u32>> {
    let newest = Reader::open(folder)?.newest_segment();
    let (mut low, mut high) = (1, newest + 1);
    while low < high {
        let middle = low.midpoint(high);
        // Only the newest segment can be without a version.
        let begins = first_since(folder, middle)?;
        if begins.is_some_and(|since| since <= block) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low.checked_sub(1).filter(|&segment| segment > 0))
}

fn first_since(folder: &Path, segment: u32) -> anyhow::Result<Option<Block>> {
    let first = Reader::from_segment(folder, segment)?.next().transpose()?;
    let Some(first) = first.filter(|entry| entry.segment == segment) else {
        return Ok(None);
    };
    match record(folder, &first)? {
        Record::Version { since, .. } => Ok(Some(since)),
        Record::Neurons(_) => bail!(unsound(folder, segment)),
    }
}

/// Returns the last complete version, in any segment.
fn last_version(folder: &Path) -> anyhow::Result<Option<Version>> {
    let newest = Reader::open(folder)?.newest_segment();
    for segment in (1..=newest).rev() {
        let mut last = None;
        walk(folder, segment, |version| {
            last = Some(version.version);
            ControlFlow::Continue(())
        })?;
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

/// Passes the versions of a segment to `see`, oldest first, until `see` breaks. An incomplete version is skipped; the
/// next segment begins with it.
fn walk(
    folder: &Path,
    segment: u32,
    mut see: impl FnMut(Metagraph) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let mut neurons: Vec<Option<Arc<Neuron>>> = Vec::new();
    let mut head: Option<Metagraph> = None;
    let mut missing = 0;
    for entry in Reader::from_segment(folder, segment)? {
        let entry = entry?;
        if entry.segment != segment {
            break;
        }
        match record(folder, &entry)? {
            Record::Version {
                version,
                since,
                hyperparameters,
                neurons: count,
                changed,
            } => {
                ensure!(count <= MAX_UIDS, unsound(folder, segment));
                neurons.resize(count as usize, None);
                missing = changed as usize;
                head = Some(Metagraph {
                    version,
                    since,
                    hyperparameters,
                    neurons: Vec::new(),
                });
            }
            Record::Neurons(changed) => {
                missing = missing.saturating_sub(changed.len());
                for (uid, neuron) in changed {
                    let place = neurons.get_mut(uid.index());
                    *place.with_context(|| unsound(folder, segment))? = Some(neuron);
                }
            }
        }
        if missing == 0
            && let Some(head) = head.take()
        {
            let whole = neurons.iter().cloned().collect::<Option<Vec<_>>>();
            let version = Metagraph {
                neurons: whole.with_context(|| unsound(folder, segment))?,
                ..head
            };
            if see(version).is_break() {
                break;
            }
        }
    }
    Ok(())
}

fn record(folder: &Path, entry: &Entry) -> anyhow::Result<Record> {
    postcard::from_bytes(&entry.bytes).with_context(|| unsound(folder, entry.segment))
}

fn unsound(folder: &Path, segment: u32) -> String {
    format!(
        "cannot decode segment {segment} of the history in {}: it is damaged or of another program version",
        folder.display()
    )
}
