//! The `query` section: what the validators do.

use crate::declare::{family, keys};
use crate::ranges::{OLDEST_FORM, STEPS, TEXTS, TIMEOUT, TOPK};

keys! {
    /// The `query` section: what the validators do.
    pub struct Query {
        /// Name of the query; an analysis names it in `requires`.
        id: String,
        /// Questions asked at once by `forward` and `inference`.
        chunk_size: u32 [Integer(1..=65_536)] = 1,
        /// Kept for upstream's files; events are saved as they come.
        save_interval: u32 [Integer(1..=1_000_000_000)] = 100,
        /// Columns left out of the view of the events.
        ignore_attr: Vec<String> [TEXTS] = [],
        /// What is done.
        method: Method,
        ignored message: OLDEST_FORM,
        ignored tokenizer: OLDEST_FORM,
        ignored requires: OLDEST_FORM,
        ignored entrypoint: OLDEST_FORM,
        ignored forward: OLDEST_FORM,
        ignored store: OLDEST_FORM,
    }
}

keys! {
    /// Arguments of `train`.
    pub struct TrainArgs: Default {
        /// Steps.
        max_iter: u64 [STEPS] = 1,
        /// Ask a random sample of the serving uids instead of those with the highest scores.
        random_sample_uids: bool = true,
        /// Train the gating model on the rewards.
        train_gating_model: bool = true,
        /// Send the rewards back to the axons.
        train_network: bool = false,
    }
}

keys! {
    /// Arguments of `forward`.
    pub struct ForwardArgs: Default {
        /// Axons asked, -1 for every serving one; left out: the neuron's `training_topk`.
        topk: Option<i64> [Or("-1", &TOPK)],
        /// Ask a random sample of the serving uids instead of those with the highest scores.
        random_sample_uids: bool = true,
        /// Train the gating model on the rewards.
        train_gating_model: bool = true,
        /// Send the rewards back to the axons.
        train_network: bool = false,
        /// Deadline; left out: the neuron's `training_timeout`.
        timeout: Option<f64> [TIMEOUT],
    }
}

keys! {
    /// Arguments of `inference`.
    pub struct InferenceArgs: Default {
        /// Deadline; left out: the neuron's `inference_timeout`.
        timeout: Option<f64> [TIMEOUT],
        /// Choose by the reward model instead of by the score of who answered.
        use_reward_model: bool = false,
    }
}

family! {
    /// What the validators do.
    pub enum Method: "method" {
        /// Asks the network for a question, then asks it the best one; so many times.
        "train" => Train(TrainArgs),
        /// Asks the network each question of the data.
        "forward" => Forward(ForwardArgs),
        /// Asks the network each question of the data, as a user would.
        "inference" => Inference(InferenceArgs),
    }
}
