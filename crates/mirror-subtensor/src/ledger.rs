//! All that the log decides: the chain and the barrier. Live calls and the replay of the log go through the same
//! methods, so that both come to the same state.

use anyhow::Context;
use mirror_chain::{Block, Chain, ClosedBlock, DispatchError, Submitted};
use mirror_identity::Hotkey;

use crate::admission::CheckedTx;
use crate::barrier::{Barrier, BarrierError, ClosedStep, Hold, Report};

/// The chain and who closes its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    chain: Chain,
    barrier: Barrier,
    /// The block that `Begin` closes.
    first_block: Block,
}

impl Ledger {
    /// A chain that has not begun.
    pub(crate) fn new(chain: Chain, barrier: Barrier) -> Self {
        Self {
            first_block: chain.open_block(),
            chain,
            barrier,
        }
    }

    /// The same launch description's ledger as `snapshot` wrote it.
    pub(crate) fn restored(&self, chain: &[u8], barrier: &[u8]) -> anyhow::Result<Self> {
        let chain = Chain::from_snapshot(chain).context("its chain cannot be read")?;
        let barrier = postcard::from_bytes(barrier).context("its barrier cannot be read")?;
        Ok(Self {
            chain,
            barrier,
            first_block: self.first_block,
        })
    }

    /// The chain and the barrier as bytes.
    pub(crate) fn snapshot(&self) -> (Vec<u8>, Vec<u8>) {
        let barrier = postcard::to_stdvec(&self.barrier);
        let barrier = barrier.expect("memory takes all, and every list knows its length");
        (self.chain.snapshot(), barrier)
    }

    /// The chain.
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Whether the first block has closed.
    pub(crate) fn has_begun(&self) -> bool {
        self.chain.block() >= self.first_block
    }

    /// The block that `Begin` closes or has closed.
    pub(crate) fn first_block(&self) -> Block {
        self.first_block
    }

    /// Takes a transaction into the open block.
    pub(crate) fn submit(&mut self, checked: CheckedTx) -> Result<Submitted, DispatchError> {
        let transaction = checked.at(self.chain.open_block())?;
        self.chain.submit(transaction)
    }

    /// Notes that a validator has finished a step. Reports are not in the log: who has no answer reports again.
    pub(crate) fn report(&mut self, hotkey: &Hotkey, step: u64) -> Result<Report<'_>, BarrierError> {
        self.barrier.report(hotkey, step)
    }

    /// What the next block of a step is, if it can close: its step, and who joins the barrier with it.
    pub(crate) fn complete_step(&self) -> Option<(u64, Vec<Hotkey>)> {
        let step = self.barrier.complete().filter(|_| self.has_begun())?;
        Some((step, self.barrier.joining()))
    }

    /// Closes the open block, which is of no step: the first, or one that the clock closes.
    pub(crate) fn close(&mut self) -> ClosedBlock {
        self.chain.close_block()
    }

    /// Whether blocks that close by themselves come to an epoch, within so many of them, and none came with the last.
    pub(crate) fn is_unsettled(&self, most_blocks: u64) -> bool {
        let tempo = self.chain.metagraph().hyperparameters.tempo;
        let settled = self.chain.last_epoch() == Some(self.chain.block());
        self.has_begun() && !settled && tempo > 0 && tempo < most_blocks
    }

    /// Closes the open block as that of `step`.
    pub(crate) fn close_step(&mut self, step: u64, joined: &[Hotkey]) -> ClosedBlock {
        let closed = self.chain.close_block();
        self.barrier
            .close(step, &closed, self.chain.metagraph().version, joined);
        closed
    }

    /// Takes a validator out of the barrier; gives the block as of which it is out.
    pub(crate) fn retire(&mut self, hotkey: &Hotkey) -> Result<Block, BarrierError> {
        self.barrier.retire(hotkey, self.chain.open_block())
    }

    /// How it stands with the hold after a step.
    pub(crate) fn hold(&self, step: u64) -> Result<Hold, BarrierError> {
        self.barrier.hold(step)
    }

    /// Lets the barrier go on after the block of `step`.
    pub(crate) fn release(&mut self, step: u64) -> Result<Block, BarrierError> {
        self.barrier.release(step)
    }

    /// The last closed step, unless a hold stands after it.
    pub(crate) fn answered_step(&self) -> Option<&ClosedStep> {
        self.barrier
            .last_closed()
            .filter(|_| self.barrier.standing().is_none())
    }
}
