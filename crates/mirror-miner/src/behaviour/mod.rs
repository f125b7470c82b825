//! Behaviours: what a miner does with a call.
//!
//! Behaviours stack. The uppermost is given the call, and may ask what it is laid over ([`Below`]), with the call as it
//! is or another, and change what comes back. Below the last there is nothing.
//!
//! A new behaviour is its arguments in `mirror_spec::BehaviourSpec`, one file here, and one line in the
//! registry (`layer`).
//!
//! Runs repeat, and so must behaviours: what one does is a function of the call's identity, and of what it was told in
//! earlier steps, never of how many calls there were or in which order they came.

mod cached;
mod climbing;
mod constant;
mod copycat;
mod degrading;
mod echo;
mod failing;
mod failure;
mod flapping;
mod honest;
mod injecting;
mod malformed;
mod outside;
mod padding;
mod praise;
mod repeating;
mod slow;
mod stuffing;
mod sybil;
mod tardy;
mod two_faced;

use std::sync::Arc;
use std::time::Duration;

use mirror_dataset::Dataset;
use mirror_identity::{Hotkey, SecretKey};
use mirror_proto::bittensor::ReturnCode;
use mirror_seed::{CallId, Seed};
use mirror_spec::{BehaviourSpec, Uids};
use tonic::{Code, async_trait};

use crate::network::Network;
use crate::wire::Wire;

/// What a behaviour may know of itself and of the world around it.
#[derive(Clone)]
pub struct Surroundings {
    /// Draws about calls come from it.
    pub seed: Seed,
    /// Whose axon it is.
    pub uid: u32,
    /// The axon's own key.
    pub key: SecretKey,
    /// uids that behave alike, this one among them.
    pub group: Uids,
    /// Questions and answers.
    pub dataset: Arc<Dataset>,
    /// What validators say, as far as a miner is told.
    pub prompts: Arc<Prompts>,
    /// The chain's metagraph and the other axons.
    pub network: Arc<Network>,
    /// Shrinks delays.
    pub time_scale: f64,
}

/// The two prompts of validators, by which a miner tells 'ask a question' from 'answer one'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    /// The system prompt.
    pub base: String,
    /// The request for a question.
    pub question: String,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A call that an axon was given.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which call this is: what draws are about.
    pub id: CallId,
    /// Who asks, if the name that it gave is an address.
    pub caller: Option<Hotkey>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Time that the caller says it has.
    pub timeout: Duration,
}

/// What a behaviour makes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A completion.
    Completion(String),
    /// Nothing: the call is answered, with an empty completion.
    Nothing,
    /// A completion, whatever it is, under a code of its own.
    Coded(String, ReturnCode),
    /// A gRPC status.
    Refusal(Code),
    /// No answer for as long as the caller waits.
    Silence,
    /// The end of the process.
    Crash,
    /// Bytes in place of a reply.
    Wire(Wire),
}

/// What a call was worth to its caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reward {
    /// The call that is rewarded.
    pub call: CallId,
    /// A finite number.
    pub amount: f32,
}

/// Answers calls.
#[async_trait]
pub trait Behaviour: Send + Sync {
    /// The answer to one call. The same call has the same answer.
    async fn answer(&self, call: &Call, below: Below<'_>) -> Answer;

    /// Hears what an answer was worth. Most do not care.
    fn rewarded(&self, _reward: &Reward) {}
}

/// Behaviours laid over one another, the uppermost first.
pub struct Stack(Vec<Box<dyn Behaviour>>);

/// What a behaviour is laid over.
#[derive(Clone, Copy)]
pub struct Below<'a>(&'a [Box<dyn Behaviour>]);

impl Call {
    /// What is asked: the last message of a user.
    pub fn asked(&self) -> Option<&str> {
        let mut messages = self.messages.iter().rev();
        let asked = messages.find(|message| message.role == "user");
        asked.map(|message| message.content.as_str())
    }
}

impl Answer {
    /// The same answer with another completion, where it has one that counts as said.
    #[must_use]
    fn changed(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Completion(completion) => Self::Completion(change(completion)),
            other => other,
        }
    }
}

impl Stack {
    /// The behaviours that a file names. What they draw differs by their height above the lowest, so that one more on
    /// top changes no draw of those below.
    pub fn build(specs: &[BehaviourSpec], surroundings: &Surroundings) -> Self {
        let heights = (0..specs.len() as u64).rev();
        let layer = |(spec, height): (&BehaviourSpec, u64)| {
            let mut surroundings = surroundings.clone();
            if height > 0 {
                surroundings.seed = surroundings.seed.numbered_child("behaviour", height);
            }
            layer(spec, surroundings)
        };
        Self(specs.iter().zip(heights).map(layer).collect())
    }

    /// The answer of the uppermost.
    pub async fn answer(&self, call: &Call) -> Answer {
        Below(&self.0).answer(call).await
    }

    /// Tells all what an answer was worth.
    pub fn rewarded(&self, reward: &Reward) {
        for behaviour in &self.0 {
            behaviour.rewarded(reward);
        }
    }
}

impl Below<'_> {
    /// The answer of what is below; nothing where nothing is.
    pub async fn answer(self, call: &Call) -> Answer {
        match self.0.split_first() {
            Some((uppermost, below)) => uppermost.answer(call, Below(below)).await,
            None => Answer::Nothing,
        }
    }
}

/// The registry: builds the behaviour that a file names.
fn layer(spec: &BehaviourSpec, surroundings: Surroundings) -> Box<dyn Behaviour> {
    match spec.clone() {
        BehaviourSpec::Honest(args) => Box::new(honest::Honest::new(args, surroundings)),
        BehaviourSpec::Failing(args) => Box::new(failing::Failing::new(args, surroundings.seed)),
        BehaviourSpec::Flapping(args) => Box::new(flapping::Flapping(args)),
        BehaviourSpec::Degrading(args) => Box::new(degrading::Degrading::new(args, surroundings.seed)),
        BehaviourSpec::Slow(args) => Box::new(slow::Slow::new(&args, &surroundings)),
        BehaviourSpec::Tardy(args) => Box::new(tardy::Tardy(args)),
        BehaviourSpec::Malformed(args) => Box::new(malformed::Malformed(args.how)),
        BehaviourSpec::Constant(args) => Box::new(constant::Constant(args.answer)),
        BehaviourSpec::Echo(_) => Box::new(echo::Echo),
        BehaviourSpec::Cached(args) => Box::new(cached::Cached::new(args, surroundings)),
        BehaviourSpec::Copycat(args) => Box::new(copycat::Copycat::new(args, surroundings)),
        BehaviourSpec::Sybil(_) => Box::new(sybil::Sybil::new(&surroundings)),
        BehaviourSpec::Outside(args) => Box::new(outside::Outside::new(args)),
        BehaviourSpec::Padding(args) => Box::new(padding::Padding(args)),
        BehaviourSpec::Stuffing(args) => Box::new(stuffing::Stuffing(args)),
        BehaviourSpec::Praise(_) => Box::new(praise::Praise::new(surroundings.seed)),
        BehaviourSpec::Repeating(args) => Box::new(repeating::Repeating(args)),
        BehaviourSpec::Injecting(args) => Box::new(injecting::Injecting(args)),
        BehaviourSpec::Climbing(args) => Box::new(climbing::Climbing::new(args, surroundings.seed)),
        BehaviourSpec::TwoFaced(args) => Box::new(two_faced::TwoFaced::new(args, surroundings)),
    }
}
