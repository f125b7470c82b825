//! The first decision in which two runs part.
//!
//! Differences are ordered as the run makes its decisions: step by step, and within a step from the chain and the
//! faults to the weights. The earliest difference is the one that caused the others.

use std::fmt;

use serde::Serialize;

use super::{Disagreement, Values};
use crate::error::RunError;
use crate::run::Run;
use crate::tables::{
    BondRow, EpochRow, EventRow, FaultRow, LossRow, ParameterRow, ResponseRow, Row, TransactionRow, WeightRow,
};

/// The first decision in which two runs part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parting {
    /// Step of the decision. `None` for a decision after the queries.
    pub step: Option<u64>,
    /// The decision and how it differs, in words.
    pub decision: String,
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "the runs part at step {step}: {}", self.decision),
            None => write!(f, "the runs part after the queries: {}", self.decision),
        }
    }
}

/// The decisions of one step, in the order in which they are made. Forwards with the same index are concurrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Chain,
    Faults,
    Forward(u32, ForwardStage),
    Weights,
}

/// The decisions of one forward, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ForwardStage {
    /// The prompt, and the scores of the uids for it.
    Prompt,
    /// The choice of the called uids.
    Choice,
    /// The effects of faults and links on a call.
    Effects,
    Outcome,
    Reward,
    /// The report of the reward to the axon.
    Feedback,
    /// The training of the gating model.
    Learning,
}

/// A decision that differs.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) at: At,
    pub(super) stage: Stage,
    /// Order of the decision among those of the same stage.
    pub(super) order: (String, u32),
    pub(super) words: String,
}

/// The time of a decision.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Step(u64),
    /// At the close of this block.
    Block(u64),
    AfterQueries,
}

/// A row whose difference between two runs is a decision.
pub(super) trait Decided: Row {
    /// Returns the first decision in which two rows differ, which have these differing columns, of which there is at
    /// least one.
    fn parted(&self, other: &Self, differing: &[Values]) -> Decision;

    /// Returns the decision that only one run made; `what` states which.
    fn alone(&self, what: &Disagreement) -> Decision;
}

/// Step, stage and order of a decision.
type Place = (u64, Stage, (String, u32));

/// The earliest decisions found so far.
#[derive(Debug, Default)]
pub(super) struct Earliest {
    of_steps: Option<(Place, String)>,
    /// Step of no decision is known for the chain, only its block.
    of_blocks: Option<(u64, String)>,
}

impl Earliest {
    pub(super) fn note(&mut self, decision: Decision) {
        let Decision {
            at,
            stage,
            order,
            words,
        } = decision;
        let step = match at {
            At::Step(step) => step,
            At::AfterQueries => u64::MAX,
            At::Block(block) => {
                if self.of_blocks.as_ref().is_none_or(|(first, _)| block < *first) {
                    self.of_blocks = Some((block, words));
                }
                return;
            }
        };
        let place = (step, stage, order);
        if self.of_steps.as_ref().is_none_or(|(first, _)| place < *first) {
            self.of_steps = Some((place, words));
        }
    }

    /// Returns the earliest decision. The step of a decision of the chain is the first one made after its block, in
    /// `run`.
    pub(super) fn into_parting(self, run: &Run) -> Result<Option<Parting>, RunError> {
        let of_chain = match self.of_blocks {
            Some((block, words)) => Some((first_step_after(run, block)?, words)),
            None => None,
        };
        let of_steps = self.of_steps.map(|((step, ..), words)| (step, words));
        let first = match (of_chain, of_steps) {
            // The chain's block closes before the other decisions of the step.
            (Some(chain), Some(other)) if chain.0 <= other.0 => Some(chain),
            (Some(chain), None) => Some(chain),
            (_, other) => other,
        };
        Ok(first.map(|(step, decision)| Parting {
            step: (step != u64::MAX).then_some(step),
            decision,
        }))
    }
}

/// Returns the first step of which a forward was made at this block or later. The greatest number if there is none.
fn first_step_after(run: &Run, block: u64) -> Result<u64, RunError> {
    for event in run.rows::<EventRow>()? {
        let event = event?;
        if event.block >= block {
            return Ok(event.step);
        }
    }
    Ok(u64::MAX)
}

impl Decided for FaultRow {
    fn parted(&self, other: &Self, differing: &[Values]) -> Decision {
        let place = |row: &Self| match row.step {
            Some(step) => format!("at step {step}"),
            None => "outside the steps".to_owned(),
        };
        let words = match differing {
            _ if self.step != other.step => format!(
                "{} {} in the first run and {} in the second",
                self.change_in_words(),
                place(self),
                place(other)
            ),
            [one, ..] => format!("{}: {}", self.change_in_words(), one.in_words()),
            [] => self.change_in_words(),
        };
        let first = match (self.step, other.step) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.decision(first, words)
    }

    fn alone(&self, what: &Disagreement) -> Decision {
        let step = self.step.map(|step| format!(" at step {step}"));
        let words = format!("{}{} {what}", self.change_in_words(), step.unwrap_or_default());
        self.decision(self.step, words)
    }
}

impl FaultRow {
    fn change_in_words(&self) -> String {
        let occurrence = match self.occurrence {
            0 => String::new(),
            number => format!(" (occurrence {number})"),
        };
        format!("the fault {}{occurrence} was {}", self.fault, self.change)
    }

    fn decision(&self, step: Option<u64>, words: String) -> Decision {
        Decision {
            at: step.map_or(At::AfterQueries, At::Step),
            stage: Stage::Faults,
            order: (self.fault.clone(), u32::from(self.is_lifted())),
            words,
        }
    }
}

impl Decided for EventRow {
    fn parted(&self, _other: &Self, differing: &[Values]) -> Decision {
        // The last columns depend on the rewards.
        let follows = |values: &&Values| matches!(values.column, "best_uid" | "unjudged" | "truncated_texts");
        let prompt = differing.iter().find(|values| !follows(values));
        let (stage, values) = match prompt {
            Some(values) => (ForwardStage::Prompt, Some(values)),
            None => (ForwardStage::Reward, differing.first()),
        };
        let words = values.map(Values::in_words).unwrap_or_default();
        let words = format!("forward {} of {}: {words}", self.forward_index, self.validator);
        self.decision(stage, words)
    }

    fn alone(&self, what: &Disagreement) -> Decision {
        let words = format!("{} made forward {} {what}", self.validator, self.forward_index);
        self.decision(ForwardStage::Prompt, words)
    }
}

impl EventRow {
    fn decision(&self, stage: ForwardStage, words: String) -> Decision {
        Decision {
            at: At::Step(self.step),
            stage: Stage::Forward(self.forward_index, stage),
            // After the calls, from which the best uid follows.
            order: (self.validator.clone(), u32::MAX),
            words,
        }
    }
}

/// The columns of a call that its outcome consists of, the most telling first.
const OUTCOME: [&str; 6] = [
    "outcome",
    "grpc_code",
    "return_code",
    "completion",
    "size",
    "return_message",
];

/// Prefix of an effect on the call that reported the reward.
const BACKWARD: &str = "backward ";

impl Decided for ResponseRow {
    fn parted(&self, other: &Self, differing: &[Values]) -> Decision {
        if self.uid != other.uid {
            let words = format!(
                "{} chose other uids (forward {}): its call {} went to uid {} in the first run and to uid {} in the second",
                self.validator, self.forward_index, self.position, self.uid, other.uid
            );
            return self.decision(ForwardStage::Choice, words);
        }
        let found = |columns: &[&str]| {
            let mut columns = columns.iter();
            columns.find_map(|column| differing.iter().find(|values| values.column == *column))
        };
        let effect = self.other_effect(other, false);
        let (stage, words) = if let Some(words) = effect {
            (ForwardStage::Effects, words)
        } else if let Some(values) = found(&["drawn_delay"]) {
            (ForwardStage::Effects, values.in_words())
        } else if let Some(values) = found(&OUTCOME) {
            (ForwardStage::Outcome, values.in_words())
        } else if let Some(values) = found(&["reward"]) {
            (ForwardStage::Reward, values.in_words())
        } else if let Some(words) = self.other_effect(other, true) {
            (ForwardStage::Feedback, words)
        } else {
            let words = differing.first().map(Values::in_words).unwrap_or_default();
            (ForwardStage::Feedback, words)
        };
        let words = format!(
            "the call of {} to uid {} (forward {}): {words}",
            self.validator, self.uid, self.forward_index
        );
        self.decision(stage, words)
    }

    fn alone(&self, what: &Disagreement) -> Decision {
        let words = format!(
            "{} chose other uids (forward {}): it called uid {} {what}",
            self.validator, self.forward_index, self.uid
        );
        self.decision(ForwardStage::Choice, words)
    }
}

impl ResponseRow {
    fn decision(&self, stage: ForwardStage, words: String) -> Decision {
        Decision {
            at: At::Step(self.step),
            stage: Stage::Forward(self.forward_index, stage),
            order: (self.validator.clone(), self.position),
            words,
        }
    }

    /// Names the first effect of a fault that only one of the calls has, among those on the call itself, or among those
    /// on its [`BACKWARD`]. `None` if they have the same.
    fn other_effect(&self, other: &Self, on_backward: bool) -> Option<String> {
        let (one, two) = (self.effects(on_backward), other.effects(on_backward));
        let only = |of: &[&'_ str], not_of: &[&str]| {
            let mut of = of.iter().copied();
            of.find(|effect| !not_of.contains(effect)).map(str::to_owned)
        };
        let (effect, run) = match (only(&one, &two), only(&two, &one)) {
            (Some(effect), _) => (effect, "first"),
            (None, Some(effect)) => (effect, "second"),
            (None, None) => return None,
        };
        let what = if on_backward { "its backward call" } else { "it" };
        Some(format!("fault {effect} hit {what} only in the {run} run"))
    }

    fn effects(&self, on_backward: bool) -> Vec<&str> {
        let effects = self.faults.iter().flat_map(|faults| faults.split(", "));
        let effects = effects.filter_map(|effect| match (effect.strip_prefix(BACKWARD), on_backward) {
            (Some(effect), true) => Some(effect),
            (None, false) => Some(effect),
            (Some(_), false) | (None, true) => None,
        });
        effects.collect()
    }
}

/// The decisions of a table of which every row belongs to a forward, or to the weights of a validator.
macro_rules! decided_by_validators {
    ($($row:ty, $stage:expr;)*) => {$(
        impl Decided for $row {
            fn parted(&self, _other: &Self, differing: &[Values]) -> Decision {
                let words = differing.first().map(Values::in_words).unwrap_or_default();
                by_validator(self, &self.validator, self.step, $stage(self), &words)
            }

            fn alone(&self, what: &Disagreement) -> Decision {
                by_validator(self, &self.validator, self.step, $stage(self), &what.to_string())
            }
        }
    )*};
}

decided_by_validators! {
    LossRow, |row: &Self| Stage::Forward(row.forward_index, ForwardStage::Learning);
    ParameterRow, |row: &Self| Stage::Forward(row.forward_index, ForwardStage::Learning);
    WeightRow, |_: &Self| Stage::Weights;
}

fn by_validator<R: Row>(row: &R, validator: &str, step: u64, stage: Stage, words: &str) -> Decision {
    Decision {
        at: At::Step(step),
        stage,
        order: (validator.to_owned(), u32::MAX),
        words: format!("{}: {}: {words}", R::TABLE, row.identity()),
    }
}

/// The decisions of a table of the chain.
macro_rules! decided_by_the_chain {
    ($($row:ty),*) => {$(
        impl Decided for $row {
            fn parted(&self, _other: &Self, differing: &[Values]) -> Decision {
                by_chain(self, self.block, &differing.first().map(Values::in_words).unwrap_or_default())
            }

            fn alone(&self, what: &Disagreement) -> Decision {
                by_chain(self, self.block, &what.to_string())
            }
        }
    )*};
}

decided_by_the_chain!(TransactionRow, EpochRow, BondRow);

fn by_chain<R: Row>(row: &R, block: u64, words: &str) -> Decision {
    Decision {
        at: At::Block(block),
        stage: Stage::Chain,
        order: (String::new(), 0),
        words: format!(
            "the chain at block {block}: {}: {}: {words}",
            R::TABLE,
            row.identity()
        ),
    }
}
