//! The `query` section: the queries that validators send to miners.

use crate::declare::{family, keys};
use crate::ranges::{OLDEST_FORM, STEPS, TEXTS, TIMEOUT, TOPK};

keys! {
    /// The `query` section: the queries that validators send to miners.
    pub struct Query {
        /// Name of the query, by which `analysis.requires` refers to it.
        id: String,
        /// Number of questions that `forward` and `inference` ask together in one step.
        chunk_size: u32 [Integer(1..=65_536)] = 1,
        /// Accepted for upstream's files. No effect: events are saved continuously.
        save_interval: u32 [Integer(1..=1_000_000_000)] = 100,
        /// Columns that are left out of the view of the events.
        ignore_attr: Vec<String> [TEXTS] = [],
        /// The method of the query.
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
        /// Number of steps.
        max_iter: u64 [STEPS] = 1,
        /// Whether to query a random sample of the serving uids instead of those with the highest scores.
        random_sample_uids: bool = true,
        /// Whether the gating model learns from the rewards.
        train_gating_model: bool = true,
        /// Whether the rewards are sent to the axons.
        train_network: bool = false,
    }
}

keys! {
    /// Arguments of `forward`.
    pub struct ForwardArgs: Default {
        /// Number of axons to query, -1 for all that serve. If absent: `training_topk` of the neuron.
        topk: Option<i64> [Or("-1", &TOPK)],
        /// Whether to query a random sample of the serving uids instead of those with the highest scores.
        random_sample_uids: bool = true,
        /// Whether the gating model learns from the rewards.
        train_gating_model: bool = true,
        /// Whether the rewards are sent to the axons.
        train_network: bool = false,
        /// Timeout. If absent: `training_timeout` of the neuron.
        timeout: Option<f64> [TIMEOUT],
    }
}

keys! {
    /// Arguments of `inference`.
    pub struct InferenceArgs: Default {
        /// Timeout. If absent: `inference_timeout` of the neuron.
        timeout: Option<f64> [TIMEOUT],
        /// Whether the best completion is the one with the highest reward instead of that of the uid with the highest
        /// score.
        use_reward_model: bool = false,
    }
}

family! {
    /// The method by which validators query miners.
    pub enum Method: "method" {
        /// In each step, asks the network for a question and then asks it the best one.
        "train" => Train(TrainArgs),
        /// Asks the network each question of the data.
        "forward" => Forward(ForwardArgs),
        /// Asks the network each question of the data, as a client would. The validators learn nothing from it.
        "inference" => Inference(InferenceArgs),
    }
}
