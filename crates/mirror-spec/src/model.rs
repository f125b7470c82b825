//! The `model` section: miners, models, chain and validators.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::declare::{family, keys};
use crate::ranges::{OLDEST_FORM, RATE, TAO, TIMEOUT, TOPK};
use crate::{GatingModel, RewardModel};

keys! {
    /// The `model` section: who plays.
    pub struct Model {
        /// Name of the model.
        id: String,
        /// Weight of the old moving average in the validator's weights.
        alpha: f64 [RATE] = 0.01,
        /// Sets up the miners.
        dendrite_pool: DendritePool,
        /// Scores uids for a question.
        gating_model: GatingModel,
        /// Scores completions.
        reward_model: RewardModel,
        /// The chain.
        subtensor: SubtensorSpec = "DummySubtensor",
        /// The subnet's size and name.
        metagraph: MetagraphSpec = "DummyMetagraph",
        /// The validator's own settings.
        neuron: NeuronSettings = {},
        ignored ckpt: OLDEST_FORM,
        ignored tokenizer: OLDEST_FORM,
        ignored embedding: OLDEST_FORM,
        ignored norm: OLDEST_FORM,
    }
}

family! {
    /// Sets up the miners: how often each fails, and how often each is right.
    pub enum DendritePool: "dendrite_pool" {
        /// Miners that answer from a data set.
        ///
        /// A rate may also be one number for all uids: `fail_rate: 0.1` is `baseline_fail_rate: 0.1`. An answer is
        /// padded with spaces to eleven characters, so that short right answers count.
        "DummyDendritePool" => DummyDendritePool(DummyDendritePoolArgs {
            /// The data set that miners answer from: a name, a path or `builtin`.
            data_path: String,
            /// Chance that a call is answered with nothing: one number for all, or by uid.
            fail_rate: BTreeMap<u32, f64> [Either(&RATE, &ByUid(&RATE))] = {},
            /// The fail rate of uids that are not named; 0 where `fail_rate` names some.
            baseline_fail_rate: f64 [RATE] = 0.1,
            /// Chance that a question is answered right: one number for all, or by uid.
            fitness: BTreeMap<u32, f64> [Either(&RATE, &ByUid(&RATE))] = {},
            /// The fitness of uids that are not named.
            baseline_fitness: f64 [RATE] = 0,
        }),
    }
}

impl DummyDendritePoolArgs {
    /// Chance that a call to this uid is answered with nothing.
    pub fn fail_rate_of(&self, uid: u32) -> f64 {
        *self.fail_rate.get(&uid).unwrap_or(&self.baseline_fail_rate)
    }

    /// Chance that this uid answers a question right.
    pub fn fitness_of(&self, uid: u32) -> f64 {
        *self.fitness.get(&uid).unwrap_or(&self.baseline_fitness)
    }
}

family! {
    /// The chain.
    pub enum SubtensorSpec: "subtensor" {
        /// A chain of our own, as a node.
        ///
        /// Validators are staked and permitted from the first block, and nothing limits their weights.
        "DummySubtensor" => DummySubtensor(DummySubtensorArgs {
            /// The chain's name.
            network: String = "mirror",
            /// The block it starts at.
            block: u64 [Integer(1..=u32::MAX as i128)] = 1,
            /// Blocks between two epochs, and between two settings of weights by a validator.
            epoch_length: u64 [Integer(1..=1_000_000_000)] = 100,
            /// Nominators of the first validator: coldkey in ss58, and how much TAO.
            delegated: BTreeMap<String, f64> [Map(&TAO)] = {},
        }),
        /// A chain that runs already.
        ///
        /// `mirror chain serve FILE` starts the chain of a file and says where it listens. The run leaves it running.
        /// What its neurons are called comes from the random seed, so it must have been started from the same file: the
        /// same seed, miners and validators. With `block_time: per_step` a chain serves one run, for steps begin with
        /// it; by the clock it serves any number, one after another. It cannot start from a metagraph or be stopped for
        /// faults, and only nodes of Mirror Neuron can be named: the real chain speaks another protocol.
        "Subtensor" => Subtensor(SubtensorArgs: Eq {
            /// Where a node runs that `mirror chain serve` started.
            chain_endpoint: SocketAddr,
            /// The chain's name.
            network: String = "mirror",
        }),
    }
}

keys! {
    /// Arguments of `DummyMetagraph` and of `Metagraph`.
    pub struct MetagraphArgs: Eq {
        /// The subnet.
        netuid: u16 = 1,
        /// The chain's name.
        network: String = "finney",
        /// How many miners there are: uids 0 to num_nodes-1.
        num_nodes: u32 [Integer(1..=65_536)] = 16,
        ignored lite: "the metagraph is always whole",
        ignored sync: "the metagraph always follows the chain",
    }
}

family! {
    /// The subnet's size and name.
    pub enum MetagraphSpec: "metagraph" {
        /// So many miners, registered from the start.
        "DummyMetagraph" => DummyMetagraph(MetagraphArgs),
        /// The same, and the run keeps the metagraph of each sync in which it had changed.
        ///
        /// The run keeps a history: the metagraph of each sync, every ten blocks, in which it had changed, in
        /// `metagraphs/` by block. `mirror metagraph export RUN --block N` writes one. With `DummyMetagraph` only that
        /// of the end is kept.
        "Metagraph" => Metagraph(MetagraphArgs),
    }
}

impl MetagraphSpec {
    /// Its arguments.
    pub fn args(&self) -> &MetagraphArgs {
        let (Self::DummyMetagraph(args) | Self::Metagraph(args)) = self;
        args
    }
}

keys! {
    /// The validator's own settings, by default those of Bittensor v4.
    pub struct NeuronSettings: Default {
        /// The system prompt of every question.
        base_prompt: String = "You are an assistant who is glad to help. Answer with care and in detail, keep to what is true, and say so when you do not know.",
        /// What the network is asked when it shall think of a question.
        question_prompt: String = "Think of a question, on any subject at all, that somebody could be asked. Reply with the question alone.",
        /// Axons asked by `inference`; left out, no more than there are.
        inference_topk: u32 [TOPK] = 10,
        /// Axons asked by a training forward; left out, no more than there are.
        training_topk: u32 [TOPK] = 10,
        /// Deadline of a training forward.
        training_timeout: f64 [TIMEOUT] = 4,
        /// Deadline of an inference.
        inference_timeout: f64 [TIMEOUT] = 10,
        /// Events kept for the weights; the oldest leaves first.
        max_history: u32 [Integer(1..=10_000_000)] = 100_000,
        /// Blocks between two settings of weights; -1: as the chain says.
        epoch_length_override: i64 [Or("-1", &Integer(1..=1_000_000_000))] = (-1),
        /// The scores of the answering uids are the rewards; no reward model is asked.
        no_reward_model: bool = false,
        /// Threads of libtorch in a validator.
        torch_threads: u32 [Integer(1..=1_024)] = 1,
        /// How far each training step of the gating model goes.
        learning_rate: f64 [Number(0.0..=1_000_000.0)] = 0.01,
        /// Share of the gating model's last training step that is taken again.
        momentum: f64 [RATE] = 0.9,
        /// Keep the gating model's gradients and add to them, as Bittensor v4 does, instead of zeroing them.
        accumulate_gradients: bool = false,
        /// Steps from one record of the gating model's parameters to the next, for the table `parameters`; 0: never.
        watch_every: u64 [StepCount(0..=1_000_000)] = 10,
        /// Steps from one checkpoint of the gating model to the next; 0: only at the end.
        checkpoint_every: u64 [StepCount(0..=1_000_000_000)] = 0,
        /// Version key of the weights.
        version_key: u64 = 400,
    }
}
