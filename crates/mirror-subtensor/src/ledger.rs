//! The state that the log determines: the chain and the barrier. Live calls and the replay of the log use the same
//! methods, so that both reach the same state.

use anyhow::Context;
use mirror_chain::{Block, Chain, ClosedBlock, DispatchError, Submitted};
use mirror_identity::Hotkey;

use crate::admission::CheckedTx;
use crate::barrier::{Barrier, BarrierError, ClosedStep, Hold, Report};

/// The chain and the barrier that closes its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    chain: Chain,
    barrier: Barrier,
    /// The block that `Begin` closes.
    first_block: Block,
}

impl Ledger {
    /// Creates the ledger of a chain that has not begun.
    pub(crate) fn new(chain: Chain, barrier: Barrier) -> Self {
        Self {
            first_block: chain.open_block(),
            chain,
            barrier,
        }
    }

    /// Returns the ledger of the same launch config in the state that [`Ledger::snapshot`] wrote.
    pub(crate) fn restored(&self, chain: &[u8], barrier: &[u8]) -> anyhow::Result<Self> {
        let chain = Chain::from_snapshot(chain).context("cannot decode its chain")?;
        let barrier = postcard::from_bytes(barrier).context("cannot decode its barrier")?;
        Ok(Self {
            chain,
            barrier,
            first_block: self.first_block,
        })
    }

    /// Encodes the chain and the barrier.
    pub(crate) fn snapshot(&self) -> (Vec<u8>, Vec<u8>) {
        let barrier = postcard::to_stdvec(&self.barrier);
        let barrier = barrier.expect("writing to memory cannot fail, and every list has a known length");
        (self.chain.snapshot(), barrier)
    }

    /// Returns the chain.
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Whether the first block has closed.
    pub(crate) fn has_begun(&self) -> bool {
        self.chain.block() >= self.first_block
    }

    /// Returns the block that `Begin` closes or has closed.
    pub(crate) fn first_block(&self) -> Block {
        self.first_block
    }

    /// Submits a transaction to the open block.
    pub(crate) fn submit(&mut self, checked: CheckedTx) -> Result<Submitted, DispatchError> {
        let transaction = checked.at(self.chain.open_block())?;
        self.chain.submit(transaction)
    }

    /// Records that a validator has finished a step. Reports are not logged: a validator without an answer reports
    /// again.
    pub(crate) fn report(&mut self, hotkey: &Hotkey, step: u64) -> Result<Report<'_>, BarrierError> {
        self.barrier.report(hotkey, step)
    }

    /// Returns the step whose block can close now, and the hotkeys that join the barrier with it. `None` if the chain
    /// has not begun or no step is complete.
    pub(crate) fn complete_step(&self) -> Option<(u64, Vec<Hotkey>)> {
        let step = self.barrier.complete().filter(|_| self.has_begun())?;
        Some((step, self.barrier.joining()))
    }

    /// Closes the open block without a step: the first block, a block closed by the clock, or a block closed by
    /// `Settle`.
    pub(crate) fn close(&mut self) -> ClosedBlock {
        self.chain.close_block()
    }

    /// Whether closing further blocks leads to an epoch: the chain has begun, its tempo is above 0 and below
    /// `most_blocks`, and the last closed block did not run an epoch.
    pub(crate) fn is_unsettled(&self, most_blocks: u64) -> bool {
        let tempo = self.chain.metagraph().hyperparameters.tempo;
        let settled = self.chain.last_epoch() == Some(self.chain.block());
        self.has_begun() && !settled && tempo > 0 && tempo < most_blocks
    }

    /// Whether an epoch runs when the open block closes, unless a transaction of the block changes the tempo.
    pub(crate) fn runs_epoch(&self) -> bool {
        self.chain.runs_epoch()
    }

    /// Closes the open block as the block of `step`.
    pub(crate) fn close_step(&mut self, step: u64, joined: &[Hotkey]) -> ClosedBlock {
        let closed = self.chain.close_block();
        self.barrier
            .close(step, &closed, self.chain.metagraph().version, joined);
        closed
    }

    /// Retires a validator from the barrier and returns the block as of which it is retired.
    pub(crate) fn retire(&mut self, hotkey: &Hotkey) -> Result<Block, BarrierError> {
        self.barrier.retire(hotkey, self.chain.open_block())
    }

    /// Lets the barrier hold after the block of `step`, or of the open step. Returns the step.
    pub(crate) fn add_hold(&mut self, step: Option<u64>) -> Result<u64, BarrierError> {
        self.barrier.add_hold(step)
    }

    /// Returns the state of the hold after a step.
    pub(crate) fn hold(&self, step: u64) -> Result<Hold, BarrierError> {
        self.barrier.hold(step)
    }

    /// Releases the hold after the block of `step`.
    pub(crate) fn release(&mut self, step: u64) -> Result<Block, BarrierError> {
        self.barrier.release(step)
    }

    /// Returns the last closed step. `None` while it is held.
    pub(crate) fn answered_step(&self) -> Option<&ClosedStep> {
        self.barrier
            .last_closed()
            .filter(|_| self.barrier.standing().is_none())
    }
}
