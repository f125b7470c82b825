//! What a forward asks of the network: the messages, how many axons, and what is done with their answers.
//!
//! The arguments of a query and the settings of the launch description become [`Ask`]s here.

use mirror_spec::launch::ValidatorLaunch;
use mirror_spec::{ForwardArgs, InferenceArgs, Method, TrainArgs};

use crate::conversation::Conversation;

/// What is asked, of how many axons, and what is done with their answers.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The messages.
    pub conversation: Conversation,
    /// Whether the conversation asks for a question.
    pub is_question: bool,
    /// The largest number of axons that are asked. `None` or -1 is every serving one.
    pub topk: Option<i64>,
    /// How the axons are chosen.
    pub choice: Choice,
    /// What is done with the answers.
    pub judgement: Judgement,
    /// The deadline in seconds, before it is scaled.
    pub timeout: f64,
    /// The method that the event names: `train`, `forward` or `inference`.
    pub method: &'static str,
}

/// How the axons that are asked are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Those with the highest scores.
    BestScores,
    /// A random sample.
    Sample,
}

/// What is done with the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The successes are rewarded and the rewards are remembered.
    Reward {
        /// Whether the gating model learns from the rewards.
        train_gating_model: bool,
        /// Whether the axons are told their rewards.
        train_network: bool,
    },
    /// The best is the completion of the axon with the highest score. Nothing is learned.
    TrustScores,
    /// The best is the completion with the highest reward. Nothing is learned.
    TrustRewards,
}

impl Choice {
    /// The choice that the key `random_sample_uids` of the experiment file means.
    pub(crate) fn from_random_sample(random_sample_uids: bool) -> Self {
        if random_sample_uids {
            Self::Sample
        } else {
            Self::BestScores
        }
    }
}

impl Ask {
    /// The first forward of a training step, which asks the network for a question.
    pub(crate) fn for_question(launch: &ValidatorLaunch, args: &TrainArgs) -> Self {
        let conversation = user_message(launch, &launch.neuron.question_prompt);
        Self {
            is_question: true,
            ..Self::training(launch, args, conversation)
        }
    }

    /// The second forward of a training step, which asks the network its own question.
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

    /// A forward of the query `forward` for one question of the data.
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

    /// An inference, which asks the axons with the highest scores.
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

/// A user's message under the base prompt.
pub(crate) fn user_message(launch: &ValidatorLaunch, text: &str) -> Conversation {
    Conversation::question(&launch.neuron.base_prompt, text)
}

/// The arguments of the query if it trains, and the defaults otherwise.
pub(crate) fn train_args(launch: &ValidatorLaunch) -> TrainArgs {
    match launch.query.as_ref().map(|query| &query.method) {
        Some(Method::Train(args)) => args.clone(),
        _ => TrainArgs::default(),
    }
}
