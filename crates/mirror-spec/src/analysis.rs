//! The `analysis` section: what is computed from the events.

use std::collections::BTreeMap;

use crate::declare::{choice, family, keys};
use crate::key::Described;
use crate::ranges::{RATE, TEXTS};

keys! {
    /// The `analysis` section, by upstream's names. Features and plots are computed from the tables of a run.
    pub struct Analysis: Default {
        /// Name of the analysis.
        id: String = "analysis",
        /// Ids of queries, ids of runs, or paths of runs.
        requires: Vec<String> [TEXTS] = [],
        /// Features by the column that they are made from; a plain list is of `message`.
        create_features: BTreeMap<String, Vec<Feature>> [Map(&OneOrMany(&Feature::KIND))] = {},
        /// A scatter of each y over its x columns.
        plot: BTreeMap<String, Vec<String>> [Map(&TEXTS)] = {},
        /// Three columns drawn in space.
        embedding_plot: Option<EmbeddingPlot>,
        /// Regressors by name.
        estimators: BTreeMap<String, Estimator> = {},
        /// By target: from what, and by which estimator.
        predict: BTreeMap<String, Prediction> = {},
    }
}

choice! {
    /// A feature of a text.
    pub enum Feature {
        /// Characters of the question.
        QuestionLength = "question_length",
        /// Sentences.
        SentenceLength = "sentence_length",
        /// Words.
        NumWords = "num_words",
        /// Mean characters of a word.
        AvgWordLength = "avg_word_length",
        /// Median characters of a word.
        MedianWordLength = "median_word_length",
        /// The first word.
        FirstWord = "first_word",
        /// Tokens as the reward model counts them.
        RewardNumTokens = "reward_num_tokens",
        /// A vector that stands for the meaning of the sentence.
        Embeddings = "embeddings",
    }
}

keys! {
    /// Three columns drawn in space.
    pub struct EmbeddingPlot {
        /// Brings each column to 0..1; left out: none.
        scaler: Option<Scaler>,
        /// x, y and z.
        columns: Vec<String>,
    }
}

choice! {
    /// How columns are scaled before they are drawn.
    pub enum Scaler {
        /// To 0..1, by the smallest and the largest value.
        MinMax = "MinMax",
    }
}

keys! {
    /// What is predicted from what, by which estimator.
    pub struct Prediction {
        /// The feature.
        x: String,
        /// Name of an estimator.
        estimator: String,
    }
}

family! {
    /// A regressor; arguments and defaults are scikit-learn's.
    pub enum Estimator: "estimator" {
        /// Trees, each fitted to what those before it left over.
        "GradientBoostingRegressor" => GradientBoostingRegressor(GradientBoostingArgs {
            /// Trees.
            n_estimators: u32 [Integer(1..=100_000)] = 100,
            /// Share of each tree that is taken.
            learning_rate: f64 [Number(0.0..=1_000.0)] = 0.1,
            /// Levels of a tree.
            max_depth: u32 [Integer(1..=64)] = 3,
            /// Rows in a leaf, at least.
            min_samples_leaf: u32 [Integer(1..=1_000_000_000)] = 1,
            /// Share of the rows that each tree sees.
            subsample: f64 [RATE] = 1,
            /// Share of the rows kept to stop early by.
            validation_fraction: f64 [RATE] = 0.1,
            /// Stop after so many trees without gain; left out: never.
            n_iter_no_change: Option<u32> [Integer(1..=100_000)],
            /// Seed of its draws; left out: from the experiment's.
            random_state: Option<u64>,
            /// How much it tells.
            verbose: u32 [Integer(0..=10)] = 0,
        }) [Planned],
    }
}
