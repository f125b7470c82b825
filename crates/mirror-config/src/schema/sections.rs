//! The sections of a file and their keys.

use super::behaviours::BEHAVIOUR;
use super::components::{
    DENDRITE_POOL, ESTIMATOR, GATING_MODEL, METAGRAPH, METHOD, RATE, REWARD_MODEL, SEED, SUBTENSOR,
    VALIDATOR_BEHAVIOUR,
};
use super::{DEVICE, Key, Kind, STEP, STEPS, UIDS, VICTIMS};

/// A deadline of calls.
pub(crate) const TIMEOUT: Kind = Kind::Duration(0.001..=3_600.0);
/// How many axons are asked at once.
const TOPK: Kind = Kind::Integer(1..=65_536);
const OLDEST_FORM: &str = "it belongs to the oldest form of these files";

/// The whole file.
pub static EXPERIMENT: &[Key] = &[
    Key::new(
        "seed",
        SEED,
        "0",
        "One number from which every draw of the run comes.",
    ),
    Key::new(
        "replicates",
        Kind::Integer(1..=1_000),
        "1",
        "Runs of the same file, a group of them, each with the seed after the one before.",
    ),
    Key::new("device", Kind::Notation(&DEVICE), "cpu", "Where tensors live."),
    Key::optional(
        "model",
        Kind::Table(MODEL),
        "Who plays: validator, chain and miners.",
    ),
    Key::optional(
        "data",
        Kind::Table(DATA),
        "Where questions and answers come from.",
    ),
    Key::optional("query", Kind::Table(QUERY), "What the validators do."),
    Key::optional(
        "analysis",
        Kind::Table(ANALYSIS),
        "What is computed from the events.",
    ),
    Key::new(
        "network",
        Kind::Table(NETWORK),
        "{}",
        "How many of what, and how they are placed.",
    ),
    Key::new(
        "faults",
        Kind::List(&Kind::Table(FAULT)),
        "[]",
        "What is broken on purpose, and when.",
    ),
    Key::new(
        "expect",
        Kind::List(&Kind::Table(EXPECTATION)),
        "[]",
        "What must be so after the run.",
    ),
    Key::ignored("forward", OLDEST_FORM),
    Key::ignored("store", OLDEST_FORM),
    Key::ignored("entrypoint", OLDEST_FORM),
    Key::ignored("requires", OLDEST_FORM),
    Key::ignored("tokenizer", OLDEST_FORM),
];

/// `model`.
pub static MODEL: &[Key] = &[
    Key::required("id", Kind::Text, "Name of the model."),
    Key::new(
        "alpha",
        RATE,
        "0.01",
        "Weight of the old moving average in the validator's weights.",
    ),
    Key::required(
        "dendrite_pool",
        Kind::Component(&DENDRITE_POOL),
        "Sets up the miners.",
    ),
    Key::required(
        "gating_model",
        Kind::Component(&GATING_MODEL),
        "Scores uids for a question.",
    ),
    Key::required(
        "reward_model",
        Kind::Component(&REWARD_MODEL),
        "Scores completions.",
    ),
    Key::new(
        "subtensor",
        Kind::Component(&SUBTENSOR),
        "DummySubtensor",
        "The chain.",
    ),
    Key::new(
        "metagraph",
        Kind::Component(&METAGRAPH),
        "DummyMetagraph",
        "The subnet's size and name.",
    ),
    Key::new(
        "neuron",
        Kind::Table(NEURON),
        "{}",
        "The validator's own settings.",
    ),
    Key::ignored("ckpt", OLDEST_FORM),
    Key::ignored("tokenizer", OLDEST_FORM),
    Key::ignored("embedding", OLDEST_FORM),
    Key::ignored("norm", OLDEST_FORM),
];

/// `model.neuron`.
pub static NEURON: &[Key] = &[
    Key::new(
        "base_prompt",
        Kind::Text,
        "You are an assistant who is glad to help. Answer with care and in detail, keep to what is true, and say so \
         when you do not know.",
        "The system prompt of every question.",
    ),
    Key::new(
        "question_prompt",
        Kind::Text,
        "Think of a question, on any subject at all, that somebody could be asked. Reply with the question alone.",
        "What the network is asked when it shall think of a question.",
    ),
    Key::new(
        "inference_topk",
        TOPK,
        "10",
        "Axons asked by `inference`; left out, no more than there are.",
    ),
    Key::new(
        "training_topk",
        TOPK,
        "10",
        "Axons asked by a training forward; left out, no more than there are.",
    ),
    Key::new(
        "training_timeout",
        TIMEOUT,
        "4",
        "Deadline of a training forward.",
    ),
    Key::new("inference_timeout", TIMEOUT, "10", "Deadline of an inference."),
    Key::new(
        "max_history",
        Kind::Integer(1..=10_000_000),
        "100000",
        "Events kept for the weights; the oldest leaves first.",
    ),
    Key::new(
        "epoch_length_override",
        Kind::Or("-1", &Kind::Integer(1..=1_000_000_000)),
        "-1",
        "Blocks between two settings of weights; -1: as the chain says.",
    ),
    Key::new(
        "no_reward_model",
        Kind::Bool,
        "false",
        "The scores of the answering uids are the rewards; no reward model is asked.",
    ),
    Key::new(
        "torch_threads",
        Kind::Integer(1..=1_024),
        "1",
        "Threads of libtorch in a validator.",
    ),
    Key::new(
        "learning_rate",
        Kind::Number(0.0..=1_000_000.0),
        "0.01",
        "How far each training step of the gating model goes.",
    ),
    Key::new(
        "momentum",
        Kind::Number(0.0..=1.0),
        "0.9",
        "Share of the gating model's last training step that is taken again.",
    ),
    Key::new(
        "accumulate_gradients",
        Kind::Bool,
        "false",
        "Keep the gating model's gradients and add to them, as Bittensor v4 does, instead of zeroing them.",
    ),
    Key::new(
        "watch_every",
        Kind::Integer(0..=1_000_000),
        "10",
        "Steps from one look at the gating model's parameters to the next, for the table `parameters`; 0: never.",
    ),
    Key::new(
        "checkpoint_every",
        Kind::Integer(0..=1_000_000_000),
        "0",
        "Steps from one checkpoint of the gating model to the next; 0: only at the end.",
    ),
    Key::new("version_key", SEED, "400", "Version key of the weights."),
];

/// `data`.
pub static DATA: &[Key] = &[
    Key::required("id", Kind::Text, "Name of the data."),
    Key::required(
        "path",
        Kind::Text,
        "A file, a folder, a data set's name, or `builtin`.",
    ),
    Key::new(
        "question",
        Kind::Text,
        "question",
        "Column of the question; in the seed's files under `schema`.",
    ),
    Key::new(
        "answer",
        Kind::Text,
        "answer",
        "Column of the answers; in the seed's files under `schema`.",
    ),
    Key::new(
        "sample",
        Kind::Table(SAMPLE),
        "{method: all}",
        "Which rows take part.",
    ),
];

/// `data.sample`.
pub static SAMPLE: &[Key] = &[
    Key::new(
        "method",
        Kind::Choice(&["all", "first", "random"]),
        "all",
        "Every row, the first n, or n at random.",
    ),
    Key::optional("n", Kind::Integer(1..=u32::MAX as i128), "Rows."),
    Key::new("seed", SEED, "42", "Seed of the draw."),
];

/// `query`.
pub static QUERY: &[Key] = &[
    Key::required(
        "id",
        Kind::Text,
        "Name of the query; an analysis names it in `requires`.",
    ),
    Key::new(
        "chunk_size",
        Kind::Integer(1..=65_536),
        "1",
        "Questions asked at once by `forward` and `inference`.",
    ),
    Key::new(
        "save_interval",
        Kind::Integer(1..=1_000_000_000),
        "100",
        "Kept for the seed's files; events are saved as they come.",
    ),
    Key::new(
        "ignore_attr",
        Kind::OneOrMany(&Kind::Text),
        "[]",
        "Columns left out of the view of the events.",
    ),
    Key::required("method", Kind::Component(&METHOD), "What is done."),
    Key::ignored("message", OLDEST_FORM),
    Key::ignored("tokenizer", OLDEST_FORM),
    Key::ignored("requires", OLDEST_FORM),
    Key::ignored("entrypoint", OLDEST_FORM),
    Key::ignored("forward", OLDEST_FORM),
    Key::ignored("store", OLDEST_FORM),
];

/// A feature of a text.
const FEATURE: Kind = Kind::Choice(&[
    "question_length",
    "sentence_length",
    "num_words",
    "avg_word_length",
    "median_word_length",
    "first_word",
    "reward_num_tokens",
    "embeddings",
]);

/// `analysis`.
pub static ANALYSIS: &[Key] = &[
    Key::new("id", Kind::Text, "analysis", "Name of the analysis."),
    Key::new(
        "requires",
        Kind::OneOrMany(&Kind::Text),
        "[]",
        "Ids of queries, ids of runs, or paths of runs.",
    ),
    Key::new(
        "create_features",
        Kind::Map(&Kind::OneOrMany(&FEATURE)),
        "{}",
        "Features by the column that they are made from; a plain list is of `message`.",
    ),
    Key::new(
        "plot",
        Kind::Map(&Kind::OneOrMany(&Kind::Text)),
        "{}",
        "A scatter of each y over its x columns.",
    ),
    Key::optional(
        "embedding_plot",
        Kind::Table(EMBEDDING_PLOT),
        "Three columns drawn in space.",
    ),
    Key::new(
        "estimators",
        Kind::Map(&Kind::Component(&ESTIMATOR)),
        "{}",
        "Regressors by name.",
    ),
    Key::new(
        "predict",
        Kind::Map(&Kind::Table(PREDICTION)),
        "{}",
        "By target: from what, and by which estimator.",
    ),
];

/// `analysis.embedding_plot`.
static EMBEDDING_PLOT: &[Key] = &[
    Key::optional(
        "scaler",
        Kind::Choice(&["MinMax"]),
        "Brings each column to 0..1; left out: none.",
    ),
    Key::required("columns", Kind::List(&Kind::Text), "x, y and z."),
];

/// `analysis.predict.*`.
static PREDICTION: &[Key] = &[
    Key::required("x", Kind::Text, "The feature."),
    Key::required("estimator", Kind::Text, "Name of an estimator."),
];

/// `expect[]`.
pub static EXPECTATION: &[Key] = &[
    Key::required("name", Kind::Text, "What must be so, in words."),
    Key::required(
        "sql",
        Kind::Text,
        "A question over the run's tables whose answer is one row that begins with true or false.",
    ),
    Key::new(
        "over",
        Kind::Choice(&["run", "group"]),
        "run",
        "Asked of each run, or of all replicates together.",
    ),
];

/// `network`.
pub static NETWORK: &[Key] = &[
    Key::new(
        "validators",
        Kind::Integer(1..=256),
        "1",
        "How many validators there are; their uids follow the miners'.",
    ),
    Key::new(
        "stakes",
        Kind::OneOrMany(&Kind::Number(0.0..=21_000_000.0)),
        "[]",
        "TAO staked by each validator; the last one repeats; none: 1,000 each.",
    ),
    Key::new(
        "block_time",
        Kind::Or("per_step", &Kind::Duration(0.01..=3_600.0)),
        "per_step",
        "When a block closes: after each step, which repeats, or by the clock.",
    ),
    Key::optional(
        "metagraph",
        Kind::Text,
        "A metagraph, `.json` or `.parquet`, that the subnet starts from.",
    ),
    Key::new(
        "chain",
        Kind::Choice(&["small", "classic", "today"]),
        "small",
        "The chain's rules: without limits, of 2023, or of 2026.",
    ),
    Key::new(
        "hyperparameters",
        Kind::Table(HYPERPARAMETERS),
        "{}",
        "Which of these rules are other numbers.",
    ),
    Key::new(
        "axons_per_process",
        Kind::Integer(1..=4_096),
        "1",
        "Axons in one miner process.",
    ),
    Key::new(
        "miners",
        Kind::List(&Kind::Table(MINERS)),
        "[]",
        "Miners that differ from the dendrite pool's; a later entry overrides an earlier one.",
    ),
    Key::new(
        "validator_groups",
        Kind::List(&Kind::Table(VALIDATOR_GROUPS)),
        "[]",
        "Validators that are not honest; a later entry overrides an earlier one.",
    ),
    Key::new(
        "restart",
        Kind::Table(RESTART),
        "{}",
        "What happens to a node that dies by itself or hangs.",
    ),
    Key::new(
        "ready_timeout",
        Kind::Duration(0.1..=3_600.0),
        "60",
        "Time that a node has from its start until it answers.",
    ),
    Key::new(
        "hang_timeout",
        Kind::Duration(0.1..=3_600.0),
        "30",
        "Time without an answer to health checks after which a node counts as hung.",
    ),
    Key::new(
        "time_scale",
        Kind::Number(0.001..=1.0),
        "1",
        "Shrinks every drawn delay and every deadline alike.",
    ),
    Key::new(
        "record_acknowledged",
        Kind::Bool,
        "false",
        "Write the identity of each acknowledged event beside the logs.",
    ),
];

/// `network.hyperparameters`: the chain's, by its names.
pub static HYPERPARAMETERS: &[Key] = &[
    Key::optional(
        "tempo",
        Kind::Integer(0..=u64::MAX as i128),
        "Blocks between two epochs, the epoch's own not counted; 0: no epoch ever.",
    ),
    Key::optional(
        "block_emission",
        Kind::Integer(0..=u64::MAX as i128),
        "Minted each block until half of all TAO is issued, then half of it, and so on; rao.",
    ),
    Key::optional(
        "kappa",
        Kind::Integer(0..=65_535),
        "Share of the stake that makes a consensus, 65,535 is all.",
    ),
    Key::optional(
        "activity_cutoff",
        Kind::Integer(0..=u64::MAX as i128),
        "Blocks without new weights after which a validator does not count; `classic` and `small`.",
    ),
    Key::optional(
        "activity_cutoff_factor",
        Kind::Integer(0..=1_000_000),
        "The activity cutoff in thousandths of the tempo; `today` alone.",
    ),
    Key::optional(
        "max_allowed_validators",
        Kind::Integer(0..=65_535),
        "Most neurons with a validator permit.",
    ),
    Key::optional(
        "stake_threshold",
        Kind::Integer(0..=u64::MAX as i128),
        "Stake below which a neuron counts as without any, and may not set weights; `today` alone; rao.",
    ),
    Key::optional(
        "bonds_moving_average",
        Kind::Integer(0..=1_000_000),
        "Share of the old bonds in the new, millionths.",
    ),
    Key::optional(
        "bonds_penalty",
        Kind::Integer(0..=65_535),
        "How far bonds follow the clipped weights rather than the weights as set, 65,535 is fully; `today` alone.",
    ),
    Key::optional(
        "yuma3_on",
        Kind::Integer(0..=1),
        "Whether bonds move by pair, as in Yuma 3; `today` alone; 1 is yes.",
    ),
    Key::optional(
        "liquid_alpha_on",
        Kind::Integer(0..=1),
        "Whether each pair has a rate of its own, where `yuma3_on`; 1 is yes.",
    ),
    Key::optional(
        "alpha_low",
        Kind::Integer(0..=65_535),
        "The smallest share of new bonds under liquid alpha, 65,535 is all.",
    ),
    Key::optional(
        "alpha_high",
        Kind::Integer(0..=65_535),
        "The largest share of new bonds under liquid alpha, 65,535 is all.",
    ),
    Key::optional(
        "alpha_sigmoid_steepness",
        Kind::Integer(0..=32_767),
        "How steep liquid alpha is between the two, hundredths, at most 32,767.",
    ),
    Key::optional(
        "validator_epoch_length",
        Kind::Integer(0..=u64::MAX as i128),
        "Blocks between two settings of weights by a validator; the validators keep it.",
    ),
    Key::optional(
        "validator_exclude_quantile",
        Kind::Integer(0..=65_535),
        "Share of the smallest weights that validators leave out; 65,535 is 1; the validators keep it.",
    ),
    Key::optional(
        "min_allowed_weights",
        Kind::Integer(0..=65_535),
        "Fewest weights that may be set at once.",
    ),
    Key::optional(
        "max_weight_limit",
        Kind::Integer(0..=65_535),
        "Largest share of one weight among those set together; 65,535 is all.",
    ),
    Key::optional(
        "weights_set_rate_limit",
        Kind::Integer(0..=u64::MAX as i128),
        "Blocks that must lie between two settings of weights by one hotkey.",
    ),
    Key::optional(
        "weights_version_key",
        Kind::Integer(0..=u64::MAX as i128),
        "Smallest version key with which weights may be set; 0: any.",
    ),
    Key::optional(
        "commit_reveal_weights_enabled",
        Kind::Integer(0..=1),
        "Whether weights are committed to first and revealed later, and cannot be set at once; 1 is yes.",
    ),
    Key::optional(
        "commit_reveal_period",
        Kind::Integer(0..=u64::MAX as i128),
        "Epochs from a commitment to its reveal.",
    ),
    Key::optional(
        "serving_rate_limit",
        Kind::Integer(0..=u64::MAX as i128),
        "Blocks that must lie between two announcements of an axon by one hotkey.",
    ),
    Key::optional(
        "tx_rate_limit",
        Kind::Integer(0..=u64::MAX as i128),
        "Blocks that must lie between two moves of stake by one coldkey.",
    ),
    Key::optional(
        "nominator_min_required_stake",
        Kind::Integer(0..=u64::MAX as i128),
        "Least stake that a nominator may have with a hotkey; rao.",
    ),
    Key::optional(
        "default_take",
        Kind::Integer(0..=65_535),
        "What a delegate keeps of its nominators' dividends if it does not say, and at most; 65,535 is all.",
    ),
    Key::optional("max_allowed_uids", Kind::Integer(1..=65_536), "Most neurons."),
    Key::optional(
        "immunity_period",
        Kind::Integer(0..=u64::MAX as i128),
        "Blocks after its registration in which a neuron is not replaced while others can be.",
    ),
    Key::optional(
        "min_non_immune_uids",
        Kind::Integer(0..=65_535),
        "Neurons past their immunity that are kept, so that not all newcomers replace them; `today` alone.",
    ),
    Key::optional(
        "network_registration_allowed",
        Kind::Integer(0..=1),
        "Whether anybody can register; 1 is yes.",
    ),
    Key::optional(
        "network_free_registration_allowed",
        Kind::Integer(0..=1),
        "Whether a hotkey can register by itself and for nothing; 1 is yes.",
    ),
    Key::optional(
        "max_registrations_per_block",
        Kind::Integer(0..=65_535),
        "Most registrations in a block.",
    ),
    Key::optional(
        "target_registrations_per_interval",
        Kind::Integer(1..=65_535),
        "Registrations that are meant for an interval, 1 or more; three times as many are its most.",
    ),
    Key::optional(
        "adjustment_interval",
        Kind::Integer(0..=u64::MAX as i128),
        "Blocks after which registrations are counted anew, and the price adjusted; 0: each block.",
    ),
    Key::optional(
        "burn",
        Kind::Integer(0..=u64::MAX as i128),
        "The price of a registration at first; rao.",
    ),
    Key::optional(
        "min_burn",
        Kind::Integer(0..=u64::MAX as i128),
        "The lowest price; rao.",
    ),
    Key::optional(
        "max_burn",
        Kind::Integer(0..=u64::MAX as i128),
        "The highest price; rao.",
    ),
    Key::optional(
        "burn_half_life",
        Kind::Integer(0..=65_535),
        "Blocks in which the price falls by half, 0: it does not; `today` alone.",
    ),
    Key::optional(
        "burn_increase",
        Kind::Integer(100..=65_535),
        "What each registration makes of the price, percent, 100 or more; `today` alone.",
    ),
];

/// `network.miners[]`.
pub static MINERS: &[Key] = &[
    Key::required("uids", Kind::Notation(&UIDS), "Who."),
    Key::optional(
        "behaviour",
        Kind::Component(&BEHAVIOUR),
        "What it does with a call; left out: as the dendrite pool says.",
    ),
    Key::new(
        "over",
        Kind::OneOrMany(&Kind::Component(&BEHAVIOUR)),
        "[]",
        "What the behaviour is laid over, the uppermost first; below the last is an honest miner.",
    ),
    Key::optional("latency", Kind::Table(LATENCY), "Delay of each call to it."),
];

/// `network.validator_groups[]`.
pub static VALIDATOR_GROUPS: &[Key] = &[
    Key::required("validators", Kind::Notation(&UIDS), "Who, from 0."),
    Key::required(
        "behaviour",
        Kind::Component(&VALIDATOR_BEHAVIOUR),
        "What it sets weights by.",
    ),
];

/// A delay.
const DELAY: Kind = Kind::Duration(0.0..=3_600.0);

/// A distribution of delays. Which keys go together is a rule.
pub(crate) static LATENCY: &[Key] = &[
    Key::optional(
        "fixed",
        DELAY,
        "The same for each call; a plain duration means this.",
    ),
    Key::optional(
        "mean",
        DELAY,
        "Mean of a normal distribution; what would be negative is 0.",
    ),
    Key::optional("deviation", DELAY, "Its standard deviation."),
    Key::optional(
        "p50",
        Kind::Duration(0.000_001..=3_600.0),
        "Half of the calls are faster: a lognormal distribution.",
    ),
    Key::optional(
        "p99",
        Kind::Duration(0.000_001..=3_600.0),
        "99 of 100 calls are faster.",
    ),
    Key::optional(
        "unit",
        DELAY,
        "Delay of the first rank of a Zipf distribution, and of each further one.",
    ),
    Key::optional("ranks", Kind::Integer(1..=1_000_000), "Its ranks."),
    Key::optional(
        "exponent",
        Kind::Number(0.0..=100.0),
        "The chance of a rank falls with this power of it.",
    ),
    Key::optional(
        "recorded",
        Kind::List(&DELAY),
        "Delays that were measured, each as likely as the others.",
    ),
];

const RESTART_POLICY: Kind = Kind::Choice(&["restart", "leave", "fail"]);

/// `network.restart`.
pub static RESTART: &[Key] = &[
    Key::new("subtensor", RESTART_POLICY, "restart", "The chain."),
    Key::new("validators", RESTART_POLICY, "restart", "Validators."),
    Key::new("miners", RESTART_POLICY, "leave", "Miners."),
];

/// `faults[]`.
pub static FAULT: &[Key] = &[
    Key::required("at", Kind::Notation(&STEP), "After the block of this step."),
    Key::required("kill", Kind::Notation(&VICTIMS), "Who is killed."),
    Key::optional(
        "restart_after",
        Kind::Notation(&STEPS),
        "When it is started again; left out: never.",
    ),
];
