//! The request of a forward: the messages, the number of axons, and the use of their completions.
//!
//! The arguments of a query and the settings of the launch config are converted to [`Ask`]s here.

use mirror_spec::launch::ValidatorLaunch;
use mirror_spec::{ForwardArgs, InferenceArgs, Method, TrainArgs};

use crate::conversation::Conversation;

/// The messages of a forward, the number of axons to call, and the use of their completions.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The messages.
    pub conversation: Conversation,
    /// Whether the conversation asks for a question.
    pub is_question: bool,
    /// Maximum number of axons to call. `None` or -1 for all serving axons.
    pub topk: Option<i64>,
    /// Method of choosing the axons.
    pub choice: Choice,
    /// Use of the completions.
    pub judgement: Judgement,
    /// Timeout in seconds, before it is scaled.
    pub timeout: f64,
    /// The method in the event: `train`, `forward` or `inference`.
    pub method: &'static str,
}

/// A method of choosing the axons to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Those with the highest scores of the gating model.
    BestScores,
    /// A random sample.
    Sample,
}

/// The use of a forward's completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The successes are rewarded, and the rewards update the moving averages.
    Reward {
        /// Whether the gating model learns from the rewards.
        train_gating_model: bool,
        /// Whether the rewards are sent to the axons.
        train_network: bool,
    },
    /// The best completion is that of the axon with the highest score. The validator learns nothing.
    TrustScores,
    /// The best completion is the one with the highest reward. The validator learns nothing.
    TrustRewards,
}

impl Choice {
    /// Converts the key `random_sample_uids` of the experiment file.
    pub(crate) fn from_random_sample(random_sample_uids: bool) -> Self {
        if random_sample_uids {
            Self::Sample
        } else {
            Self::BestScores
        }
    }
}

impl Ask {
    /// Builds the first forward of a training step, which asks the network for a question.
    pub(crate) fn for_question(launch: &ValidatorLaunch, args: &TrainArgs) -> Self {
        let conversation = user_message(launch, &launch.neuron.question_prompt);
        Self {
            is_question: true,
            ..Self::training(launch, args, conversation)
        }
    }

    /// Builds the second forward of a training step, which asks the network the question that it gave.
    pub(crate) fn for_answer(launch: &ValidatorLaunch, args: &TrainArgs, question: &str) -> Self {
        Self::training(launch, args, user_message(launch, question))
    }

    fn training(launch: &ValidatorLaunch, args: &TrainArgs, conversation: Conversation) -> Self {
        Self {
            conversation,
            is_question: false,
            topk: Some(launch.neuron.training_topk.into()),
            choice: Choice::from_random_sample(args.random_sample_uids),
            judgement: Judgement::Reward {
                train_gating_model: args.train_gating_model,
                train_network: args.train_network,
            },
            timeout: launch.neuron.training_timeout,
            method: "train",
        }
    }

    /// Builds a forward of the query `forward` for one question of the data set.
    pub(crate) fn forward(launch: &ValidatorLaunch, args: &ForwardArgs, question: &str) -> Self {
        Self {
            conversation: user_message(launch, question),
            is_question: false,
            topk: args.topk.or(Some(launch.neuron.training_topk.into())),
            choice: Choice::from_random_sample(args.random_sample_uids),
            judgement: Judgement::Reward {
                train_gating_model: args.train_gating_model,
                train_network: args.train_network,
            },
            timeout: args.timeout.unwrap_or(launch.neuron.training_timeout),
            method: "forward",
        }
    }

    /// Builds an inference, which calls the axons with the highest scores.
    pub(crate) fn inference(
        launch: &ValidatorLaunch,
        args: &InferenceArgs,
        conversation: Conversation,
    ) -> Self {
        let judgement = if args.use_reward_model {
            Judgement::TrustRewards
        } else {
            Judgement::TrustScores
        };
        Self {
            conversation,
            is_question: false,
            topk: Some(launch.neuron.inference_topk.into()),
            choice: Choice::BestScores,
            judgement,
            timeout: args.timeout.unwrap_or(launch.neuron.inference_timeout),
            method: "inference",
        }
    }
}

/// Builds a conversation of the base prompt and a user's message.
pub(crate) fn user_message(launch: &ValidatorLaunch, text: &str) -> Conversation {
    Conversation::question(&launch.neuron.base_prompt, text)
}

/// Returns the arguments of the query if it trains, otherwise the defaults.
pub(crate) fn train_args(launch: &ValidatorLaunch) -> TrainArgs {
    match launch.query.as_ref().map(|query| &query.method) {
        Some(Method::Train(args)) => args.clone(),
        _ => TrainArgs::default(),
    }
}
