//! The barrier of `block_time: per_step`: the block of a step closes when every validator that takes part has reported
//! the step.
//!
//! - Steps rise by one from the first that is reported.
//! - A step whose block has closed is answered again to whoever reports it again, up to [`ANSWERED_STEPS`] back.
//! - A retired member is not waited for. When it reports the open step it joins again as the block of that step closes.
//! - After the block of a step that holds, nothing closes and nobody hears of that block until the step is released.

use std::collections::{BTreeMap, VecDeque};

use mirror_chain::{Applied, Block, ClosedBlock, Version};
use mirror_identity::Hotkey;
use serde::{Deserialize, Serialize};

/// Closed steps that are answered again.
pub(crate) const ANSWERED_STEPS: usize = 1_024;

/// Who has reported which step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Barrier {
    members: BTreeMap<Hotkey, Member>,
    /// The step whose block is open; `None` until a step is reported.
    open: Option<u64>,
    holds: BTreeMap<u64, Hold>,
    /// The last ones, oldest first.
    closed: VecDeque<ClosedStep>,
}

/// A validator's part in the closing of the open step's block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Member {
    /// Its report is waited for.
    Awaited,
    /// It has reported the open step.
    Reported,
    /// It is not waited for, as of this block.
    Retired(Block),
    /// It was retired and has reported the open step.
    Joining,
}

/// A step after whose block the barrier stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hold {
    /// Its block has not closed.
    Ahead,
    /// Its block has closed, and the barrier stands still.
    Standing(Block),
    /// The barrier has gone on after it.
    Released(Block),
}

/// A step whose block has closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClosedStep {
    /// The step.
    pub(crate) step: u64,
    /// Its block.
    pub(crate) block: Block,
    /// Of the metagraph, as of that block.
    pub(crate) version: Version,
    /// What became of the members' transactions in that block.
    pub(crate) applied: Vec<Applied>,
}

/// What becomes of a report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report<'barrier> {
    /// The step's block has closed before.
    Closed(&'barrier ClosedStep),
    /// It will be answered when the step's block closes, and no hold stands.
    Waits,
}

/// A report or request that the barrier cannot follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BarrierError {
    /// Not among those that take part.
    #[error("hotkey {hotkey} takes no part in the barrier")]
    UnknownMember {
        /// The hotkey.
        hotkey: Hotkey,
    },
    /// A step after the open one.
    #[error("step {step} cannot be reported while step {open} is open")]
    Ahead {
        /// The step reported.
        step: u64,
        /// The step whose block is open.
        open: u64,
    },
    /// A step whose block closed too long ago.
    #[error("step {step} has closed too long ago to be answered again, the oldest answered is step {oldest}")]
    TooOld {
        /// The step reported.
        step: u64,
        /// The oldest step still answered.
        oldest: u64,
    },
    /// A step that does not hold.
    #[error("step {step} is not among the steps that hold")]
    NoHold {
        /// The step.
        step: u64,
    },
    /// A hold that the barrier has not come to.
    #[error("the block of step {step} has not closed, so that there is nothing to release")]
    NotStanding {
        /// The step.
        step: u64,
    },
}

impl Barrier {
    /// A barrier for these validators that stands still after the blocks of `holds`.
    pub(crate) fn new(
        members: impl IntoIterator<Item = Hotkey>,
        holds: impl IntoIterator<Item = u64>,
    ) -> Self {
        Self {
            members: members
                .into_iter()
                .map(|hotkey| (hotkey, Member::Awaited))
                .collect(),
            open: None,
            holds: holds.into_iter().map(|step| (step, Hold::Ahead)).collect(),
            closed: VecDeque::new(),
        }
    }

    /// Notes that a validator has finished a step.
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

    /// The open step, if its block can close: somebody has reported it, nobody is waited for, no hold stands.
    pub(crate) fn complete(&self) -> Option<u64> {
        let open = self.open?;
        let somebody = self
            .members
            .values()
            .any(|member| matches!(member, Member::Reported | Member::Joining));
        let awaited = self.members.values().any(|member| *member == Member::Awaited);
        (somebody && !awaited && self.standing().is_none()).then_some(open)
    }

    /// Retired validators that join with the next block.
    pub(crate) fn joining(&self) -> Vec<Hotkey> {
        let joining = self
            .members
            .iter()
            .filter(|(_, member)| **member == Member::Joining);
        joining.map(|(hotkey, _)| *hotkey).collect()
    }

    /// Notes that the block of `step` has closed, and that `joined` take part from now on.
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
        if self.closed.len() > ANSWERED_STEPS {
            self.closed.pop_front();
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

    /// Takes a validator out as of the open block `open`; gives the block as of which it is out, which is an earlier
    /// one if it was out before.
    pub(crate) fn retire(&mut self, hotkey: &Hotkey, open: Block) -> Result<Block, BarrierError> {
        let member = member(&mut self.members, hotkey)?;
        if let Member::Retired(block) = *member {
            return Ok(block);
        }
        *member = Member::Retired(open);
        Ok(open)
    }

    /// How it stands with the hold after a step.
    pub(crate) fn hold(&self, step: u64) -> Result<Hold, BarrierError> {
        self.holds
            .get(&step)
            .copied()
            .ok_or(BarrierError::NoHold { step })
    }

    /// Lets the barrier go on after the block of `step`, and gives the block. Once released it stays so.
    pub(crate) fn release(&mut self, step: u64) -> Result<Block, BarrierError> {
        match self.hold(step)? {
            Hold::Ahead => Err(BarrierError::NotStanding { step }),
            Hold::Standing(block) | Hold::Released(block) => {
                self.holds.insert(step, Hold::Released(block));
                Ok(block)
            }
        }
    }

    /// The step whose block closed last.
    pub(crate) fn last_closed(&self) -> Option<&ClosedStep> {
        self.closed.back()
    }

    /// The step after whose block the barrier stands still now.
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
