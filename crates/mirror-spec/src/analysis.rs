//! The `analysis` section: results computed from the events.

use std::collections::BTreeMap;

use crate::declare::{choice, family, keys};
use crate::key::Described;
use crate::ranges::{RATE, TEXTS};

keys! {
    /// The `analysis` section, with upstream's names.
    pub struct Analysis: Default {
        /// Name of the analysis.
        id: String = "analysis",
        /// Earlier runs to report on, by id of their query, by id of the run, or by path, and event logs, by a path or
        /// pattern relative to this file.
        requires: Vec<String> [TEXTS] = [],
        /// Features to compute, by column. A plain list applies to `message`. Planned: no effect yet.
        create_features: BTreeMap<String, Vec<Feature>> [Map(&OneOrMany(&Feature::KIND))] = {},
        /// Scatter plots: for each y column, the x columns. Planned: no effect yet.
        plot: BTreeMap<String, Vec<String>> [Map(&TEXTS)] = {},
        /// Three columns as a scatter plot in space. Planned: no effect yet.
        embedding_plot: Option<EmbeddingPlot>,
        /// Regressors by name. Planned: no effect yet.
        estimators: BTreeMap<String, Estimator> = {},
        /// Predictions by target: the feature and the estimator. Planned: no effect yet.
        predict: BTreeMap<String, Prediction> = {},
    }
}

choice! {
    /// A feature of a text.
    pub enum Feature {
        /// Number of characters of the question.
        QuestionLength = "question_length",
        /// Number of sentences.
        SentenceLength = "sentence_length",
        /// Number of words.
        NumWords = "num_words",
        /// Mean number of characters of a word.
        AvgWordLength = "avg_word_length",
        /// Median number of characters of a word.
        MedianWordLength = "median_word_length",
        /// The first word.
        FirstWord = "first_word",
        /// Number of tokens of the reward model.
        RewardNumTokens = "reward_num_tokens",
        /// An embedding of the sentence.
        Embeddings = "embeddings",
    }
}

keys! {
    /// Three columns as a scatter plot in space.
    pub struct EmbeddingPlot {
        /// Scaling of each column. If absent: none.
        scaler: Option<Scaler>,
        /// The columns for x, y and z.
        columns: Vec<String>,
    }
}

choice! {
    /// A scaling of columns before they are plotted.
    pub enum Scaler {
        /// Scales to the range 0 to 1, from the smallest to the largest value.
        MinMax = "MinMax",
    }
}

keys! {
    /// A prediction of a target from a feature.
    pub struct Prediction {
        /// Name of the feature.
        x: String,
        /// Name of the estimator in `estimators`.
        estimator: String,
    }
}

family! {
    /// A regressor, with scikit-learn's arguments and defaults.
    pub enum Estimator: "estimator" {
        /// Gradient boosting: each tree is fitted to the residuals of its predecessors.
        "GradientBoostingRegressor" => GradientBoostingRegressor(GradientBoostingArgs {
            /// Number of trees.
            n_estimators: u32 [Integer(1..=100_000)] = 100,
            /// Factor of the contribution of each tree.
            learning_rate: f64 [Number(0.0..=1_000.0)] = 0.1,
            /// Maximum depth of a tree.
            max_depth: u32 [Integer(1..=64)] = 3,
            /// Minimum number of rows in a leaf.
            min_samples_leaf: u32 [Integer(1..=1_000_000_000)] = 1,
            /// Share of the rows to which each tree is fitted.
            subsample: f64 [RATE] = 1,
            /// Share of the rows held out for early stopping.
            validation_fraction: f64 [RATE] = 0.1,
            /// Number of trees without improvement after which training stops. If absent: never.
            n_iter_no_change: Option<u32> [Integer(1..=100_000)],
            /// Random seed. If absent: derived from the experiment's.
            random_state: Option<u64>,
            /// Verbosity.
            verbose: u32 [Integer(0..=10)] = 0,
        }) [Planned],
    }
}
