//! The log that the ledger comes back from: what changed it, in order, in a journal.
//!
//! A record is in the journal before anything that follows from it is answered. The first is the genesis: all of the
//! launch description that decides how the chain goes on. Where the log has become long, a new segment begins with a
//! snapshot, the whole ledger, and the segments before it go: what a start replays, and what the log takes of the disk,
//! does not grow with the chain.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use mirror_chain::{Block, Chain, Metagraph, Submitted};
use mirror_identity::Hotkey;
use mirror_journal::{MAX_RECORD, Reader, Writer};
use mirror_proto::mirror::v1 as proto;
use mirror_spec::BlockTime;
use mirror_spec::launch::{GenesisLaunch, SubtensorLaunch};
use prost::Message;
use serde::Serialize;

use crate::barrier::Barrier;
use crate::history::History;
use crate::ledger::Ledger;
use crate::reports::{BlockRecords, UnacknowledgedBlocks};
use crate::{admission, launch};

/// The form of the records below. A log of another form is refused.
const FORMAT: u32 = 6;

/// Size of the records since the last snapshot at which the log is long, bytes.
const LONG_BYTES: usize = 16 << 20;

/// The history's folder, in that of the log.
const HISTORY: &str = "history";

/// The writing end.
pub(crate) struct Log {
    writer: Writer,
    history: History,
    /// Closed blocks since the last snapshot at which the log is long.
    snapshot_blocks: u64,
    /// What it belongs to, JSON.
    description: Vec<u8>,
    batch: Vec<Vec<u8>>,
    synced: bool,
    /// Closed since the last snapshot.
    blocks: u64,
    /// Of the records since the last snapshot.
    bytes: usize,
    /// What the coordinator, if there is one, may not have, for all that the log says.
    unreported: Option<UnacknowledgedBlocks>,
}

/// The metagraph of a past block.
pub(crate) enum PastMetagraph {
    Held(Arc<Metagraph>),
    /// In the history in this folder.
    Written(PathBuf),
}

/// One record.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Record {
    #[prost(oneof = "Change", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub(crate) change: Option<Change>,
}

/// What a record says has happened.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Change {
    /// The chain was made.
    #[prost(message, tag = "1")]
    Genesis(GenesisRecord),
    /// A transaction was taken into the open block.
    #[prost(message, tag = "2")]
    Submitted(proto::Transaction),
    /// The block with this number closed, the first or by the clock.
    #[prost(uint64, tag = "3")]
    Closed(u64),
    /// The block of a step closed.
    #[prost(message, tag = "4")]
    StepClosed(StepClosed),
    /// A validator was taken out of the barrier.
    #[prost(message, tag = "5")]
    Retired(Retired),
    /// The barrier went on after the block of this step.
    #[prost(uint64, tag = "6")]
    Released(u64),
    /// The coordinator has all that was to be told of the blocks up to this one.
    #[prost(uint64, tag = "7")]
    Reported(u64),
    /// All of the log before came to this.
    #[prost(message, tag = "8")]
    Snapshot(SnapshotRecord),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotRecord {
    #[prost(message, tag = "1")]
    of: Option<GenesisRecord>,
    #[prost(bytes = "vec", tag = "2")]
    chain: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    barrier: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    unreported: Vec<BlockRecords>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GenesisRecord {
    #[prost(uint32, tag = "1")]
    format: u32,
    /// JSON
    #[prost(bytes = "vec", tag = "2")]
    description: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StepClosed {
    #[prost(uint64, tag = "1")]
    pub(crate) block: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) step: u64,
    /// Hotkeys that take part in the barrier again.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) joined: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Retired {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) hotkey: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) reason: String,
}

/// What a log belongs to.
#[derive(Serialize)]
struct Description<'launch> {
    genesis: &'launch GenesisLaunch,
    block_time: BlockTime,
    barrier: &'launch [String],
    holds: &'launch [u64],
}

/// Opens the log in the launch description's folder and comes back to its state, or begins one there.
pub(crate) fn open(launch: &SubtensorLaunch) -> anyhow::Result<(Ledger, Log)> {
    let folder = &launch.state;
    ensure!(
        launch.snapshot_blocks > 0,
        "a snapshot each 0 blocks: expected 1 or more"
    );
    let chain = Chain::genesis(launch::genesis(&launch.genesis)?)?;
    let begins = Ledger::new(
        chain,
        Barrier::new(launch::barrier(launch)?, launch.holds.iter().copied()),
    );
    let genesis = GenesisRecord {
        format: FORMAT,
        description: serde_json::to_vec(&Description {
            genesis: &launch.genesis,
            block_time: launch.block_time,
            barrier: &launch.barrier,
            holds: &launch.holds,
        })?,
    };
    // Before anything is cut off.
    let beginning = beginning(folder, &genesis).with_context(|| {
        format!(
            "the chain's state in {} cannot be gone on with: put back a sound copy of it, choose another folder, or remove \
             that one to begin anew",
            folder.display()
        )
    })?;
    let opened = Writer::open(folder, u64::MAX)?;
    if opened.torn > 0 {
        tracing::warn!(
            bytes = opened.torn,
            "cut off a record that was not written to its end"
        );
    }
    let mut log = Log {
        writer: opened.writer,
        history: History::open(folder.join(HISTORY))?,
        snapshot_blocks: launch.snapshot_blocks,
        description: genesis.description.clone(),
        batch: Vec::new(),
        synced: true,
        blocks: 0,
        bytes: 0,
        unreported: launch.coordinator.map(|_| UnacknowledgedBlocks::default()),
    };
    let Some(ReplayStart { segment, snapshot }) = beginning else {
        log.push(Change::Genesis(genesis));
        log.keep(begins.chain());
        log.commit()?;
        return Ok((begins, log));
    };
    let mut ledger = match snapshot {
        None => begins,
        Some(SnapshotRecord {
            chain,
            barrier,
            unreported,
            ..
        }) => {
            log.unreported = log.unreported.map(|_| unreported.into_iter().collect());
            begins.restored(&chain, &barrier).with_context(|| {
                format!(
                    "the snapshot in {} is of another version, or damaged",
                    folder.display()
                )
            })?
        }
    };
    log.keep(ledger.chain());
    for (number, record) in (1_u64..).zip(Reader::from_segment(folder, segment)?.skip(1)) {
        let bytes = record?.bytes;
        log.replay(&mut ledger, &bytes).with_context(|| {
            format!(
                "record {number} of segment {segment} of the log in {} does not fit",
                folder.display()
            )
        })?;
    }
    let version = ledger.chain().metagraph().version;
    ensure!(
        log.history.found() <= Some(version),
        "the history in {} goes beyond the log beside it: the two are not of one chain, or the log has lost its end",
        log.history.folder().display()
    );
    if log.writer.position().segment > segment {
        // A snapshot was begun and not written to its end.
        log.snapshot(&ledger)?;
    }
    log.writer.remove_before(segment)?;
    Ok((ledger, log))
}

/// Where the log begins that is to be replayed.
struct ReplayStart {
    segment: u32,
    /// The state there; `None`: the genesis.
    snapshot: Option<SnapshotRecord>,
}

/// The newest segment that begins with a whole state; `None` where no log was begun.
///
/// A snapshot that was not written to its end leaves the segment before it, which holds all that was acknowledged.
fn beginning(folder: &Path, genesis: &GenesisRecord) -> anyhow::Result<Option<ReplayStart>> {
    if !folder.exists() {
        return Ok(None);
    }
    let oldest = Reader::oldest(folder)?;
    let (first, newest) = (oldest.first_segment(), oldest.newest_segment());
    if newest == 0 {
        ensure!(
            std::fs::read_dir(folder)?.next().is_none(),
            "it holds files, and no log of a chain among them"
        );
        return Ok(None);
    }
    let last_but_one = newest.saturating_sub(1).max(first);
    for segment in [newest, last_but_one] {
        let mut records = Reader::from_segment(folder, segment)?;
        if let Some(record) = records.next().transpose()?
            && record.segment == segment
        {
            let snapshot = check_beginning(&record.bytes, genesis)?;
            return Ok(Some(ReplayStart { segment, snapshot }));
        }
        let whole = record_of(Change::Genesis(genesis.clone())).len() as u64;
        if segment == 1 && records.torn() < whole {
            // Its beginner was killed while it wrote.
            return Ok(None);
        }
    }
    bail!("the first record of segment {last_but_one} of its log is damaged")
}

fn check_beginning(first: &[u8], expected: &GenesisRecord) -> anyhow::Result<Option<SnapshotRecord>> {
    let (format, description, snapshot) = match Record::decode(first) {
        Ok(Record {
            change: Some(Change::Genesis(found)),
        }) => (found.format, found.description, None),
        Ok(Record {
            change: Some(Change::Snapshot(found)),
        }) => {
            let of = found.of.clone().unwrap_or_default();
            (of.format, of.description, Some(found))
        }
        _ => bail!("the journal there is not a chain's"),
    };
    ensure!(
        format == FORMAT,
        "the log has format {format}, and this version reads {FORMAT}: go on with the version that wrote it"
    );
    ensure!(
        description == expected.description,
        "the log is of a chain with another genesis, barrier, holds or block time"
    );
    Ok(snapshot)
}

fn check_block(ledger: &Ledger, block: u64) -> anyhow::Result<()> {
    let open = ledger.chain().open_block();
    ensure!(
        open == Block(block),
        "it closes block {block} while block {open} is open"
    );
    Ok(())
}

fn record_of(change: Change) -> Vec<u8> {
    Record { change: Some(change) }.encode_to_vec()
}

impl Log {
    /// Adds a record to the batch.
    pub(crate) fn push(&mut self, change: Change) {
        match change {
            Change::Closed(_) | Change::StepClosed(_) => self.blocks += 1,
            Change::Reported(block) => self.forget_reported(block),
            _ => {}
        }
        self.batch.push(record_of(change));
    }

    /// Keeps the metagraph of the last closed block, if its version is new.
    pub(crate) fn keep(&mut self, chain: &Chain) {
        self.history.take(chain.metagraph());
        self.synced = false;
    }

    /// Notes what the coordinator is to be told of a block, until [`Change::Reported`] says that it was.
    pub(crate) fn note(&mut self, block_records: Option<BlockRecords>) {
        if let (Some(unreported), Some(block_records)) = (&mut self.unreported, block_records) {
            unreported.add(block_records);
        }
    }

    /// What the coordinator, if there is one, may not have, for all that the log says.
    pub(crate) fn unreported(&self) -> Option<&UnacknowledgedBlocks> {
        self.unreported.as_ref()
    }

    /// Writes the batch; after this the death of any process loses none of it.
    pub(crate) fn commit(&mut self) -> anyhow::Result<()> {
        if !self.batch.is_empty() {
            self.writer.append_batch(&self.batch)?;
            self.bytes += self.batch.iter().map(Vec::len).sum::<usize>();
            self.batch.clear();
            self.synced = false;
        }
        if self.history.presses() {
            self.sync()?;
        }
        Ok(())
    }

    /// Brings all that was written to the disk, and the history after it.
    pub(crate) fn sync(&mut self) -> anyhow::Result<()> {
        if !self.synced {
            self.writer.sync()?;
            self.history.write()?;
            self.synced = true;
        }
        Ok(())
    }

    /// The version of the metagraph of a block that the chain does not hold, or where to read it.
    pub(crate) fn past(&self, block: Block) -> PastMetagraph {
        match self.history.waiting(block) {
            Some(version) => PastMetagraph::Held(Arc::clone(version)),
            None => PastMetagraph::Written(self.history.folder().to_owned()),
        }
    }

    /// Writes a snapshot where the log has become long, and lets go of what it replaces. All that was pushed is
    /// committed.
    pub(crate) fn shorten(&mut self, ledger: &Ledger) -> anyhow::Result<()> {
        if self.blocks < self.snapshot_blocks && self.bytes < LONG_BYTES {
            return Ok(());
        }
        self.snapshot(ledger)
    }

    fn snapshot(&mut self, ledger: &Ledger) -> anyhow::Result<()> {
        (self.blocks, self.bytes) = (0, 0);
        let (chain, barrier) = ledger.snapshot();
        let record = record_of(Change::Snapshot(SnapshotRecord {
            of: Some(GenesisRecord {
                format: FORMAT,
                description: self.description.clone(),
            }),
            chain,
            barrier,
            unreported: (self
                .unreported
                .iter()
                .flat_map(UnacknowledgedBlocks::iter)
                .cloned())
            .collect(),
        }));
        if record.len() > MAX_RECORD {
            tracing::warn!(
                bytes = record.len(),
                "the state is too large for a snapshot, and the log is kept as it is"
            );
            return Ok(());
        }
        self.sync()?;
        self.history.sync()?;
        self.writer.rotate()?;
        self.writer.append_batch(&[record])?;
        self.writer.sync()?;
        self.writer.remove_before(self.writer.position().segment)?;
        Ok(())
    }

    /// Does again what a record says.
    fn replay(&mut self, ledger: &mut Ledger, record: &[u8]) -> anyhow::Result<()> {
        let closed = match Record::decode(record)?.change.context("it is of no known kind")? {
            Change::Genesis(_) | Change::Snapshot(_) => bail!("it is a second beginning"),
            Change::Submitted(message) => {
                let submitted = ledger.submit(admission::check(&message)?)?;
                ensure!(
                    matches!(submitted, Submitted::Included { .. }),
                    "its transaction was taken before"
                );
                None
            }
            Change::Closed(block) => {
                check_block(ledger, block)?;
                Some(ledger.close())
            }
            Change::StepClosed(StepClosed { block, step, joined }) => {
                check_block(ledger, block)?;
                let joined: Result<Vec<_>, _> = joined
                    .iter()
                    .map(|hotkey| Hotkey::try_from(&hotkey[..]))
                    .collect();
                Some(ledger.close_step(step, &joined?))
            }
            Change::Retired(Retired { hotkey, .. }) => {
                ledger.retire(&Hotkey::try_from(&hotkey[..])?)?;
                None
            }
            Change::Released(step) => {
                ledger.release(step)?;
                None
            }
            Change::Reported(block) => {
                self.forget_reported(block);
                None
            }
        };
        if let Some(closed) = closed {
            self.blocks += 1;
            self.keep(ledger.chain());
            self.note(BlockRecords::new(&closed, ledger.chain()));
        }
        self.bytes += record.len();
        if self.history.presses() {
            self.sync()?;
        }
        Ok(())
    }

    fn forget_reported(&mut self, block: u64) {
        if let Some(unreported) = &mut self.unreported {
            unreported.forget(Block(block));
        }
    }
}
