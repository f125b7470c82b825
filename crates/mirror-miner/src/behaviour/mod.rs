//! Behaviours: what a miner does with a call.
//!
//! A new behaviour is its arguments in `mirror_config::component::BehaviourSpec`, one file here, and one line in the
//! registry ([`build`]).

mod honest;

use std::sync::Arc;

use mirror_config::component::BehaviourSpec;
use mirror_dataset::Dataset;
use mirror_identity::Hotkey;
use mirror_seed::{CallId, Seed};
use tonic::async_trait;

/// What every behaviour may know of the world around it.
#[derive(Clone)]
pub struct Surroundings {
    /// The experiment's seed: draws about calls come from it.
    pub seed: Seed,
    /// Questions and answers.
    pub dataset: Arc<Dataset>,
    /// What validators say, as far as a miner is told.
    pub prompts: Arc<Prompts>,
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
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
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
}

/// What a behaviour makes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A completion.
    Completion(String),
    /// Nothing: the call is answered, with an empty completion.
    Nothing,
}

/// Answers calls.
#[async_trait]
pub trait Behaviour: Send + Sync {
    /// The answer to one call. The same call has the same answer.
    async fn answer(&self, call: &Call) -> Answer;
}

/// The registry: builds the behaviour that a file names.
pub fn build(spec: &BehaviourSpec, surroundings: &Surroundings) -> Box<dyn Behaviour> {
    match spec {
        BehaviourSpec::Honest(args) => Box::new(honest::Honest::new(*args, surroundings.clone())),
    }
}
