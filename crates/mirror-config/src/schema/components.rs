//! The components that a file can name, by family, with their arguments. Defaults are the seed project's.

use super::behaviours::BEHAVIOUR;
use super::{DEVICE, Family, Key, Kind, UIDS, Variant};

/// A chance.
pub(crate) const RATE: Kind = Kind::Number(0.0..=1.0);
/// Any finite number.
const FINITE: Kind = Kind::Number(f64::MIN..=f64::MAX);
/// The seed of a stream of draws.
pub(crate) const SEED: Kind = Kind::Integer(0..=u64::MAX as i128);
/// A count of tensors' elements or outputs.
const WIDTH: Kind = Kind::Integer(1..=65_536);
/// A uid.
pub(crate) const UID: Kind = Kind::Integer(0..=65_535);
/// So many uids from the first, a range, or a list.
const MASK: Kind = Kind::Either(&Kind::Integer(1..=65_535), &UIDS_OR_LIST);
const UIDS_OR_LIST: Kind = Kind::Either(&Kind::Notation(&UIDS), &Kind::List(&UID));

/// Every family.
pub static FAMILIES: &[&Family] = &[
    &DENDRITE_POOL,
    &GATING_MODEL,
    &REWARD_MODEL,
    &SUBTENSOR,
    &METAGRAPH,
    &BEHAVIOUR,
    &VALIDATOR_BEHAVIOUR,
    &METHOD,
    &VALUE,
    &ESTIMATOR,
];

/// `model.dendrite_pool`.
pub static DENDRITE_POOL: Family = Family {
    name: "dendrite_pool",
    doc: "Sets up the miners: how often each fails, and how often each is right.",
    number_means: None,
    variants: &[Variant::built(
        "DummyDendritePool",
        &[
            Key::required(
                "data_path",
                Kind::Text,
                "The data set that miners answer from: a name, a path or `builtin`.",
            ),
            Key::new(
                "fail_rate",
                Kind::ByUid(&RATE),
                "{}",
                "Chance that a call is answered with nothing: one number for all, or by uid.",
            ),
            Key::new(
                "baseline_fail_rate",
                RATE,
                "0.1",
                "The fail rate of uids that are not named; 0 where `fail_rate` names some.",
            ),
            Key::new(
                "fitness",
                Kind::ByUid(&RATE),
                "{}",
                "Chance that a question is answered right: one number for all, or by uid.",
            ),
            Key::new(
                "baseline_fitness",
                RATE,
                "0",
                "The fitness of uids that are not named.",
            ),
        ],
        "Miners that answer from a data set.",
    )],
};

/// `model.gating_model`.
pub static GATING_MODEL: Family = Family {
    name: "gating_model",
    doc: "Scores uids for a question.",
    number_means: None,
    variants: &[
        CONSTANT_GATING_MODEL,
        RANDOM_GATING_MODEL,
        LONGEST_MESSAGE_GATING_MODEL,
        SEQUENTIAL_GATING_MODEL,
        HUGGING_FACE_GATING_MODEL,
        Variant::built(
            "MaskedGatingModel",
            &[
                Key::new(
                    "mask",
                    MASK,
                    "10",
                    "The uids masked out: the first n, a range, or a list.",
                ),
                Key::new(
                    "gating_model",
                    Kind::Component(&MASKED_GATING_MODEL),
                    "ConstantGatingModel",
                    "Who scores the others.",
                ),
            ],
            "Another gating model with uids masked out, which are never asked.",
        ),
    ],
};

/// What a mask can be laid over.
static MASKED_GATING_MODEL: Family = Family {
    name: "gating_model",
    doc: "Scores uids for a question.",
    number_means: None,
    variants: &[
        CONSTANT_GATING_MODEL,
        RANDOM_GATING_MODEL,
        LONGEST_MESSAGE_GATING_MODEL,
        SEQUENTIAL_GATING_MODEL,
        HUGGING_FACE_GATING_MODEL,
    ],
};

const CONSTANT_GATING_MODEL: Variant = Variant::built(
    "ConstantGatingModel",
    &CONSTANT_GATING_ARGS,
    "The same scores for every question.",
);

static CONSTANT_GATING_ARGS: [Key; 1] = [Key::new("value", Kind::Component(&VALUE), "1", "The scores.")];

const RANDOM_GATING_MODEL: Variant = Variant::built(
    "RandomGatingModel",
    &[
        Key::new("frozen", Kind::Bool, "false", "Keep the first draw for ever."),
        SEED_OF_DRAW,
        DISTRIBUTION,
        FACTOR,
        OFFSET,
    ],
    "Random scores.",
);

const LONGEST_MESSAGE_GATING_MODEL: Variant = Variant::built(
    "LongestMessageGatingModel",
    &[],
    "Ones for the longest messages it was shown, zeros for the rest.",
);

const SEQUENTIAL_GATING_MODEL: Variant = Variant::built(
    "SequentialGatingModel",
    &[
        Key::required(
            "tokenizer_name",
            Kind::Text,
            "A tokenizer's folder or name, or `builtin`.",
        ),
        Key::required(
            "hidden_size",
            Kind::OneOrMany(&WIDTH),
            "Width of each LSTM layer; one number is one layer.",
        ),
        Key::required("embedding_dim", WIDTH, "Width of the embedding."),
        Key::optional(
            "num_uids",
            WIDTH,
            "Outputs; left out: as many as there are miners.",
        ),
    ],
    "An LSTM over the question's tokens.",
);

const HUGGING_FACE_GATING_MODEL: Variant = Variant::built(
    "HuggingFaceGatingModel",
    &[
        Key::new(
            "model_name",
            Kind::Text,
            "EleutherAI/gpt-neo-125m",
            "A model's folder or name.",
        ),
        Key::new(
            "num_uids",
            WIDTH,
            "4096",
            "Outputs, at least as many as there are miners.",
        ),
        RANDOM_INIT,
    ],
    "A transformer's last hidden state, mapped to scores.",
);

/// `model.reward_model`.
pub static REWARD_MODEL: Family = Family {
    name: "reward_model",
    doc: "Scores completions.",
    number_means: None,
    variants: &[
        Variant::built(
            "ConstantRewardModel",
            &[
                Key::new("forward_value", Kind::Component(&VALUE), "1", "The rewards."),
                Key::new(
                    "backward_value",
                    Kind::Component(&VALUE),
                    "0",
                    "Loss of a backward; the neuron never asks for it.",
                ),
            ],
            "The same rewards for every question.",
        ),
        Variant::built(
            "RandomRewardModel",
            &[
                SEED_OF_DRAW,
                DISTRIBUTION,
                FACTOR,
                OFFSET,
                Key::new(
                    "backward_p0",
                    FINITE,
                    "1",
                    "Factor of a backward's draw; the neuron never asks for it.",
                ),
                Key::new(
                    "backward_p1",
                    FINITE,
                    "0",
                    "Offset of a backward's draw; the neuron never asks for it.",
                ),
            ],
            "Random rewards.",
        ),
        Variant::built(
            "DummyRewardModel",
            &[Key::new(
                "reward_type",
                Kind::Choice(&["question_length", "longest_word", "num_words"]),
                "question_length",
                "What is counted: characters of the completion, characters of its longest word, or its words.",
            )],
            "A count over the completion's text.",
        ),
        Variant::built(
            "BuiltinRewardModel",
            &[],
            "A small network inside the program: whether an answer is of the kind and form that the question asks for.",
        ),
        Variant::built(
            "CustomRewardModel",
            &[
                Key::required("model_path", Kind::Text, "A model's folder or name."),
                Key::optional(
                    "checkpoint",
                    Kind::Text,
                    "A file of parameters; left out: those in the model's folder.",
                ),
                Key::optional(
                    "tokenizer_path",
                    Kind::Text,
                    "A tokenizer's folder or name; left out: the model's own.",
                ),
                Key::new("half", Kind::Bool, "false", "Half precision."),
                OWN_DEVICE,
                RANDOM_INIT,
            ],
            "The GPT reward model of Bittensor v4.",
        ),
        Variant::built(
            "HuggingFaceRewardModel",
            &[
                Key::new(
                    "model_path",
                    Kind::Text,
                    "Dahoas/gpt2-rm-static",
                    "A model's folder or name.",
                ),
                Key::new(
                    "tokenizer_path",
                    Kind::Text,
                    "EleutherAI/gpt-j-6b",
                    "A tokenizer's folder or name.",
                ),
                OWN_DEVICE,
                RANDOM_INIT,
            ],
            "A transformer with a value head.",
        ),
    ],
};

/// `model.subtensor`.
pub static SUBTENSOR: Family = Family {
    name: "subtensor",
    doc: "The chain.",
    number_means: None,
    variants: &[
        Variant::built(
            "DummySubtensor",
            &[
                Key::new("network", Kind::Text, "mirror", "The chain's name."),
                Key::new(
                    "block",
                    Kind::Integer(1..=u32::MAX as i128),
                    "1",
                    "The block it starts at.",
                ),
                Key::new(
                    "epoch_length",
                    Kind::Integer(1..=1_000_000_000),
                    "100",
                    "Blocks between two epochs, and between two settings of weights by a validator.",
                ),
                Key::new(
                    "delegated",
                    Kind::Map(&Kind::Number(0.0..=21_000_000.0)),
                    "{}",
                    "Nominators of the first validator: coldkey in ss58, and how much TAO.",
                ),
            ],
            "A chain of our own, as a node.",
        ),
        Variant::built(
            "Subtensor",
            &[
                Key::required(
                    "chain_endpoint",
                    Kind::Notation(&super::ENDPOINT),
                    "Where a node runs that `mirror chain serve` started.",
                ),
                Key::new("network", Kind::Text, "mirror", "The chain's name."),
            ],
            "A chain that runs already.",
        ),
    ],
};

/// `model.metagraph`.
pub static METAGRAPH: Family = Family {
    name: "metagraph",
    doc: "The subnet's size and name.",
    number_means: None,
    variants: &[
        Variant::built(
            "DummyMetagraph",
            METAGRAPH_ARGS,
            "So many miners, registered from the start.",
        ),
        Variant::built(
            "Metagraph",
            METAGRAPH_ARGS,
            "The same, and the run keeps the metagraph of each sync in which it had changed.",
        ),
    ],
};

const METAGRAPH_ARGS: &[Key] = &[
    Key::new("netuid", Kind::Integer(0..=65_535), "1", "The subnet."),
    Key::new("network", Kind::Text, "finney", "The chain's name."),
    Key::new(
        "num_nodes",
        Kind::Integer(1..=65_536),
        "16",
        "How many miners there are: uids 0 to num_nodes-1.",
    ),
    Key::ignored("lite", "the metagraph is always whole"),
    Key::ignored("sync", "the metagraph always follows the chain"),
];

/// `network.validator_groups[].behaviour`.
pub static VALIDATOR_BEHAVIOUR: Family = Family {
    name: "validator_behaviour",
    doc: "What a validator makes of what it has learned when it sets weights.",
    number_means: None,
    variants: &[
        Variant::built("honest", &[], "Weighs each uid by what it earned."),
        Variant::built(
            "cabal",
            &[Key::required(
                "members",
                Kind::Notation(&super::UIDS),
                "The miners that it gives all weight to, to each the same.",
            )],
            "Weighs its own members alone, whatever they and the others earned.",
        ),
        Variant::built(
            "copier",
            &[],
            "Asks nobody, and weighs each uid as the consensus of the last epoch has it; until there is one, all alike.",
        ),
        Variant::built("lazy", &[], "Asks nobody, and weighs all alike."),
        Variant::built(
            "stale",
            &[Key::required(
                "after",
                Kind::Integer(0..=1_000_000_000),
                "The first step in which it asks nobody any more.",
            )],
            "Weighs each uid by what it earned in the first steps, for ever.",
        ),
        Variant::built(
            "random",
            &[],
            "Weighs each uid that serves an axon by chance, drawn anew each time.",
        ),
        Variant::built(
            "bribed",
            &[
                Key::required("members", Kind::Notation(&super::UIDS), "The miners that pay it."),
                Key::new(
                    "part",
                    RATE,
                    "0.5",
                    "The part of all its weight that they bought, in equal parts.",
                ),
            ],
            "Weighs each uid by what it earned, but for the part that was bought.",
        ),
    ],
};

/// `query.method`.
pub static METHOD: Family = Family {
    name: "method",
    doc: "What the validators do.",
    number_means: None,
    variants: &[
        Variant::built(
            "train",
            &[
                Key::new("max_iter", Kind::Integer(1..=1_000_000_000), "1", "Steps."),
                RANDOM_SAMPLE,
                TRAIN_GATING,
                TRAIN_NETWORK,
            ],
            "Asks the network for a question, then asks it the best one; so many times.",
        ),
        Variant::built(
            "forward",
            &[
                Key::optional(
                    "topk",
                    Kind::Or("-1", &Kind::Integer(1..=65_536)),
                    "Axons asked, -1 for every serving one; left out: the neuron's `training_topk`.",
                ),
                RANDOM_SAMPLE,
                TRAIN_GATING,
                TRAIN_NETWORK,
                Key::optional(
                    "timeout",
                    super::sections::TIMEOUT,
                    "Deadline; left out: the neuron's `training_timeout`.",
                ),
            ],
            "Asks the network each question of the data.",
        ),
        Variant::built(
            "inference",
            &[
                Key::optional(
                    "timeout",
                    super::sections::TIMEOUT,
                    "Deadline; left out: the neuron's `inference_timeout`.",
                ),
                Key::new(
                    "use_reward_model",
                    Kind::Bool,
                    "false",
                    "Choose by the reward model instead of by the score of who answered.",
                ),
            ],
            "Asks the network each question of the data, as a user would.",
        ),
    ],
};

/// A vector of numbers, one a position.
pub static VALUE: Family = Family {
    name: "value",
    doc: "A vector of numbers, one a position (a uid, a completion).",
    number_means: Some(("ConstantValue", "value")),
    variants: &[
        Variant::built(
            "ConstantValue",
            &[Key::new("value", FINITE, "1", "The number.")],
            "The same number everywhere.",
        ),
        Variant::built(
            "RandomValue",
            &[SEED_OF_DRAW, DISTRIBUTION, FACTOR, OFFSET],
            "Drawn anew each time.",
        ),
        Variant::built(
            "FrozenRandomValue",
            &[SEED_OF_DRAW, DISTRIBUTION, FACTOR, OFFSET],
            "Drawn once for ever.",
        ),
        Variant::built(
            "StepValue",
            &[
                Key::new("lo", FINITE, "0", "First number."),
                Key::new("hi", FINITE, "1", "Last number."),
                Key::new("length", Kind::Integer(1..=1_000_000), "10", "How many steps."),
                Key::new("start", Kind::Integer(0..=1_000_000), "0", "First step taken."),
            ],
            "Even steps from one number to another.",
        ),
    ],
};

/// `analysis.estimators`.
pub static ESTIMATOR: Family = Family {
    name: "estimator",
    doc: "A regressor; arguments and defaults are scikit-learn's.",
    number_means: None,
    variants: &[Variant::planned(
        "GradientBoostingRegressor",
        &[
            Key::new("n_estimators", Kind::Integer(1..=100_000), "100", "Trees."),
            Key::new(
                "learning_rate",
                Kind::Number(0.0..=1_000.0),
                "0.1",
                "Share of each tree that is taken.",
            ),
            Key::new("max_depth", Kind::Integer(1..=64), "3", "Levels of a tree."),
            Key::new(
                "min_samples_leaf",
                Kind::Integer(1..=1_000_000_000),
                "1",
                "Rows in a leaf, at least.",
            ),
            Key::new("subsample", RATE, "1", "Share of the rows that each tree sees."),
            Key::new(
                "validation_fraction",
                RATE,
                "0.1",
                "Share of the rows kept to stop early by.",
            ),
            Key::optional(
                "n_iter_no_change",
                Kind::Integer(1..=100_000),
                "Stop after so many trees without gain; left out: never.",
            ),
            Key::optional(
                "random_state",
                SEED,
                "Seed of its draws; left out: from the experiment's.",
            ),
            Key::new("verbose", Kind::Integer(0..=10), "0", "How much it tells."),
        ],
        "Trees, each fitted to what those before it left over.",
    )],
};

const RANDOM_INIT: Key = Key::new(
    "random_init",
    Kind::Bool,
    "false",
    "Draw the model's parameters at random instead of reading them.",
);
const OWN_DEVICE: Key = Key::optional(
    "device",
    Kind::Notation(&DEVICE),
    "Where this model lives; left out: where the file says.",
);
const SEED_OF_DRAW: Key = Key::new(
    "seed",
    SEED,
    "0",
    "Seed of its own stream, beside the experiment's.",
);
const DISTRIBUTION: Key = Key::new(
    "distribution",
    Kind::Choice(&["uniform", "normal"]),
    "uniform",
    "Where samples come from.",
);
const FACTOR: Key = Key::new("p0", FINITE, "1", "Factor: a value is sample·p0 + p1.");
const OFFSET: Key = Key::new("p1", FINITE, "0", "Offset: a value is sample·p0 + p1.");
const RANDOM_SAMPLE: Key = Key::new(
    "random_sample_uids",
    Kind::Bool,
    "true",
    "Ask a random sample of the serving uids instead of those with the highest scores.",
);
const TRAIN_GATING: Key = Key::new(
    "train_gating_model",
    Kind::Bool,
    "true",
    "Train the gating model on the rewards.",
);
const TRAIN_NETWORK: Key = Key::new(
    "train_network",
    Kind::Bool,
    "false",
    "Send the rewards back to the axons.",
);
