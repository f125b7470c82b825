//! Reports to the coordinator, for the tables of the run: the outcomes of transactions and the results of epochs.
//!
//! The records of a closed block are built from the block, both live and during replay. They are sent once the block is
//! in the log. From time to time the log records the last block whose records the coordinator has acknowledged. After a
//! restart the node sends the records of later blocks again, and the coordinator discards those that it already has. No
//! record is lost if either process is killed.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;

use mirror_chain::{Block, Chain, ClosedBlock, Neuron, Paid, PaidEpoch};
use mirror_net::tracer::Tracer;
use mirror_node::reporter::{self, AckHandler, ReportStream, Reporter};
use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{
    ClosedTransaction, ClosedTransactions, EpochFindings, EpochNeuron, Hello, Record,
};
use prost::Message;
use tokio::sync::watch;

use crate::wire;

/// Maximum number of transactions, or of neurons plus bonds, in a record. This keeps a record below one megabyte unless
/// a single neuron has more bonds.
const PART: usize = 4_096;

/// Records of the blocks that the coordinator may not have acknowledged, oldest block first.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnacknowledgedBlocks(VecDeque<BlockRecords>);

/// Records of one block, in the form in which a snapshot stores them.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BlockRecords {
    #[prost(uint64, tag = "1")]
    block: u64,
    #[prost(message, repeated, tag = "2")]
    records: Vec<Record>,
}

/// Sender of the stream to the coordinator.
pub(crate) struct Reports {
    unreported: UnacknowledgedBlocks,
    /// The payload is the block number for the last record of a block, and `None` for the other records.
    reporter: Reporter<Option<Block>>,
    /// Last block whose records are all acknowledged.
    acknowledged: watch::Receiver<Option<Block>>,
}

/// Publishes the last block whose records are all acknowledged.
pub(crate) struct Acknowledged(watch::Sender<Option<Block>>);

impl Reports {
    /// Creates a stream to `coordinator` that begins with `unreported`. The caller runs the returned [`ReportStream`]
    /// concurrently.
    pub(crate) fn open(
        coordinator: SocketAddr,
        tracer: Tracer,
        hello: Hello,
        unreported: UnacknowledgedBlocks,
    ) -> (Self, ReportStream<Acknowledged>) {
        let (calls, acknowledged) = watch::channel(None);
        let (reporter, report_stream) = reporter::reporter(coordinator, tracer, hello, Acknowledged(calls));
        let reports = Self {
            unreported,
            reporter,
            acknowledged,
        };
        (reports, report_stream)
    }

    /// Adds the records of a block.
    pub(crate) fn add(&mut self, block_records: BlockRecords) {
        self.unreported.add(block_records);
    }

    /// Sends all added records, whose blocks must be in the log. Waits while too many records are unacknowledged.
    pub(crate) async fn send(&mut self) -> anyhow::Result<()> {
        while let Some(BlockRecords { block, mut records }) = self.unreported.0.pop_front() {
            let last = records.pop().and_then(|record| record.kind);
            for kind in records.into_iter().filter_map(|record| record.kind) {
                self.reporter.report(kind, None).await?;
            }
            if let Some(last) = last {
                self.reporter.report(last, Some(Block(block))).await?;
            }
        }
        Ok(())
    }

    /// Returns the last acknowledged block if it has changed since the last call.
    pub(crate) fn acknowledged(&mut self) -> Option<Block> {
        // If the sender was dropped, nothing is acknowledged any more, and sending returns the error.
        let news = self.acknowledged.has_changed().unwrap_or(false);
        news.then(|| *self.acknowledged.borrow_and_update()).flatten()
    }
}

impl AckHandler for Acknowledged {
    type AckPayload = Option<Block>;

    fn acknowledged(&mut self, blocks: Vec<Option<Block>>) -> anyhow::Result<()> {
        if let Some(last) = blocks.into_iter().flatten().next_back() {
            self.0.send_replace(Some(last));
        }
        Ok(())
    }

    /// Does nothing: this node is the subtensor.
    fn subtensor_moved(&mut self, _address: SocketAddr) {}
}

impl BlockRecords {
    /// Returns the records of the block that has just closed. `None` if there are none.
    pub(crate) fn new(closed: &ClosedBlock, chain: &Chain) -> Option<Self> {
        let mut kinds = transactions(closed);
        if let Some(epoch) = &closed.epoch {
            kinds.extend(findings(closed.block, epoch, &chain.metagraph().neurons));
        }
        let records: Vec<_> = kinds
            .into_iter()
            .map(|kind| Record { kind: Some(kind) })
            .collect();
        (!records.is_empty()).then_some(Self {
            block: closed.block.0,
            records,
        })
    }
}

impl FromIterator<BlockRecords> for UnacknowledgedBlocks {
    fn from_iter<T: IntoIterator<Item = BlockRecords>>(blocks: T) -> Self {
        Self(blocks.into_iter().collect())
    }
}

impl UnacknowledgedBlocks {
    /// Adds the records of a block.
    pub(crate) fn add(&mut self, block_records: BlockRecords) {
        self.0.push_back(block_records);
    }

    /// Iterates over the blocks, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &BlockRecords> {
        self.0.iter()
    }

    /// Removes the blocks up to and including `acknowledged`.
    pub(crate) fn forget(&mut self, acknowledged: Block) {
        while self.0.front().is_some_and(|first| first.block <= acknowledged.0) {
            self.0.pop_front();
        }
    }
}

fn transactions(closed: &ClosedBlock) -> Vec<Kind> {
    let calls = closed.applied.iter().zip(&closed.asked);
    let calls: Vec<_> = calls
        .map(|(applied, asked)| ClosedTransaction {
            signer: applied.signer.bytes().to_vec(),
            nonce: applied.nonce.0,
            call: asked.call.to_owned(),
            arguments: asked.arguments.clone(),
            refusal: applied
                .outcome
                .err()
                .map(|error| wire::dispatch_error(error).into()),
        })
        .collect();
    let parts = (0..).step_by(PART).zip(calls.chunks(PART));
    parts
        .map(|(first, part)| {
            Kind::Transactions(ClosedTransactions {
                block: closed.block.0,
                first,
                transactions: part.to_vec(),
            })
        })
        .collect()
}

/// Returns the results of an epoch by uid, split into records of limited size.
fn findings(block: Block, epoch: &PaidEpoch, neurons: &[impl AsRef<Neuron>]) -> Vec<Kind> {
    let part = |first_uid| EpochFindings {
        epoch: epoch.number,
        block: block.0,
        first_uid,
        neurons: Vec::new(),
    };
    let mut parts = Vec::new();
    let mut open = part(0);
    let mut size = 0;
    for (uid, (neuron, paid)) in (0..).zip(neurons.iter().zip(&epoch.paid)) {
        let neuron = finding(neuron.as_ref(), *paid);
        let neuron_size = 1 + neuron.bonds.len();
        if size > 0 && size + neuron_size > PART {
            parts.push(Kind::Epoch(mem::replace(&mut open, part(uid))));
            size = 0;
        }
        size += neuron_size;
        open.neurons.push(neuron);
    }
    parts.push(Kind::Epoch(open));
    parts
}

fn finding(neuron: &Neuron, paid: Paid) -> EpochNeuron {
    let bonds = neuron.bonds.iter().filter(|bond| bond.bond > 0);
    let (bonded, bonds) = bonds
        .map(|bond| (u32::from(bond.uid.0), u32::from(bond.bond)))
        .unzip();
    EpochNeuron {
        hotkey: neuron.hotkey.bytes().to_vec(),
        coldkey: neuron.coldkey.bytes().to_vec(),
        stake: neuron.stake.0,
        rank: neuron.rank.into(),
        trust: neuron.trust.into(),
        consensus: neuron.consensus.into(),
        incentive: neuron.incentive.into(),
        dividends: neuron.dividends.into(),
        emission: neuron.emission.0,
        server_emission: paid.server.0,
        validator_emission: paid.validator.0,
        validator_trust: neuron.validator_trust.into(),
        validator_permit: neuron.validator_permit,
        active: neuron.active,
        pruning_score: neuron.pruning_score.into(),
        bonded,
        bonds,
    }
}
