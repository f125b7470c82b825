//! Behaviours of miners, and what each is told.

use serde::{Deserialize, Serialize};

use super::NoArgs;
use crate::latency::Latency;

/// What a miner does with a call. Behaviours stack: one may ask what it is laid over, and change what comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args", rename_all = "snake_case")]
pub enum BehaviourSpec {
    /// Answers from the data set: fails with a chance, is right with a chance.
    Honest(HonestArgs),
    /// Fails some calls.
    Failing(FailingArgs),
    /// Fails in some steps and not in others, in turn.
    Flapping(FlappingArgs),
    /// Fails ever more.
    Degrading(DegradingArgs),
    /// Takes its time.
    Slow(SlowArgs),
    /// Takes a share of the time that its caller has.
    Tardy(TardyArgs),
    /// Replies with what is no reply.
    Malformed(MalformedArgs),
    /// Says the same to everybody.
    Constant(ConstantAnswerArgs),
    /// Says what it was asked.
    Echo(NoArgs),
    /// Says what it said before.
    Cached(CachedArgs),
    /// Asks another axon and passes on what that says.
    Copycat(CopycatArgs),
    /// Says what the others of its group say.
    Sybil(NoArgs),
    /// Has a program answer.
    Outside(OutsideArgs),
    /// Makes answers longer.
    Padding(PaddingArgs),
    /// Adds words that are thought to be rewarded.
    Stuffing(StuffingArgs),
    /// Praises whoever asks.
    Praise(NoArgs),
    /// Says the same several times.
    Repeating(RepeatingArgs),
    /// Speaks to whoever judges.
    Injecting(InjectingArgs),
    /// Tries such tricks and keeps to the one that earns most.
    Climbing(ClimbingArgs),
    /// Is good to some callers and not to others.
    TwoFaced(TwoFacedArgs),
}

/// Arguments of the behaviour `honest`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HonestArgs {
    /// Chance that a call is answered with nothing.
    pub fail_rate: f64,
    /// Chance that a question is answered right.
    pub fitness: f64,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// An answer without a completion.
    Nothing,
    /// No answer until the caller gives up.
    Hang,
    /// The process ends.
    Crash,
    /// gRPC's status of this name, as all below.
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

/// Arguments of the behaviour `failing`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FailingArgs {
    /// Chance that a call fails.
    pub chance: f64,
    /// How.
    pub how: Failure,
}

/// Arguments of the behaviour `flapping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlappingArgs {
    /// Steps in which it works, 1 or more.
    pub up: u32,
    /// Steps after them in which it fails, 1 or more.
    pub down: u32,
    /// How.
    pub how: Failure,
}

/// Arguments of the behaviour `degrading`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DegradingArgs {
    /// Steps in which the chance that a call fails rises from 0 to `to`, 1 or more.
    pub steps: u32,
    /// The chance from then on.
    pub to: f64,
    /// How.
    pub how: Failure,
}

/// Arguments of the behaviour `slow`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowArgs {
    /// What its delays are drawn from.
    pub latency: Latency,
}

/// Arguments of the behaviour `tardy`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TardyArgs {
    /// Share of the caller's deadline that passes before it answers; from 1 on it is too late.
    pub share: f64,
}

/// Arguments of the behaviour `malformed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MalformedArgs {
    /// What is wrong with its replies.
    pub how: Malformation,
}

/// What is wrong with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Malformation {
    /// A completion of no characters, said to be a success.
    Empty,
    /// A completion of spaces.
    Spaces,
    /// A completion larger than callers take.
    Oversized,
    /// A completion that is no UTF-8.
    InvalidUtf8,
    /// A completion of control characters.
    ControlCharacters,
    /// A message that is no protobuf.
    WrongProtobuf,
    /// A completion under a code that says it failed.
    WrongCode,
    /// A message that comes one byte at a time, and never whole.
    Drip,
}

/// Arguments of the behaviour `constant`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConstantAnswerArgs {
    /// What it says.
    pub answer: String,
}

/// Arguments of the behaviour `cached`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedArgs {
    /// Answers that it has, 1 or more.
    pub answers: u32,
}

/// Arguments of the behaviour `copycat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopycatArgs {
    /// uids of the axons that it asks, one a call, each as likely.
    pub victims: Vec<u32>,
}

/// Arguments of the behaviour `outside`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideArgs {
    /// A program and its arguments.
    pub command: Vec<String>,
}

/// Arguments of the behaviour `padding`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaddingArgs {
    /// Characters that an answer has at least.
    pub characters: u32,
    /// What is added as often as it takes.
    pub with: String,
}

/// Arguments of the behaviour `stuffing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StuffingArgs {
    /// Words that are added.
    pub words: Vec<String>,
}

/// Arguments of the behaviour `repeating`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatingArgs {
    /// How often an answer is said, 2 or more.
    pub times: u32,
}

/// Arguments of the behaviour `injecting`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectingArgs {
    /// What is said to the judge after the answer.
    pub text: String,
}

/// Arguments of the behaviour `climbing`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClimbingArgs {
    /// Chance that a call tries any trick instead of the best.
    pub explore: f64,
}

/// Arguments of the behaviour `two_faced`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TwoFacedArgs {
    /// TAO behind the caller's hotkey, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_stake: Option<f64>,
    /// uids that the caller is one of; empty: anybody.
    pub callers: Vec<u32>,
    /// As long as the chain protects it from being replaced.
    pub while_immune: bool,
    /// Chance that a call is favoured, where it otherwise would be.
    pub chance: f64,
    /// What the others get.
    pub to_others: Failure,
}

impl BehaviourSpec {
    /// As it is written in a file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Honest(_) => "honest",
            Self::Failing(_) => "failing",
            Self::Flapping(_) => "flapping",
            Self::Degrading(_) => "degrading",
            Self::Slow(_) => "slow",
            Self::Tardy(_) => "tardy",
            Self::Malformed(_) => "malformed",
            Self::Constant(_) => "constant",
            Self::Echo(_) => "echo",
            Self::Cached(_) => "cached",
            Self::Copycat(_) => "copycat",
            Self::Sybil(_) => "sybil",
            Self::Outside(_) => "outside",
            Self::Padding(_) => "padding",
            Self::Stuffing(_) => "stuffing",
            Self::Praise(_) => "praise",
            Self::Repeating(_) => "repeating",
            Self::Injecting(_) => "injecting",
            Self::Climbing(_) => "climbing",
            Self::TwoFaced(_) => "two_faced",
        }
    }
}
