//! The whole file.

use crate::declare::{choice, keys};
use crate::ranges::OLDEST_FORM;
use crate::{Analysis, Data, Device, Fault, Model, Network, Query};

keys! {
    /// A whole experiment. Any subset of the sections `model`, `data`, `query` and `analysis` is an experiment of its
    /// own.
    pub struct Experiment: Default {
        /// One number from which every draw of the run comes.
        seed: u64 = 0,
        /// Runs of the same file, a group of them, each with the seed after the one before.
        replicates: u32 [Integer(1..=1_000)] = 1,
        /// Where tensors live.
        device: Device = "cpu",
        /// Who plays: validator, chain and miners.
        model: Option<Model>,
        /// Where questions and answers come from.
        data: Option<Data>,
        /// What the validators do.
        query: Option<Query>,
        /// What is computed from the events.
        analysis: Option<Analysis>,
        /// Size and placement of the network: validators, miners, chain rules, links.
        network: Network = {},
        /// What is broken on purpose, and when.
        faults: Vec<Fault> = [],
        /// What must be so after the run.
        expect: Vec<Expectation> = [],
        ignored forward: OLDEST_FORM,
        ignored store: OLDEST_FORM,
        ignored entrypoint: OLDEST_FORM,
        ignored requires: OLDEST_FORM,
        ignored tokenizer: OLDEST_FORM,
    }
}

impl Experiment {
    /// The experiments of its group, each with its own seed and by itself; one where there are no replicates.
    pub fn replicas(&self) -> impl Iterator<Item = Self> {
        (0..self.replicates).map(|replicate| Self {
            seed: self.seed.wrapping_add(u64::from(replicate)),
            replicates: 1,
            ..self.clone()
        })
    }
}

keys! {
    /// Something that must be so after the run.
    pub struct Expectation: Eq {
        /// What must be so, in words.
        name: String,
        /// A question over the run's tables whose answer is one row that begins with true or false.
        sql: String,
        /// Asked of each run, or of all replicates together.
        over: Over = "run",
    }
}

choice! {
    /// What an expectation is asked of.
    pub enum Over {
        /// Each run by itself.
        Run = "run",
        /// All replicates together.
        Group = "group",
    }
}
