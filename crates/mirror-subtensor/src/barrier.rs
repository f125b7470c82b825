//! The barrier of `block_time: per_step`: the block of a step closes when every participating validator has reported
//! the step.
//!
//! - Steps increase by one from the first reported step.
//! - A repeated report of a closed step is answered again, up to [`ANSWERED_STEPS`] steps back.
//! - The barrier does not wait for a retired member. A retired member that reports the open step rejoins when the block
//!   of that step closes.
//! - After the block of a held step no block closes, and reports of that step are not answered, until the step is
//!   released.

use std::collections::{BTreeMap, VecDeque};

use mirror_chain::{Applied, Block, ClosedBlock, Version};
use mirror_identity::Hotkey;
use serde::{Deserialize, Serialize};

/// Number of closed steps whose reports are answered again.
pub(crate) const ANSWERED_STEPS: usize = 1_024;

/// Maximum number of holds that are ahead or were released at most [`ANSWERED_STEPS`] steps ago.
pub(crate) const MAX_HOLDS: usize = 1 << 16;

/// Members and the steps that they have reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Barrier {
    members: BTreeMap<Hotkey, Member>,
    /// The step whose block is open; `None` until a step is reported.
    open: Option<u64>,
    holds: BTreeMap<u64, Hold>,
    /// The last [`ANSWERED_STEPS`] closed steps, oldest first.
    closed: VecDeque<ClosedStep>,
}

/// State of a validator for the open step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Member {
    /// The barrier waits for its report.
    Awaited,
    /// It has reported the open step.
    Reported,
    /// Retired as of this block: the barrier does not wait for it.
    Retired(Block),
    /// It was retired and has reported the open step.
    Joining,
}

/// State of the hold after the block of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hold {
    /// The block has not closed.
    Ahead,
    /// The block has closed, and the barrier is paused.
    Standing(Block),
    /// The hold was released.
    Released(Block),
}

/// A step whose block has closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClosedStep {
    /// The step.
    pub(crate) step: u64,
    /// The block of the step.
    pub(crate) block: Block,
    /// Version of the metagraph as of that block.
    pub(crate) version: Version,
    /// Outcomes of the members' transactions in that block.
    pub(crate) applied: Vec<Applied>,
}

/// Result of a report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report<'barrier> {
    /// The block of the step has already closed.
    Closed(&'barrier ClosedStep),
    /// The report is answered when the block of the step closes and is not held.
    Waits,
}

/// Error of a report or request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BarrierError {
    /// The hotkey is not a member of the barrier.
    #[error("hotkey {hotkey} is not a member of the barrier")]
    UnknownMember {
        /// The hotkey.
        hotkey: Hotkey,
    },
    /// The step is later than the open one.
    #[error("cannot report step {step} while step {open} is open")]
    Ahead {
        /// The reported step.
        step: u64,
        /// The step whose block is open.
        open: u64,
    },
    /// The block of the step closed too long ago.
    #[error("step {step} closed too long ago: the oldest step that is still answered is {oldest}")]
    TooOld {
        /// The reported step.
        step: u64,
        /// The oldest step that is still answered.
        oldest: u64,
    },
    /// The block of the step has closed, so the barrier can no longer hold after it.
    #[error("cannot hold after step {step}: its block has closed, and step {open} is open")]
    Closed {
        /// The step.
        step: u64,
        /// The step whose block is open.
        open: u64,
    },
    /// There are [`MAX_HOLDS`] holds.
    #[error("cannot hold after step {step}: there are {MAX_HOLDS} holds already, the maximum")]
    TooManyHolds {
        /// The step.
        step: u64,
    },
    /// The step is not held.
    #[error("there is no hold after step {step}")]
    NoHold {
        /// The step.
        step: u64,
    },
    /// The barrier has not reached the hold.
    #[error("cannot release step {step}: its block has not closed")]
    NotStanding {
        /// The step.
        step: u64,
    },
}

impl Barrier {
    /// Creates a barrier for these validators.
    pub(crate) fn new(members: impl IntoIterator<Item = Hotkey>) -> Self {
        Self {
            members: members
                .into_iter()
                .map(|hotkey| (hotkey, Member::Awaited))
                .collect(),
            open: None,
            holds: BTreeMap::new(),
            closed: VecDeque::new(),
        }
    }

    /// Records that a validator has finished a step.
    pub(crate) fn report(&mut self, hotkey: &Hotkey, step: u64) -> Result<Report<'_>, BarrierError> {
        let member = member(&mut self.members, hotkey)?;
        let open = *self.open.get_or_insert(step);
        if step > open {
            return Err(BarrierError::Ahead { step, open });
        }
        if step == open {
            *member = match *member {
                Member::Awaited | Member::Reported => Member::Reported,
                Member::Retired(_) | Member::Joining => Member::Joining,
            };
            return Ok(Report::Waits);
        }
        let oldest = self.closed.front().map_or(open, |closed| closed.step);
        let Some(index) = step.checked_sub(oldest) else {
            return Err(BarrierError::TooOld { step, oldest });
        };
        match self.closed.get(index as usize) {
            Some(closed) if self.standing() != Some(step) => Ok(Report::Closed(closed)),
            _ => Ok(Report::Waits),
        }
    }

    /// Returns the open step if its block can close: at least one member has reported it, the barrier waits for no
    /// other member, and no hold is active.
    pub(crate) fn complete(&self) -> Option<u64> {
        let open = self.open?;
        let has_member = self
            .members
            .values()
            .any(|member| matches!(member, Member::Reported | Member::Joining));
        let awaited = self.members.values().any(|member| *member == Member::Awaited);
        (has_member && !awaited && self.standing().is_none()).then_some(open)
    }

    /// Returns the retired validators that rejoin with the next block.
    pub(crate) fn joining(&self) -> Vec<Hotkey> {
        let joining = self
            .members
            .iter()
            .filter(|(_, member)| **member == Member::Joining);
        joining.map(|(hotkey, _)| *hotkey).collect()
    }

    /// Records that the block of `step` has closed and that `joined` participate from now on.
    pub(crate) fn close(&mut self, step: u64, block: &ClosedBlock, version: Version, joined: &[Hotkey]) {
        let of_members = block
            .applied
            .iter()
            .filter(|applied| self.members.contains_key(&applied.signer));
        self.closed.push_back(ClosedStep {
            step,
            block: block.block,
            version,
            applied: of_members.cloned().collect(),
        });
        if self.closed.len() > ANSWERED_STEPS
            && let Some(oldest) = self.closed.pop_front()
        {
            self.holds.remove(&oldest.step);
        }
        self.open = Some(step.saturating_add(1));
        for (hotkey, member) in &mut self.members {
            let takes_part = !matches!(member, Member::Retired(_) | Member::Joining);
            if takes_part || joined.contains(hotkey) {
                *member = Member::Awaited;
            }
        }
        if let Some(hold) = self.holds.get_mut(&step) {
            *hold = Hold::Standing(block.block);
        }
    }

    /// Retires a validator as of the open block `open`. Returns the block as of which it is retired, which is an
    /// earlier one if it was retired before.
    pub(crate) fn retire(&mut self, hotkey: &Hotkey, open: Block) -> Result<Block, BarrierError> {
        let member = member(&mut self.members, hotkey)?;
        if let Member::Retired(block) = *member {
            return Ok(block);
        }
        *member = Member::Retired(open);
        Ok(open)
    }

    /// Lets the barrier hold after the block of `step`, or of the open step. Returns the step.
    pub(crate) fn add_hold(&mut self, step: Option<u64>) -> Result<u64, BarrierError> {
        let open = self.open.unwrap_or(0);
        let step = step.unwrap_or(open);
        if self.holds.contains_key(&step) {
            return Ok(step);
        }
        if step < open {
            return Err(BarrierError::Closed { step, open });
        }
        self.forget_released(open);
        if self.holds.len() >= MAX_HOLDS {
            return Err(BarrierError::TooManyHolds { step });
        }
        self.holds.insert(step, Hold::Ahead);
        Ok(step)
    }

    /// Removes the released holds that are more than [`ANSWERED_STEPS`] steps before the open step.
    fn forget_released(&mut self, open: u64) {
        while let Some(first) = self.holds.first_entry()
            && matches!(first.get(), Hold::Released(_))
            && first.key() + (ANSWERED_STEPS as u64) < open
        {
            first.remove();
        }
    }

    /// Returns the state of the hold after a step.
    pub(crate) fn hold(&self, step: u64) -> Result<Hold, BarrierError> {
        self.holds
            .get(&step)
            .copied()
            .ok_or(BarrierError::NoHold { step })
    }

    /// Releases the hold after the block of `step` and returns the block. A released hold stays released.
    pub(crate) fn release(&mut self, step: u64) -> Result<Block, BarrierError> {
        match self.hold(step)? {
            Hold::Ahead => Err(BarrierError::NotStanding { step }),
            Hold::Standing(block) | Hold::Released(block) => {
                self.holds.insert(step, Hold::Released(block));
                Ok(block)
            }
        }
    }

    /// Returns the step that closed last.
    pub(crate) fn last_closed(&self) -> Option<&ClosedStep> {
        self.closed.back()
    }

    /// Returns the step whose hold is active.
    pub(crate) fn standing(&self) -> Option<u64> {
        let last = self.last_closed()?.step;
        matches!(self.holds.get(&last), Some(Hold::Standing(_))).then_some(last)
    }
}

fn member<'a>(
    members: &'a mut BTreeMap<Hotkey, Member>,
    hotkey: &Hotkey,
) -> Result<&'a mut Member, BarrierError> {
    members
        .get_mut(hotkey)
        .ok_or(BarrierError::UnknownMember { hotkey: *hotkey })
}

#[cfg(test)]
mod tests;
