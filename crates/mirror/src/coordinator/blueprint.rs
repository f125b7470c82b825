//! The blueprint of a network: an experiment, turned into the launch descriptions of its nodes. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::Context;
use mirror_cluster::{NodeSpec, Program, Role};
use mirror_config::component::{
    BehaviourSpec, DendritePool, DummyMetagraphArgs, DummySubtensorArgs, HonestArgs, MetagraphSpec,
    SubtensorSpec,
};
use mirror_config::experiment::{ChainPreset, Experiment, Fault, Latency, Model, Network};
use mirror_config::launch::{
    AxonLaunch, GenesisLaunch, GenesisNeuron, GenesisNomination, GenesisOwner, LinkLaunch, MinerLaunch,
    SubtensorLaunch, ValidatorLaunch,
};
use mirror_identity::{Coldkey, Hotkey, Owner, SecretKey};
use mirror_runs::Layout;
use mirror_seed::Seed;

use super::data::Prepared;

/// Rao in a TAO.
const RAO: f64 = 1e9;

/// TAO staked by a validator unless the file says otherwise.
const STAKE: f64 = 1_000.0;

/// What the nodes of an experiment are.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    seed: u64,
    log: String,
    model: Model,
    experiment: Experiment,
    layout: Layout,
    data: Prepared,
    nominations: Vec<GenesisNomination>,
}

/// Name of the chain's node.
pub(super) const SUBTENSOR: &str = "subtensor";

impl Blueprint {
    /// The blueprint of an experiment with a model. Fails where the file names a coldkey that is none.
    pub(super) fn new(
        experiment: &Experiment,
        model: &Model,
        layout: &Layout,
        data: Prepared,
        log: &str,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            seed: experiment.seed,
            log: log.to_owned(),
            nominations: nominations(model, experiment.seed)?,
            model: model.clone(),
            experiment: experiment.clone(),
            layout: layout.clone(),
            data,
        })
    }

    /// The chain.
    pub(super) fn subtensor(&self, coordinator: SocketAddr) -> NodeSpec {
        self.node(
            SUBTENSOR.to_owned(),
            Role::Subtensor(Box::new(SubtensorLaunch {
                state: self.state(SUBTENSOR),
                genesis: self.genesis(),
                block_time: self.network().block_time,
                barrier: (0..self.network().validators)
                    .map(|index| self.validator_hotkey(index).hex())
                    .collect(),
                holds: super::schedule::holds(&self.experiment.faults),
                coordinator: Some(coordinator),
            })),
        )
    }

    /// Every miner process.
    pub(super) fn miners(&self, subtensor: SocketAddr) -> Vec<NodeSpec> {
        let size = self.network().axons_per_process.max(1);
        let firsts = (0..self.num_nodes()).step_by(size as usize);
        firsts.map(|first| self.miner(first, subtensor)).collect()
    }

    /// The miner process that a uid lives in.
    pub(super) fn miner(&self, uid: u32, subtensor: SocketAddr) -> NodeSpec {
        let uids = self.process_of(uid);
        let axons = uids.clone().map(|uid| AxonLaunch {
            uid,
            behaviour: self.behaviour(uid),
        });
        self.node(
            miner_name(&uids),
            Role::Miner(MinerLaunch {
                axons: axons.collect(),
                dataset: self.data.answers.clone(),
                base_prompt: self.model.neuron.base_prompt.clone(),
                question_prompt: self.model.neuron.question_prompt.clone(),
                subtensor,
            }),
        )
    }

    /// Every validator.
    pub(super) fn validators(&self, subtensor: SocketAddr, coordinator: SocketAddr) -> Vec<NodeSpec> {
        (0..self.network().validators)
            .map(|index| self.validator(index, subtensor, coordinator))
            .collect()
    }

    /// A validator.
    pub(super) fn validator(&self, index: u32, subtensor: SocketAddr, coordinator: SocketAddr) -> NodeSpec {
        let name = validator_name(index);
        let acknowledged = self.layout.logs().join(format!("{name}.acknowledged"));
        let launch = ValidatorLaunch {
            index,
            uid: self.num_nodes() + index,
            num_nodes: self.num_nodes(),
            netuid: self.metagraph().netuid,
            state: self.state(&name),
            subtensor,
            coordinator,
            device: self.experiment.device.clone(),
            alpha: self.model.alpha,
            neuron: self.model.neuron.clone(),
            gating_model: self.data.gating_model.clone(),
            reward_model: self.data.reward_model.clone(),
            query: self.experiment.query.clone(),
            questions: self.data.questions.clone(),
            block_time: self.network().block_time,
            links: self.links(),
            time_scale: self.network().time_scale,
            acknowledged: self.network().record_acknowledged.then_some(acknowledged),
        };
        self.node(name, Role::Validator(Box::new(launch)))
    }

    /// Validators of the network.
    pub(super) fn validator_count(&self) -> u32 {
        self.network().validators
    }

    /// Miners of the network.
    pub(super) fn num_nodes(&self) -> u32 {
        self.metagraph().num_nodes
    }

    /// What a miner does, in a word.
    pub(super) fn behaviour_name(&self, uid: u32) -> &'static str {
        match self.behaviour(uid) {
            BehaviourSpec::Honest(_) => "honest",
        }
    }

    /// The public key of a validator.
    pub(super) fn validator_hotkey(&self, index: u32) -> Hotkey {
        SecretKey::hotkey(&Seed::root(self.seed), Owner::Validator(index)).public()
    }

    /// The uids that share a process with `uid`.
    pub(super) fn process_of(&self, uid: u32) -> RangeInclusive<u32> {
        let size = self.network().axons_per_process.max(1);
        let first = uid - uid % size;
        first..=(first + size - 1).min(self.num_nodes().saturating_sub(1))
    }

    /// What is broken on purpose.
    pub(super) fn faults(&self) -> &[Fault] {
        &self.experiment.faults
    }

    /// How the network is made up.
    pub(super) fn network(&self) -> &Network {
        &self.experiment.network
    }

    fn node(&self, name: String, role: Role) -> NodeSpec {
        NodeSpec {
            name,
            program: Program::Ours {
                log: self.log.clone(),
                seed: self.seed,
                role,
            },
        }
    }

    fn state(&self, node: &str) -> PathBuf {
        self.layout.state().join(node)
    }

    fn metagraph(&self) -> &DummyMetagraphArgs {
        let MetagraphSpec::DummyMetagraph(args) = &self.model.metagraph;
        args
    }

    fn chain(&self) -> &DummySubtensorArgs {
        let SubtensorSpec::DummySubtensor(args) = &self.model.subtensor;
        args
    }

    /// The validators are staked and permitted from the start.
    fn genesis(&self) -> GenesisLaunch {
        let seed = Seed::root(self.seed);
        let neuron = |owner, stake, validator_permit| GenesisNeuron {
            hotkey: SecretKey::hotkey(&seed, owner).public().hex(),
            coldkey: SecretKey::coldkey(&seed, owner).public().hex(),
            stake,
            validator_permit,
        };
        let miners = (0..self.num_nodes()).map(|uid| neuron(Owner::Miner(uid), 0, false));
        let validators = (0..self.network().validators)
            .map(|index| neuron(Owner::Validator(index), self.stake(index), true));
        GenesisLaunch {
            netuid: self.metagraph().netuid,
            block: self.chain().block,
            rules: self.network().chain,
            hyperparameters: self.hyperparameters(),
            owner: Some(GenesisOwner {
                hotkey: SecretKey::hotkey(&seed, Owner::Subnet).public().hex(),
                coldkey: SecretKey::coldkey(&seed, Owner::Subnet).public().hex(),
            }),
            neurons: miners.chain(validators).collect(),
            nominations: self.nominations.clone(),
            balances: Vec::new(),
        }
    }

    /// What the file says, and in a small network the epochs' length, which the component has.
    fn hyperparameters(&self) -> BTreeMap<String, u64> {
        let mut hyperparameters = match self.network().chain {
            ChainPreset::Small => ["tempo", "validator_epoch_length"]
                .map(|name| (name.to_owned(), self.chain().epoch_length))
                .into(),
            ChainPreset::Classic | ChainPreset::Today => BTreeMap::new(),
        };
        hyperparameters.extend(self.network().hyperparameters.clone());
        hyperparameters
    }

    fn stake(&self, index: u32) -> u64 {
        let stakes = &self.network().stakes;
        let tao = stakes
            .get(index as usize)
            .or(stakes.last())
            .copied()
            .unwrap_or(STAKE);
        (tao * RAO) as u64
    }

    /// As the last group that names the uid says, else as the dendrite pool does.
    fn behaviour(&self, uid: u32) -> BehaviourSpec {
        let DendritePool::DummyDendritePool(pool) = &self.model.dendrite_pool;
        let mut groups = self
            .network()
            .miners
            .iter()
            .rev()
            .filter(|group| group.uids.contains(&uid));
        let named = groups.find_map(|group| group.behaviour.clone());
        named.unwrap_or_else(|| {
            BehaviourSpec::Honest(HonestArgs {
                fail_rate: pool.fail_rate.of(uid),
                fitness: pool.fitness.of(uid),
            })
        })
    }

    fn links(&self) -> Vec<LinkLaunch> {
        let link = |uids: &RangeInclusive<u32>, latency: Latency| LinkLaunch {
            first_uid: *uids.start(),
            last_uid: *uids.end(),
            latency,
        };
        self.network()
            .miners
            .iter()
            .filter_map(|group| Some(link(&group.uids, group.latency?)))
            .collect()
    }
}

/// Stake that others' coldkeys gave to the first validator.
fn nominations(model: &Model, seed: u64) -> anyhow::Result<Vec<GenesisNomination>> {
    let SubtensorSpec::DummySubtensor(chain) = &model.subtensor;
    let hotkey = SecretKey::hotkey(&Seed::root(seed), Owner::Validator(0))
        .public()
        .hex();
    let nomination = |(address, tao): (&String, &f64)| {
        let coldkey: Coldkey = address
            .parse()
            .with_context(|| format!("`{address}`, under `delegated`, is no coldkey"))?;
        Ok(GenesisNomination {
            hotkey: hotkey.clone(),
            coldkey: coldkey.hex(),
            stake: (tao * RAO) as u64,
        })
    };
    chain.delegated.iter().map(nomination).collect()
}

/// `validator-0`.
pub(super) fn validator_name(index: u32) -> String {
    format!("validator-{index}")
}

/// `miner-3`, or `miners-0-63` for a process of many.
pub(super) fn miner_name(uids: &RangeInclusive<u32>) -> String {
    if uids.start() == uids.end() {
        format!("miner-{}", uids.start())
    } else {
        format!("miners-{}-{}", uids.start(), uids.end())
    }
}
