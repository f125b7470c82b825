//! The metagraph at any past block: every version that the chain had, in a journal of its own.
//!
//! A version is a record of what it is, and records of the neurons that are not as in the version before. A segment
//! begins with a version that has all its neurons, so that a block is found by the first records of the segments and
//! what lies in one of them. Nothing of it stays in memory but the last version and those that wait to be written.
//!
//! It is written behind the log, never ahead of what the log has on the disk: what is missing at its end after a kill
//! comes again from the replay of the log.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use mirror_chain::{Block, Hyperparameters, MAX_UIDS, Metagraph, Neuron, Uid, Version};
use mirror_journal::{Entry, JournalError, Reader, Writer};
use serde::{Deserialize, Serialize};

/// Size from which the next version begins a segment, bytes.
const SEGMENT_BYTES: u64 = 8 << 20;

/// A segment whose first version is large grows to so many times its size.
const FIRST_VERSIONS: u64 = 8;

/// Most neurons of a record.
const NEURONS: usize = 32;

/// Versions that wait before the log is brought to the disk for their sake.
const WAITING: usize = 16;

/// One record.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    /// What follows is a version.
    Version {
        version: Version,
        since: Block,
        hyperparameters: Hyperparameters,
        /// How many there are.
        neurons: u32,
        /// How many follow.
        changed: u32,
    },
    /// Neurons of the version.
    Neurons(Vec<(Uid, Arc<Neuron>)>),
}

/// The writing end.
pub(crate) struct History {
    folder: PathBuf,
    writer: Writer,
    /// The last version that was there when it was opened.
    found: Option<Version>,
    /// The last version in the segment.
    written: Option<Arc<Metagraph>>,
    /// Size of the segment's first version, bytes.
    first_bytes: u64,
    /// Not written yet, oldest first.
    waiting: Vec<Arc<Metagraph>>,
    /// The last version that was taken.
    taken: Option<Version>,
}

impl History {
    /// Goes on with the history in `folder`, or begins one.
    pub(crate) fn open(folder: PathBuf) -> anyhow::Result<Self> {
        // A segment ends where a version fits badly, not where bytes are full.
        let mut writer = Writer::open(&folder, u64::MAX)?.writer;
        let found = last_version(&folder)?;
        // What the last version was is not known any more, so that the next is written as a whole.
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

    /// The last version that was there when it was opened.
    pub(crate) fn found(&self) -> Option<Version> {
        self.found
    }

    /// Takes a version, to be written later, unless it is there already.
    pub(crate) fn take(&mut self, version: &Arc<Metagraph>) {
        if self.taken < Some(version.version) {
            self.taken = Some(version.version);
            self.waiting.push(Arc::clone(version));
        }
    }

    /// Whether so many versions wait that they are to be written now.
    pub(crate) fn presses(&self) -> bool {
        self.waiting.len() >= WAITING
    }

    /// Writes what waits. The log must be on the disk as far.
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

    /// Brings what was written to the disk.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        self.writer.sync()
    }

    /// The version of a block, if it waits to be written.
    pub(crate) fn waiting(&self, block: Block) -> Option<&Arc<Metagraph>> {
        let mut newest_first = self.waiting.iter().rev();
        newest_first.find(|version| version.since <= block)
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A version, after the one before it or as a whole.
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
        .map(|record| postcard::to_stdvec(&record).context("a version cannot be written"))
        .collect()
}

/// The version that the metagraph had when `block` closed; `None` where the history begins later.
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

/// The first block whose version is there.
pub(crate) fn begins(folder: &Path) -> anyhow::Result<Option<Block>> {
    first_since(folder, 1)
}

/// The newest segment that begins with the version of `block` or one before.
fn segment_of(folder: &Path, block: Block) -> anyhow::Result<Option<u32>> {
    let newest = Reader::open(folder)?.newest_segment();
    let (mut low, mut high) = (1, newest + 1);
    while low < high {
        let middle = low.midpoint(high);
        // Only the newest, just begun, may have no version.
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

/// The last version that was written to its end, in whichever segment it is.
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

/// Shows the versions of a segment, oldest first, until `see` has seen enough. One that was not written to its end is
/// passed over: the next segment begins with it.
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
        "segment {segment} of the history in {} holds no versions of a metagraph that this version of the program reads",
        folder.display()
    )
}
