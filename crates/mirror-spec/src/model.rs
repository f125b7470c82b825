//! The `model` section: miners, models, chain and validators.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::declare::{family, keys};
use crate::ranges::{OLDEST_FORM, RATE, TAO, TIMEOUT, TOPK};
use crate::{GatingModel, RewardModel};

keys! {
    /// The `model` section: miners, models, chain and validators.
    pub struct Model {
        /// Name of the model.
        id: String,
        /// Weight of the old average when a validator updates the moving average of rewards.
        alpha: f64 [RATE] = 0.01,
        /// The miners.
        dendrite_pool: DendritePool,
        /// The model that scores uids for a question.
        gating_model: GatingModel,
        /// The model that scores completions.
        reward_model: RewardModel,
        /// The chain.
        subtensor: SubtensorSpec = "DummySubtensor",
        /// Size and name of the subnet.
        metagraph: MetagraphSpec = "DummyMetagraph",
        /// Settings of the validators.
        neuron: NeuronSettings = {},
        ignored ckpt: OLDEST_FORM,
        ignored tokenizer: OLDEST_FORM,
        ignored embedding: OLDEST_FORM,
        ignored norm: OLDEST_FORM,
    }
}

family! {
    /// The miners, with their rates of empty and of correct answers.
    pub enum DendritePool: "dendrite_pool" {
        /// Miners that answer from a data set.
        ///
        /// A rate may be one number for all uids: `fail_rate: 0.1` is the same as `baseline_fail_rate: 0.1`. Answers
        /// are padded with spaces to eleven characters, so that short correct answers count.
        "DummyDendritePool" => DummyDendritePool(DummyDendritePoolArgs {
            /// Data set from which miners answer: a name, a path or `builtin`.
            data_path: String,
            /// Probability of an empty answer: one number for all, or by uid.
            fail_rate: BTreeMap<u32, f64> [Either(&RATE, &ByUid(&RATE))] = {},
            /// Fail rate of all other uids. If absent and `fail_rate` is given by uid: 0.
            baseline_fail_rate: f64 [RATE] = 0.1,
            /// Probability of a correct answer to a question: one number for all, or by uid.
            fitness: BTreeMap<u32, f64> [Either(&RATE, &ByUid(&RATE))] = {},
            /// Fitness of all other uids.
            baseline_fitness: f64 [RATE] = 0,
        }),
    }
}

impl DummyDendritePoolArgs {
    /// Returns the probability that this uid gives an empty answer.
    pub fn fail_rate_of(&self, uid: u32) -> f64 {
        *self.fail_rate.get(&uid).unwrap_or(&self.baseline_fail_rate)
    }

    /// Returns the probability that this uid answers a question correctly.
    pub fn fitness_of(&self, uid: u32) -> f64 {
        *self.fitness.get(&uid).unwrap_or(&self.baseline_fitness)
    }
}

family! {
    /// The chain that the run uses.
    pub enum SubtensorSpec: "subtensor" {
        /// A chain that the run starts as a node.
        ///
        /// Validators have stake and a permit from the first block, and nothing limits their weights.
        "DummySubtensor" => DummySubtensor(DummySubtensorArgs {
            /// Name of the chain.
            network: String = "mirror",
            /// Number of the first block.
            block: u64 [Integer(1..=u32::MAX as i128)] = 1,
            /// Number of blocks between two epochs, and between two settings of weights by a validator.
            epoch_length: u64 [Integer(1..=1_000_000_000)] = 100,
            /// Nominations of the first validator: TAO by ss58 address of the coldkey.
            delegated: BTreeMap<String, f64> [Map(&TAO)] = {},
        }),
        /// A chain that is already running.
        ///
        /// `mirror chain serve FILE` starts the chain of a file and prints its listen address. The run does not stop
        /// the chain. The keys of its neurons are derived from the random seed, so the chain must have been started
        /// from the same file, with the same random seed, miners and validators. With `block_time: per_step`, a chain
        /// serves a single run, because steps begin with the chain. By the clock, it serves any number of runs, one
        /// after another. Such a chain cannot start from a metagraph or pause for faults. It must be a node of Mirror
        /// Neuron, because the real chain uses another protocol.
        "Subtensor" => Subtensor(SubtensorArgs: Eq {
            /// Address of a chain that `mirror chain serve` started.
            chain_endpoint: SocketAddr,
            /// The file `client.json` that `mirror chain serve` has written, with the certificate that admits the run
            /// to the chain's barrier and control.
            chain_client: String,
            /// Name of the chain.
            network: String = "mirror",
        }),
    }
}

keys! {
    /// Arguments of `DummyMetagraph` and of `Metagraph`.
    pub struct MetagraphArgs: Eq {
        /// Number of the subnet.
        netuid: u16 = 1,
        /// Name of the chain.
        network: String = "finney",
        /// Number of miners. Their uids are 0 to num_nodes-1.
        num_nodes: u32 [Integer(1..=65_536)] = 16,
        ignored lite: "the metagraph is always complete",
        ignored sync: "the metagraph is always synced with the chain",
    }
}

family! {
    /// Size and name of the subnet.
    pub enum MetagraphSpec: "metagraph" {
        /// A subnet with `num_nodes` miners, all registered at genesis.
        "DummyMetagraph" => DummyMetagraph(MetagraphArgs),
        /// The same as `DummyMetagraph`, but the run saves a history of the metagraph.
        ///
        /// At each sync, every ten blocks, the metagraph is saved in `metagraphs/` if it has changed, named after its
        /// block. `mirror metagraph export RUN --block N` exports one. With `DummyMetagraph`, only the metagraph at the
        /// end is saved.
        "Metagraph" => Metagraph(MetagraphArgs),
    }
}

impl MetagraphSpec {
    /// Returns the arguments.
    pub fn args(&self) -> &MetagraphArgs {
        let (Self::DummyMetagraph(args) | Self::Metagraph(args)) = self;
        args
    }
}

keys! {
    /// Settings of the validators. The defaults are those of Bittensor v4.
    pub struct NeuronSettings: Default {
        /// The system prompt of every question.
        base_prompt: String = "You are an assistant who is glad to help. Answer with care and in detail, keep to what is true, and say so when you do not know.",
        /// The prompt that asks the network for a question.
        question_prompt: String = "Think of a question, on any subject at all, that somebody could be asked. Reply with the question alone.",
        /// Number of axons that `inference` queries. If absent: at most the number of miners.
        inference_topk: u32 [TOPK] = 10,
        /// Number of axons that a training forward queries. If absent: at most the number of miners.
        training_topk: u32 [TOPK] = 10,
        /// Timeout of a training forward.
        training_timeout: f64 [TIMEOUT] = 4,
        /// Timeout of an inference.
        inference_timeout: f64 [TIMEOUT] = 10,
        /// Maximum number of events that count for the weights. The oldest are dropped first.
        max_history: u32 [Integer(1..=10_000_000)] = 100_000,
        /// Number of blocks between two settings of weights; -1 for the chain's `validator_epoch_length`.
        epoch_length_override: i64 [Or("-1", &Integer(1..=1_000_000_000))] = (-1),
        /// Whether the scores of the answering uids serve as rewards instead of the reward model.
        no_reward_model: bool = false,
        /// Number of threads of libtorch in a validator.
        torch_threads: u32 [Integer(1..=1_024)] = 1,
        /// Learning rate of the gating model.
        learning_rate: f64 [Number(0.0..=1_000_000.0)] = 0.01,
        /// Momentum of the gating model's training: the factor of the previous velocity.
        momentum: f64 [RATE] = 0.9,
        /// Whether to accumulate the gating model's gradients, as Bittensor v4 does, instead of zeroing them.
        accumulate_gradients: bool = false,
        /// Number of steps between two records of the gating model's parameters in the table `parameters`; 0 for none.
        watch_every: u64 [StepCount(0..=1_000_000)] = 10,
        /// Number of steps between two checkpoints of the gating model; 0 for only one at the end.
        checkpoint_every: u64 [StepCount(0..=1_000_000_000)] = 0,
        /// Version key that validators send with their weights.
        version_key: u64 = 400,
    }
}
