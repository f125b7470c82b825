//! The whole experiment file.

use crate::declare::{choice, keys};
use crate::ranges::OLDEST_FORM;
use crate::{Analysis, Data, Device, Fault, Model, Network, Query, Telemetry};

keys! {
    /// A whole experiment. Any subset of the sections `model`, `data`, `query` and `analysis` is a complete experiment.
    pub struct Experiment: Default {
        /// Random seed, from which all random draws of the run derive.
        seed: u64 = 0,
        /// Number of runs in the group. Each uses the random seed of the previous run plus one.
        replicates: u32 [Integer(1..=1_000)] = 1,
        /// Device for tensors.
        device: Device = "cpu",
        /// Miners, models, chain and validators.
        model: Option<Model>,
        /// Data set of questions and answers.
        data: Option<Data>,
        /// Queries that the validators send to the miners.
        query: Option<Query>,
        /// Reports on runs.
        analysis: Option<Analysis>,
        /// Size and placement of the network: validators, miners, chain rules, links.
        network: Network = {},
        /// Scheduled faults.
        faults: Vec<Fault> = [],
        /// Traces, metrics and logs of the processes.
        telemetry: Telemetry = {},
        /// Expectations that are checked after the run.
        expect: Vec<Expectation> = [],
        ignored forward: OLDEST_FORM,
        ignored store: OLDEST_FORM,
        ignored entrypoint: OLDEST_FORM,
        ignored requires: OLDEST_FORM,
        ignored tokenizer: OLDEST_FORM,
    }
}

impl Experiment {
    /// Returns the experiments of the group, one per replicate. Each has its random seed and `replicates` set to 1.
    pub fn replicas(&self) -> impl Iterator<Item = Self> {
        (0..self.replicates).map(|replicate| Self {
            seed: self.seed.wrapping_add(u64::from(replicate)),
            replicates: 1,
            ..self.clone()
        })
    }

    /// Returns the number of uids for miners that join during the run: those of the faults, and those for miners that
    /// join manually.
    pub fn uids_for_newcomers(&self) -> u32 {
        let of_faults = self.faults.iter().map(Fault::newcomers);
        of_faults.fold(self.network.room_for, u32::saturating_add)
    }
}

keys! {
    /// An expectation that is checked after the run.
    pub struct Expectation: Eq {
        /// Description of the expectation.
        name: String,
        /// SQL query over the tables of the run. It returns one row whose first column is true or false.
        sql: String,
        /// Whether it is checked for each run or once for all replicates.
        over: Over = "run",
    }
}

choice! {
    /// The runs that an expectation is checked for.
    pub enum Over {
        /// Each run separately.
        Run = "run",
        /// All replicates together.
        Group = "group",
    }
}
