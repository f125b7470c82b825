//! The log that the ledger comes back from: what changed it, in order, in a journal.
//!
//! A record is in the journal before anything that follows from it is answered. The first is the genesis: all of the
//! launch description that decides how the chain goes on.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use mirror_chain::{Block, Chain, ClosedBlock, Submitted};
use mirror_config::experiment::BlockTime;
use mirror_config::launch::{GenesisLaunch, SubtensorLaunch};
use mirror_identity::Hotkey;
use mirror_journal::{JournalError, Reader, Writer};
use mirror_proto::mirror::v1 as proto;
use prost::Message;
use serde::Serialize;

use crate::barrier::Barrier;
use crate::ledger::Ledger;
use crate::reports::Unreported;
use crate::{gate, launch};

/// The form of the records below. A log of another form is refused.
const FORMAT: u32 = 4;

/// Size at which a segment of the journal is full, bytes.
const SEGMENT_BYTES: u64 = 64 << 20;

/// The writing end.
pub(crate) struct Log {
    writer: Writer,
    batch: Vec<Vec<u8>>,
    synced: bool,
}

/// One record.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Record {
    #[prost(oneof = "Change", tags = "1, 2, 3, 4, 5, 6, 7")]
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

/// A log, and where it leads.
pub(crate) struct Opened {
    pub(crate) ledger: Ledger,
    pub(crate) log: Log,
    /// What the coordinator, if there is one, may not have, for all that the log says.
    pub(crate) unreported: Option<Unreported>,
}

/// Opens the log in the launch description's folder and comes back to its state, or begins one there.
pub(crate) fn open(launch: &SubtensorLaunch) -> anyhow::Result<Opened> {
    let chain = Chain::genesis(launch::genesis(&launch.genesis)?)?;
    let mut ledger = Ledger::new(
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
    let opened = Writer::open(&launch.state, SEGMENT_BYTES)?;
    if opened.torn > 0 {
        tracing::warn!(
            bytes = opened.torn,
            "cut off a record that was not written to its end"
        );
    }
    let mut log = Log {
        writer: opened.writer,
        batch: Vec::new(),
        synced: true,
    };
    let mut records = Reader::open(&launch.state)?;
    let mut unreported = launch.coordinator.map(|_| Unreported::default());
    let Some(first) = records.next().transpose()? else {
        log.push(Change::Genesis(genesis));
        log.commit()?;
        return Ok(Opened {
            ledger,
            log,
            unreported,
        });
    };
    check_genesis(&first.bytes, &genesis, &launch.state)?;
    for (number, record) in (1_u64..).zip(records) {
        replay(&mut ledger, unreported.as_mut(), &record?.bytes).with_context(|| {
            format!(
                "record {number} of the log in {} does not fit",
                launch.state.display()
            )
        })?;
    }
    Ok(Opened {
        ledger,
        log,
        unreported,
    })
}

fn check_genesis(first: &[u8], expected: &GenesisRecord, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.display();
    let Ok(Record {
        change: Some(Change::Genesis(found)),
    }) = Record::decode(first)
    else {
        bail!("the journal in {folder} is not a chain's: choose another folder for its state");
    };
    ensure!(
        found.format == FORMAT,
        "the log in {folder} has format {}, and this version reads {FORMAT}: go on with the version that wrote it",
        found.format
    );
    ensure!(
        found.description == expected.description,
        "the log in {folder} is of a chain with another genesis, barrier, holds or block time: choose another folder for \
         the state, or remove that one"
    );
    Ok(())
}

fn replay(ledger: &mut Ledger, unreported: Option<&mut Unreported>, record: &[u8]) -> anyhow::Result<()> {
    match Record::decode(record)?.change.context("it is of no known kind")? {
        Change::Genesis(_) => bail!("it is a second genesis"),
        Change::Submitted(message) => {
            let submitted = ledger.submit(gate::admit_again(&message)?)?;
            ensure!(
                matches!(submitted, Submitted::Taken { .. }),
                "its transaction was taken before"
            );
        }
        Change::Closed(block) => {
            check_block(ledger, block)?;
            let closed = ledger.close();
            note(unreported, &closed, ledger);
        }
        Change::StepClosed(StepClosed { block, step, joined }) => {
            check_block(ledger, block)?;
            let joined: Result<Vec<_>, _> = joined
                .iter()
                .map(|hotkey| Hotkey::try_from(&hotkey[..]))
                .collect();
            let closed = ledger.close_step(step, &joined?);
            note(unreported, &closed, ledger);
        }
        Change::Retired(Retired { hotkey, .. }) => {
            ledger.retire(&Hotkey::try_from(&hotkey[..])?)?;
        }
        Change::Released(step) => {
            ledger.release(step)?;
        }
        Change::Reported(block) => {
            if let Some(unreported) = unreported {
                unreported.forget(Block(block));
            }
        }
    }
    Ok(())
}

fn note(unreported: Option<&mut Unreported>, closed: &ClosedBlock, ledger: &Ledger) {
    if let Some(unreported) = unreported {
        unreported.add(closed, ledger.chain());
    }
}

fn check_block(ledger: &Ledger, block: u64) -> anyhow::Result<()> {
    let open = ledger.chain().open_block();
    ensure!(
        open == Block(block),
        "it closes block {block} while block {open} is open"
    );
    Ok(())
}

impl Log {
    /// Adds a record to the batch.
    pub(crate) fn push(&mut self, change: Change) {
        self.batch.push(Record { change: Some(change) }.encode_to_vec());
    }

    /// Writes the batch; after this the death of any process loses none of it.
    pub(crate) fn commit(&mut self) -> Result<(), JournalError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.writer.append_batch(&self.batch)?;
        self.batch.clear();
        self.synced = false;
        Ok(())
    }

    /// Brings all that was written to the disk.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        if !self.synced {
            self.writer.sync()?;
            self.synced = true;
        }
        Ok(())
    }
}
