//! The `analysis` section: results computed from the events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::declare::{choice, family, keys};
use crate::key::{Described, Kind};
use crate::ranges::TEXTS;

keys! {
    /// The `analysis` section, with upstream's names.
    pub struct Analysis: Default {
        /// Name of the analysis.
        id: String = "analysis",
        /// Earlier runs to report on, by id of their query, by id of the run, or by path, and event logs, by a path or
        /// pattern relative to this file.
        requires: Vec<String> [TEXTS] = [],
        /// Features to compute, by column of texts. A plain list applies to `message`. A feature of `message` becomes a
        /// column with its name, and one of another column is called `{column}_{feature}`.
        create_features: BTreeMap<String, Vec<Feature>> [Map(&OneOrMany(&Feature::KIND))] = {},
        /// Sentence model of the feature `embeddings`: a folder, or the name of a model on this machine.
        sentence_model: Option<String>,
        /// Scatter plots: for each y column, the x columns.
        plot: BTreeMap<String, Vec<String>> [Map(&TEXTS)] = {},
        /// Three columns as a scatter plot in space.
        embedding_plot: Option<EmbeddingPlot>,
        /// Principal components of columns or of the embeddings. If absent: those of the embeddings, if there are any.
        pca: Option<PrincipalComponents>,
        /// Regressors by name.
        estimators: BTreeMap<String, Estimator> = {},
        /// Predictions by target: the feature and the estimator.
        predict: BTreeMap<String, Prediction> = {},
    }
}

/// Columns of which an analysis makes plots and predictions: those of the view of the events, in its order, and `path`,
/// the id of the run, which distinguishes the events of several runs.
pub const EVENT_COLUMNS: [&str; 15] = [
    "completion",
    "message",
    "uids",
    "rewards",
    "scores",
    "all_uids",
    "all_completions",
    "block",
    "is_question",
    "call_time",
    "step",
    "step_sub",
    "validator",
    "purpose",
    "path",
];

/// Another name of the column `message` in an analysis.
pub const PROMPT: &str = "prompt";

/// The columns that have features: those of [`EVENT_COLUMNS`] that contain texts, and [`PROMPT`].
pub const TEXT_COLUMNS: [&str; 6] = [
    "message",
    PROMPT,
    "completion",
    "all_completions",
    "validator",
    "purpose",
];

choice! {
    /// A feature of a text.
    pub enum Feature {
        /// Number of characters, which are Unicode scalar values.
        QuestionLength = "question_length",
        /// The same as `question_length`.
        SentenceLength = "sentence_length",
        /// Number of words, which are separated by white space.
        NumWords = "num_words",
        /// Number of characters divided by the number of words.
        AvgWordLength = "avg_word_length",
        /// Median number of characters of a word.
        MedianWordLength = "median_word_length",
        /// The first word.
        FirstWord = "first_word",
        /// Number of tokens by the tokenizer of the reward model, or by the builtin tokenizer if the model has none.
        RewardNumTokens = "reward_num_tokens",
        /// The embedding of the text by `sentence_model`.
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
    /// Principal components.
    pub struct PrincipalComponents {
        /// The columns, of numbers or of embeddings. A column of lists contributes the mean of its list.
        columns: Vec<String>,
        /// Number of components, or the share of the variance that they explain, between 0 and 1. If absent: ten, or
        /// fewer if there are fewer.
        n_components: Option<ComponentCount>,
    }
}

/// The number of principal components.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ComponentCount {
    /// This number.
    Exactly(u32),
    /// The least number that explains this share of the variance, between 0 and 1.
    VarianceShare(f64),
}

impl Described for ComponentCount {
    const KIND: Kind = Kind::Either(&Kind::Integer(1..=65_536), &Kind::Number(0.001..=0.999));
}

keys! {
    /// A prediction of the target from a column.
    pub struct Prediction {
        /// Column with a number per event or per element of the target, or `embeddings`.
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
            subsample: f64 [Number(0.001..=1.0)] = 1,
            /// Share of the rows held out for early stopping.
            validation_fraction: f64 [Number(0.001..=0.999)] = 0.1,
            /// Number of trees without improvement after which training stops. If absent: never.
            n_iter_no_change: Option<u32> [Integer(1..=100_000)],
            /// Random seed. If absent: that of the run.
            random_state: Option<u64>,
            /// Accepted for upstream's files. No effect: nothing is printed during the training.
            verbose: u32 [Integer(0..=10)] = 0,
        }),
        /// Random forest: the mean of trees, each fitted to a random sample of the rows.
        "RandomForestRegressor" => RandomForestRegressor(RandomForestArgs {
            /// Number of trees.
            n_estimators: u32 [Integer(1..=100_000)] = 100,
            /// Maximum depth of a tree. If absent: unlimited.
            max_depth: Option<u32> [Integer(1..=64)],
            /// Minimum number of rows in a leaf.
            min_samples_leaf: u32 [Integer(1..=1_000_000_000)] = 1,
            /// Share of the columns among which each split is chosen.
            max_features: f64 [Number(0.001..=1.0)] = 1,
            /// Whether the rows of a tree are drawn with replacement. Otherwise each tree is fitted to all rows.
            bootstrap: bool = true,
            /// Random seed. If absent: that of the run.
            random_state: Option<u64>,
        }),
        /// Linear regression: ordinary least squares.
        "LinearRegression" => LinearRegression(LinearRegressionArgs: Copy {
            /// Whether the model has a constant term.
            fit_intercept: bool = true,
        }),
    }
}
