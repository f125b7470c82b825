//! The journal of all changes to the ledger, in order, from which the ledger is restored.
//!
//! A record is in the journal before any reply that depends on it is sent. The first record is the genesis: the part of
//! the launch config that determines the chain. When the log has become long, a new segment begins with a snapshot of
//! the whole ledger, and the older segments are removed. The time of a restart and the size of the log on disk
//! therefore do not grow with the chain.

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

/// Version of the record format below. A log of another format is refused.
const FORMAT: u32 = 7;

/// Size of the records since the last snapshot at which a new snapshot is taken, in bytes.
const LONG_BYTES: usize = 16 << 20;

/// Name of the history's folder in the folder of the log.
const HISTORY: &str = "history";

/// Writer of the log.
pub(crate) struct Log {
    writer: Writer,
    history: History,
    /// Number of closed blocks since the last snapshot at which a new snapshot is taken.
    snapshot_blocks: u64,
    /// The [`Description`] of the chain, JSON.
    description: Vec<u8>,
    batch: Vec<Vec<u8>>,
    synced: bool,
    /// Number of blocks closed since the last snapshot.
    blocks: u64,
    /// Size of the records since the last snapshot, in bytes.
    bytes: usize,
    /// Records that are not recorded as acknowledged. `None` without a coordinator.
    unreported: Option<UnacknowledgedBlocks>,
}

/// The metagraph of a past block.
pub(crate) enum PastMetagraph {
    Held(Arc<Metagraph>),
    /// Read the metagraph from the history in this folder.
    Written(PathBuf),
}

/// A record of the log.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Record {
    #[prost(oneof = "Change", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub(crate) change: Option<Change>,
}

/// A change of the ledger.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Change {
    /// The chain was created.
    #[prost(message, tag = "1")]
    Genesis(GenesisRecord),
    /// A transaction was included in the open block.
    #[prost(message, tag = "2")]
    Submitted(proto::Transaction),
    /// The block with this number closed without a step: the first block, or one closed by the clock or by `Settle`.
    #[prost(uint64, tag = "3")]
    Closed(u64),
    /// The block of a step closed.
    #[prost(message, tag = "4")]
    StepClosed(StepClosed),
    /// A validator was retired from the barrier.
    #[prost(message, tag = "5")]
    Retired(Retired),
    /// The hold after the block of this step was released.
    #[prost(uint64, tag = "6")]
    Released(u64),
    /// The coordinator has acknowledged all records of the blocks up to and including this one.
    #[prost(uint64, tag = "7")]
    Reported(u64),
    /// A snapshot that replaces all earlier records.
    #[prost(message, tag = "8")]
    Snapshot(SnapshotRecord),
    /// A hold after the block of this step was added.
    #[prost(uint64, tag = "9")]
    HoldAdded(u64),
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
    /// The [`Description`] of the chain, JSON.
    #[prost(bytes = "vec", tag = "2")]
    description: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StepClosed {
    #[prost(uint64, tag = "1")]
    pub(crate) block: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) step: u64,
    /// Hotkeys that rejoined the barrier.
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

/// The settings that a log belongs to. A log with other settings is refused.
#[derive(Serialize)]
struct Description<'launch> {
    genesis: &'launch GenesisLaunch,
    block_time: BlockTime,
    /// The hotkeys of the members.
    barrier: Vec<&'launch str>,
}

/// Opens the log in the folder of the launch config and restores its state, or creates it.
pub(crate) fn open(launch: &SubtensorLaunch) -> anyhow::Result<(Ledger, Log)> {
    let folder = &launch.state;
    ensure!(
        launch.snapshot_blocks > 0,
        "snapshot_blocks is 0: expected 1 or more"
    );
    let chain = Chain::genesis(launch::genesis(&launch.genesis)?)?;
    let begins = Ledger::new(chain, Barrier::new(launch::barrier(launch)?));
    let genesis = GenesisRecord {
        format: FORMAT,
        description: serde_json::to_vec(&Description {
            genesis: &launch.genesis,
            block_time: launch.block_time,
            barrier: launch.barrier.iter().map(|member| &*member.hotkey).collect(),
        })?,
    };
    // Opening the writer cuts off an incomplete record, so the log is checked first.
    let beginning = beginning(folder, &genesis).with_context(|| {
        format!(
            "cannot resume the chain from {}: restore an intact copy, choose another folder, or delete it to start a \
             new chain",
            folder.display()
        )
    })?;
    let opened = Writer::open(folder, u64::MAX)?;
    if opened.torn > 0 {
        tracing::warn!(
            bytes = opened.torn,
            "cut off an incomplete record at the end of the log"
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
                    "the snapshot in {} is damaged or was written by another version of the program",
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
                "cannot replay record {number} of segment {segment} of the log in {}",
                folder.display()
            )
        })?;
    }
    let version = ledger.chain().metagraph().version;
    ensure!(
        log.history.found() <= Some(version),
        "the history in {} is newer than the log next to it: they are of different chains, or the end of the log is \
         missing",
        log.history.folder().display()
    );
    if log.writer.position().segment > segment {
        // A snapshot was begun and not completed.
        log.snapshot(&ledger)?;
    }
    log.writer.remove_before(segment)?;
    Ok((ledger, log))
}

/// Position from which the log is replayed.
struct ReplayStart {
    segment: u32,
    /// The state at the start of the segment. `None` if it is the genesis.
    snapshot: Option<SnapshotRecord>,
}

/// Returns the newest segment that begins with a complete state. `None` if there is no log.
///
/// If a snapshot is incomplete, the previous segment still exists and contains all that was acknowledged.
fn beginning(folder: &Path, genesis: &GenesisRecord) -> anyhow::Result<Option<ReplayStart>> {
    if !folder.exists() {
        return Ok(None);
    }
    let oldest = Reader::oldest(folder)?;
    let (first, newest) = (oldest.first_segment(), oldest.newest_segment());
    if newest == 0 {
        ensure!(
            std::fs::read_dir(folder)?.next().is_none(),
            "the folder contains files, but no chain log"
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
            // The node that created the log was killed while it wrote the genesis.
            return Ok(None);
        }
    }
    bail!("the first record of segment {last_but_one} of the log is damaged")
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
        _ => bail!("the journal in this folder is not a chain log"),
    };
    ensure!(
        format == FORMAT,
        "the log has format {format}, but this version reads format {FORMAT}: use the version that wrote it"
    );
    ensure!(
        description == expected.description,
        "the log belongs to a chain with another genesis, barrier or block time"
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

    /// Adds the metagraph of the last closed block to the history, if its version is new.
    pub(crate) fn keep(&mut self, chain: &Chain) {
        self.history.take(chain.metagraph());
        self.synced = false;
    }

    /// Keeps the records of a block until [`Change::Reported`] acknowledges them.
    pub(crate) fn note(&mut self, block_records: Option<BlockRecords>) {
        if let (Some(unreported), Some(block_records)) = (&mut self.unreported, block_records) {
            unreported.add(block_records);
        }
    }

    /// Returns the records that are not recorded as acknowledged. `None` without a coordinator.
    pub(crate) fn unreported(&self) -> Option<&UnacknowledgedBlocks> {
        self.unreported.as_ref()
    }

    /// Writes the batch to the operating system. From then on the death of a process cannot lose it.
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

    /// Syncs the log to disk, then writes the history.
    pub(crate) fn sync(&mut self) -> anyhow::Result<()> {
        if !self.synced {
            self.writer.sync()?;
            self.history.write()?;
            self.synced = true;
        }
        Ok(())
    }

    /// Returns the metagraph of a block that the chain does not hold, or where to read it.
    pub(crate) fn past(&self, block: Block) -> PastMetagraph {
        match self.history.waiting(block) {
            Some(version) => PastMetagraph::Held(Arc::clone(version)),
            None => PastMetagraph::Written(self.history.folder().to_owned()),
        }
    }

    /// Writes a snapshot if the log has become long, and removes the segments that it replaces. All pushed records must
    /// be committed.
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
                "the state is too large for a snapshot, so the log is kept in full"
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

    /// Applies a record to the ledger.
    fn replay(&mut self, ledger: &mut Ledger, record: &[u8]) -> anyhow::Result<()> {
        let closed = match Record::decode(record)?.change.context("unknown kind of record")? {
            Change::Genesis(_) | Change::Snapshot(_) => bail!("a genesis or snapshot within a segment"),
            Change::Submitted(message) => {
                let submitted = ledger.submit(admission::check(&message)?)?;
                ensure!(
                    matches!(submitted, Submitted::Included { .. }),
                    "its transaction was included before"
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
            Change::HoldAdded(step) => {
                ledger.add_hold(Some(step))?;
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
