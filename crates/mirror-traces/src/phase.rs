//! The phases of a step.

use serde::Serialize;

/// The kind of work of a span, outside the spans below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The validator plans the step and chooses uids.
    Planning,
    /// A rule on a link delays a call.
    Link,
    /// A call travels, is encoded and decoded: the part of a client span outside its server span and its link.
    Network,
    /// A call waits for its turn at an axon.
    Queue,
    /// An axon checks the signature and the limits of a call.
    Check,
    /// The behaviours of a miner.
    Behaviour,
    /// An axon makes its answer.
    Answer,
    /// The reward model.
    Reward,
    /// The gating model learns.
    Training,
    /// Requests to the chain, and its blocks and epochs.
    Chain,
    /// The validator waits for the other validators at the end of a block.
    Barrier,
    /// Events are written.
    Recording,
    /// Everything else.
    Other,
}

impl Phase {
    /// Returns the phase of the spans with this name.
    pub fn of(name: &str) -> Self {
        match name {
            "step" | "manual" | "forward" | "gating.forward" | "choose" => Self::Planning,
            "link" => Self::Link,
            "dendrite.forward" | "dendrite.backward" => Self::Network,
            "axon.queue" => Self::Queue,
            "axon.check" | "axon.signature" => Self::Check,
            "axon.behaviour" => Self::Behaviour,
            "axon.answer" => Self::Answer,
            "reward" => Self::Reward,
            "gating.backward" => Self::Training,
            "resync" | "weights" | "block" | "epoch" => Self::Chain,
            "barrier.wait" => Self::Barrier,
            "event.write" => Self::Recording,
            name if name.starts_with("subtensor.") => Self::Chain,
            _ => Self::Other,
        }
    }

    /// Returns the name of the phase.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Link => "link",
            Self::Network => "network",
            Self::Queue => "queue",
            Self::Check => "check",
            Self::Behaviour => "behaviour",
            Self::Answer => "answer",
            Self::Reward => "reward",
            Self::Training => "training",
            Self::Chain => "chain",
            Self::Barrier => "barrier",
            Self::Recording => "recording",
            Self::Other => "other",
        }
    }
}
