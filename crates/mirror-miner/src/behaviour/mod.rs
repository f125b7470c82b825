//! Behaviours: how a miner answers calls.
//!
//! Behaviours form a stack. The uppermost one receives the call. It may pass the call, unchanged or modified, to the
//! next behaviour ([`Next`]) and change the answer that it gets back. The coordinator puts an `honest` behaviour at
//! the bottom of each stack of an experiment. Below the last behaviour, the answer is [`Answer::Nothing`].
//!
//! To add a behaviour, define its arguments in `mirror_spec::BehaviourSpec`, write one file in this module, and add one
//! line to the registry (`layer`).
//!
//! Runs are reproducible, so behaviours must be too: an answer is a function of the call's identity and of what the
//! behaviour learned in earlier steps. It must not depend on the number of calls or on their order.

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

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mirror_auth::Signer;
use mirror_dataset::Dataset;
use mirror_identity::Hotkey;
use mirror_proto::bittensor::ReturnCode;
use mirror_seed::{CallId, Seed};
use mirror_spec::launch::Injection;
use mirror_spec::{BehaviourSpec, Uids};
use tonic::{Code, async_trait};

use crate::network::Network;
use crate::wire::Wire;

/// Data and handles that behaviours are built with.
#[derive(Clone)]
pub struct BehaviourContext {
    /// Source of the draws about calls.
    pub seed: Seed,
    /// The uid of the axon.
    pub uid: u32,
    /// Signs the calls that the miner makes itself, with the axon's hotkey.
    pub signer: Arc<Signer>,
    /// The uids that behave alike, including this one.
    pub group: Uids,
    /// Questions and answers.
    pub dataset: Arc<Dataset>,
    /// The two prompts of validators.
    pub prompts: Arc<Prompts>,
    /// The chain's metagraph and the other axons.
    pub network: Arc<Network>,
    /// Factor on delays.
    pub time_scale: f64,
}

/// The two prompts of validators. They distinguish a request for a question from a question.
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
    /// Text of the message.
    pub content: String,
}

/// A call to an axon.
#[derive(Debug, Clone)]
pub struct Call {
    /// Identity of the call, from which draws about it are made.
    pub id: CallId,
    /// Hotkey of the caller, which has signed the call.
    pub caller: Hotkey,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Timeout in the call, clamped to one hour.
    pub timeout: Duration,
}

/// A behaviour's answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A completion.
    Completion(String),
    /// A reply with an empty completion.
    Nothing,
    /// A completion with an explicit return code.
    Coded(String, ReturnCode),
    /// A gRPC status.
    Refusal(Code),
    /// No reply while the caller waits.
    Silence,
    /// Aborts the process.
    Crash,
    /// Raw bytes in place of a reply.
    Wire(Wire),
}

/// A caller's reward for a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reward {
    /// The rewarded call.
    pub call: CallId,
    /// Amount of the reward, a finite number.
    pub amount: f32,
}

/// Answers calls.
#[async_trait]
pub trait Behaviour: Send + Sync {
    /// Answers one call. The same call always gets the same answer.
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer;

    /// Receives the reward of an answer. Ignores it by default.
    fn rewarded(&self, _reward: &Reward) {}
}

/// A stack of behaviours, the uppermost first.
pub struct BehaviourStack(Vec<Box<dyn Behaviour>>);

/// The rest of the stack below a behaviour.
#[derive(Clone, Copy)]
pub struct Next<'a>(&'a [Box<dyn Behaviour>]);

impl Call {
    /// Returns the question: the content of the last message with the role `user`.
    pub fn asked(&self) -> Option<&str> {
        let mut messages = self.messages.iter().rev();
        let asked = messages.find(|message| message.role == "user");
        asked.map(|message| message.content.as_str())
    }
}

impl Answer {
    /// Replaces the text of an [`Answer::Completion`]. Other answers stay as they are.
    #[must_use]
    fn changed(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Completion(completion) => Self::Completion(change(completion)),
            other => other,
        }
    }
}

impl BehaviourStack {
    /// Builds the behaviours of an experiment file. The draws of each depend on its height above the lowest, so that
    /// another behaviour on top does not change the draws of those below.
    pub fn build(specs: &[BehaviourSpec], context: &BehaviourContext) -> Self {
        let heights = (0..specs.len() as u64).rev();
        let layer = |(spec, height): (&BehaviourSpec, u64)| {
            let mut context = context.clone();
            if height > 0 {
                context.seed = context.seed.numbered_child("behaviour", height);
            }
            layer(spec, context)
        };
        Self(specs.iter().zip(heights).map(layer).collect())
    }

    /// Answers a call with the uppermost behaviour.
    pub async fn answer(&self, call: &Call) -> Answer {
        Next(&self.0).answer(call).await
    }

    /// Passes a reward to all behaviours.
    pub fn rewarded(&self, reward: &Reward) {
        for behaviour in &self.0 {
            behaviour.rewarded(reward);
        }
    }
}

/// The behaviours of an axon from its launch config, and those that faults have put in their place.
pub struct Behaviours {
    own: Arc<BehaviourStack>,
    context: BehaviourContext,
    /// In the order in which they were injected. The last one applies.
    injected: RwLock<Vec<(Injection, Arc<BehaviourStack>)>>,
}

impl Behaviours {
    /// Builds the behaviours of a launch config.
    pub fn new(own: &[BehaviourSpec], context: BehaviourContext) -> Self {
        Self {
            own: Arc::new(BehaviourStack::build(own, &context)),
            context,
            injected: RwLock::default(),
        }
    }

    /// Replaces the injected behaviours. Those that were injected before keep what they have learned.
    pub fn inject<'a>(&self, injections: impl Iterator<Item = &'a Injection>) {
        let mut injected = self.injected.write().unwrap_or_else(PoisonError::into_inner);
        let stack = |injection: &Injection| {
            let earlier = injected.iter().find(|(earlier, _)| earlier == injection);
            earlier.map_or_else(
                || {
                    let context = BehaviourContext {
                        group: injection.group.clone(),
                        ..self.context.clone()
                    };
                    Arc::new(BehaviourStack::build(&injection.behaviours, &context))
                },
                |(_, stack)| stack.clone(),
            )
        };
        let now = injections
            .map(|injection| (injection.clone(), stack(injection)))
            .collect();
        *injected = now;
    }

    /// Returns the behaviours in effect.
    pub fn current(&self) -> Arc<BehaviourStack> {
        let injected = self.injected.read().unwrap_or_else(PoisonError::into_inner);
        injected.last().map_or(&self.own, |(_, stack)| stack).clone()
    }
}

impl Next<'_> {
    /// Passes the call to the next behaviour. Returns [`Answer::Nothing`] if there is none.
    pub async fn answer(self, call: &Call) -> Answer {
        match self.0.split_first() {
            Some((uppermost, next)) => uppermost.answer(call, Next(next)).await,
            None => Answer::Nothing,
        }
    }
}

/// The registry: builds the behaviour of a spec.
fn layer(spec: &BehaviourSpec, context: BehaviourContext) -> Box<dyn Behaviour> {
    match spec.clone() {
        BehaviourSpec::Honest(args) => Box::new(honest::Honest::new(args, context)),
        BehaviourSpec::Failing(args) => Box::new(failing::Failing::new(args, context.seed)),
        BehaviourSpec::Flapping(args) => Box::new(flapping::Flapping(args)),
        BehaviourSpec::Degrading(args) => Box::new(degrading::Degrading::new(args, context.seed)),
        BehaviourSpec::Slow(args) => Box::new(slow::Slow::new(&args, &context)),
        BehaviourSpec::Tardy(args) => Box::new(tardy::Tardy(args)),
        BehaviourSpec::Malformed(args) => Box::new(malformed::Malformed(args.how)),
        BehaviourSpec::Constant(args) => Box::new(constant::Constant(args.answer)),
        BehaviourSpec::Echo(_) => Box::new(echo::Echo),
        BehaviourSpec::Cached(args) => Box::new(cached::Cached::new(args, context)),
        BehaviourSpec::Copycat(args) => Box::new(copycat::Copycat::new(args, context)),
        BehaviourSpec::Sybil(_) => Box::new(sybil::Sybil::new(&context)),
        BehaviourSpec::Outside(args) => Box::new(outside::Outside::new(args)),
        BehaviourSpec::Padding(args) => Box::new(padding::Padding(args)),
        BehaviourSpec::Stuffing(args) => Box::new(stuffing::Stuffing(args)),
        BehaviourSpec::Praise(_) => Box::new(praise::Praise::new(context.seed)),
        BehaviourSpec::Repeating(args) => Box::new(repeating::Repeating(args)),
        BehaviourSpec::Injecting(args) => Box::new(injecting::Injecting(args)),
        BehaviourSpec::Climbing(args) => Box::new(climbing::Climbing::new(args, context.seed)),
        BehaviourSpec::TwoFaced(args) => Box::new(two_faced::TwoFaced::new(args, context)),
    }
}
