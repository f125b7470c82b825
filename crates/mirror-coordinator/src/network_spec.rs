//! The specification of a network: an experiment, turned into the launch descriptions of its nodes. It does no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::Context;
use mirror_cluster::{NodeSpec, Program, Role};
use mirror_identity::{Coldkey, Hotkey, Owner, SecretKey};
use mirror_runs::Layout;
use mirror_seed::Seed;
use mirror_snapshot::Snapshot;
use mirror_spec::Latency;
use mirror_spec::launch::{
    AxonLaunch, GenesisLaunch, GenesisNeuron, GenesisNomination, GenesisOwner, LinkLaunch, MinerLaunch,
    SubtensorLaunch, ValidatorLaunch,
};
use mirror_spec::{
    BehaviourSpec, DendritePool, DummySubtensorArgs, HonestArgs, MetagraphArgs, MetagraphSpec, NoArgs,
    SubtensorSpec, ValidatorBehaviour,
};
use mirror_spec::{BlockTime, Experiment, Fault, MinerGroup, Model, Network};

use crate::data::Prepared;
use crate::fault;
use crate::uid_assignment::UidAssignment;

/// Rao in a TAO.
const RAO: f64 = 1e9;

/// Blocks after which the chain's node writes a snapshot in place of its log.
const SNAPSHOT_BLOCKS: u64 = 1_024;

/// What the nodes of an experiment are.
#[derive(Debug, Clone)]
pub(crate) struct NetworkSpec {
    seed: u64,
    log: String,
    model: Model,
    experiment: Experiment,
    layout: Layout,
    data: Prepared,
    assignment: UidAssignment,
    nominations: Vec<GenesisNomination>,
}

/// The chain of a run.
#[derive(Debug, Clone)]
pub(crate) enum Subtensor {
    /// A node that the run starts.
    Ours(Box<NodeSpec>),
    /// A node that runs already.
    Runs(SocketAddr),
}

/// What a miner is called that does what it should.
const HONEST: &str = "honest";

/// Name of the chain's node.
pub(crate) const SUBTENSOR: &str = "subtensor";

impl NetworkSpec {
    /// The specification of an experiment with a model. Fails where the file names a coldkey that is none, or uids that
    /// the metagraph that it starts from does not have.
    pub(crate) fn new(
        experiment: &Experiment,
        model: &Model,
        layout: &Layout,
        data: Prepared,
        log: &str,
    ) -> anyhow::Result<Self> {
        let assignment = assignment(experiment, model, data.metagraph.as_ref())?;
        Ok(Self {
            assignment,
            seed: experiment.seed,
            log: log.to_owned(),
            nominations: nominations(model, experiment.seed)?,
            model: model.clone(),
            experiment: experiment.clone(),
            layout: layout.clone(),
            data,
        })
    }

    /// The chain, where it is the run that starts it; it reports to the coordinator, if there is one.
    pub(crate) fn subtensor(&self, coordinator: Option<SocketAddr>) -> Subtensor {
        let chain = match &self.model.subtensor {
            SubtensorSpec::DummySubtensor(chain) => chain,
            SubtensorSpec::Subtensor(chain) => return Subtensor::Runs(chain.chain_endpoint),
        };
        let node = self.node(
            SUBTENSOR.to_owned(),
            Role::Subtensor(Box::new(SubtensorLaunch {
                state: self.state(SUBTENSOR),
                genesis: self.genesis(chain),
                block_time: self.network().block_time,
                barrier: (0..self.network().validators)
                    .map(|index| self.validator_hotkey(index).hex())
                    .collect(),
                holds: fault::holds(&self.experiment.faults),
                coordinator,
                snapshot_blocks: SNAPSHOT_BLOCKS,
            })),
        );
        Subtensor::Ours(Box::new(node))
    }

    /// The name of every miner process, by rising uid.
    pub(crate) fn miner_names(&self) -> Vec<String> {
        let processes = self.assignment.miners.iter().map(|uid| self.process_of(*uid));
        let mut names: Vec<String> = processes.map(|uids| miner_name(&uids)).collect();
        names.dedup();
        names
    }

    /// The miner process that a uid lives in.
    pub(crate) fn miner(&self, uid: u32, subtensor: SocketAddr) -> NodeSpec {
        let uids = self.process_of(uid);
        let axons = self.assignment.miners.range(uids.clone()).map(|&uid| AxonLaunch {
            uid,
            group: self.group(uid).map_or(uid..=uid, |group| group.uids.0.clone()),
            behaviours: self.behaviours(uid),
        });
        self.node(
            miner_name(&uids),
            Role::Miner(MinerLaunch {
                axons: axons.collect(),
                dataset: self.data.answers.clone(),
                base_prompt: self.model.neuron.base_prompt.clone(),
                question_prompt: self.model.neuron.question_prompt.clone(),
                subtensor,
                first_block: self.first_block(),
                time_scale: self.network().time_scale,
            }),
        )
    }

    /// A validator.
    pub(crate) fn validator(&self, index: u32, subtensor: SocketAddr, coordinator: SocketAddr) -> NodeSpec {
        let name = validator_name(index);
        let acknowledged = self.layout.logs().join(format!("{name}.acknowledged"));
        let launch = ValidatorLaunch {
            index,
            uid: self.assignment.validators[index as usize],
            num_nodes: self.num_nodes(),
            netuid: self.metagraph().netuid,
            state: self.state(&name),
            checkpoints: self.layout.checkpoints(&name),
            resume: self.data.resume.get(index as usize).cloned(),
            subtensor,
            coordinator,
            device: self.experiment.device.to_string(),
            alpha: self.model.alpha,
            neuron: self.model.neuron.clone(),
            behaviour: self.validator_behaviour(index),
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
    pub(crate) fn validator_count(&self) -> u32 {
        self.network().validators
    }

    /// Whoever may be asked has a uid below this.
    pub(crate) fn num_nodes(&self) -> u32 {
        self.assignment.askable
    }

    /// uids played by miners.
    pub(crate) fn miner_uids(&self) -> &BTreeSet<u32> {
        &self.assignment.miners
    }

    /// What each uid that is played is, in a word: what a miner does, or that it validates; whoever has a
    /// validator for an accomplice is called after it.
    pub(crate) fn roles(&self) -> Vec<mirror_runs::Role> {
        let mut accomplices: BTreeMap<u32, &'static str> = BTreeMap::new();
        let mut roles: BTreeMap<u32, String> = BTreeMap::new();
        for (index, uid) in (0..).zip(&self.assignment.validators) {
            let behaviour = self.validator_behaviour(index);
            let role = match &behaviour {
                ValidatorBehaviour::Honest(_) => "validator".to_owned(),
                other => format!("{} validator", other.name()),
            };
            roles.insert(*uid, role);
            if let Some((members, called)) = behaviour.members() {
                accomplices.extend(members.0.clone().map(|uid| (uid, called)));
            }
        }
        for uid in &self.assignment.miners {
            let behaviours = self.behaviours(*uid);
            let other = behaviours
                .iter()
                .map(BehaviourSpec::name)
                .filter(|name| *name != HONEST);
            let role = match other.collect::<Vec<_>>().join(" over ") {
                none if !none.is_empty() => none,
                _ => accomplices.get(uid).copied().unwrap_or(HONEST).to_owned(),
            };
            roles.insert(*uid, role);
        }
        let role = |(uid, role)| mirror_runs::Role { uid, role };
        roles.into_iter().map(role).collect()
    }

    /// The hotkey of each uid that is played.
    pub(crate) fn hotkeys(&self) -> impl Iterator<Item = (u32, Hotkey)> {
        let seed = Seed::root(self.seed);
        let uids = self.assignment.miners.iter().chain(&self.assignment.validators);
        uids.filter_map(move |&uid| Some((uid, self.assignment.hotkey(&seed, uid)?)))
    }

    /// Whether the run keeps the metagraphs of its syncs.
    pub(crate) fn keeps_history(&self) -> bool {
        matches!(self.model.metagraph, MetagraphSpec::Metagraph(_))
    }

    /// The public key of a validator.
    pub(crate) fn validator_hotkey(&self, index: u32) -> Hotkey {
        SecretKey::hotkey(&Seed::root(self.seed), Owner::Validator(index)).public()
    }

    /// The uids that share a process with `uid`.
    pub(crate) fn process_of(&self, uid: u32) -> RangeInclusive<u32> {
        let size = self.network().axons_per_process.max(1);
        let first = uid - uid % size;
        first..=(first + size - 1).min(self.num_nodes().saturating_sub(1))
    }

    /// What is broken on purpose.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.experiment.faults
    }

    /// How the network is made up.
    pub(crate) fn network(&self) -> &Network {
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

    fn metagraph(&self) -> &MetagraphArgs {
        self.model.metagraph.args()
    }

    /// The neurons of the metagraph that the subnet starts from; else the validators are staked and permitted.
    fn genesis(&self, chain: &DummySubtensorArgs) -> GenesisLaunch {
        let seed = Seed::root(self.seed);
        let neuron = |owner, stake, validator_permit| GenesisNeuron {
            hotkey: SecretKey::hotkey(&seed, owner).public().hex(),
            coldkey: SecretKey::coldkey(&seed, owner).public().hex(),
            stake,
            validator_permit,
            weights: Vec::new(),
            bonds: Vec::new(),
        };
        let miners = (0..self.num_nodes()).map(|uid| neuron(Owner::Miner(uid), 0, false));
        let validators = (0..self.network().validators)
            .map(|index| neuron(Owner::Validator(index), self.stake(index), true));
        let neurons = match &self.data.metagraph {
            Some(snapshot) => self.assignment.neurons(snapshot, &seed),
            None => miners.chain(validators).collect(),
        };
        GenesisLaunch {
            netuid: self.metagraph().netuid,
            block: chain.block,
            rules: self.network().chain,
            hyperparameters: self.network().changed_hyperparameters(chain),
            owner: Some(GenesisOwner {
                hotkey: SecretKey::hotkey(&seed, Owner::Subnet).public().hex(),
                coldkey: SecretKey::coldkey(&seed, Owner::Subnet).public().hex(),
            }),
            neurons,
            nominations: self.nominations.clone(),
            balances: Vec::new(),
        }
    }

    fn stake(&self, index: u32) -> u64 {
        (self.network().stake_of(index) * RAO) as u64
    }

    /// As the last group that names the uid says, over an honest one as the dendrite pool says.
    fn behaviours(&self, uid: u32) -> Vec<BehaviourSpec> {
        let DendritePool::DummyDendritePool(pool) = &self.model.dendrite_pool;
        let group = self.group(uid);
        let named = group
            .into_iter()
            .flat_map(|group| group.behaviour.iter().chain(&group.over));
        let mut behaviours: Vec<BehaviourSpec> = named.cloned().collect();
        if !matches!(behaviours.last(), Some(BehaviourSpec::Honest(_))) {
            behaviours.push(BehaviourSpec::Honest(HonestArgs {
                fail_rate: pool.fail_rate_of(uid),
                fitness: pool.fitness_of(uid),
            }));
        }
        behaviours
    }

    /// The last group that says how a uid behaves.
    fn group(&self, uid: u32) -> Option<&MinerGroup> {
        let mut groups = self.network().miners.iter().rev();
        groups
            .find(|group| group.uids.contains(&uid) && (group.behaviour.is_some() || !group.over.is_empty()))
    }

    /// The block that has closed when step 0 begins, where it can be told before.
    fn first_block(&self) -> Option<u64> {
        match (&self.model.subtensor, self.network().block_time) {
            (SubtensorSpec::DummySubtensor(chain), BlockTime::PerStep) => Some(chain.block),
            _ => None,
        }
    }

    /// As the last group that names the validator says, else honest.
    fn validator_behaviour(&self, index: u32) -> ValidatorBehaviour {
        let groups = self.network().validator_groups.iter().rev();
        let mut named = groups.filter(|group| group.validators.contains(&index));
        named
            .next()
            .map_or(ValidatorBehaviour::Honest(NoArgs {}), |group| {
                group.behaviour.clone()
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
            .filter_map(|group| Some(link(&group.uids, group.latency.clone()?)))
            .collect()
    }
}

/// Who plays which uid, in the subnet of a metagraph if there is one.
///
/// # Errors
/// The file names more validators than the metagraph has permits, or uids that it does not have.
pub(crate) fn assignment(
    experiment: &Experiment,
    model: &Model,
    metagraph: Option<&Snapshot>,
) -> anyhow::Result<UidAssignment> {
    let validators = experiment.network.validators;
    let assignment = match metagraph {
        Some(snapshot) => UidAssignment::of_snapshot(snapshot, validators, &Seed::root(experiment.seed))?,
        None => UidAssignment::in_order(model.metagraph.args().num_nodes, validators),
    };
    assignment.check(experiment)?;
    Ok(assignment)
}

/// Stake that others' coldkeys gave to the first validator.
///
/// # Errors
/// The file names a coldkey that is none.
pub(crate) fn nominations(model: &Model, seed: u64) -> anyhow::Result<Vec<GenesisNomination>> {
    let SubtensorSpec::DummySubtensor(chain) = &model.subtensor else {
        return Ok(Vec::new());
    };
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
pub(crate) fn validator_name(index: u32) -> String {
    format!("validator-{index}")
}

/// Which validator a node is, if it is one.
pub(crate) fn validator_index(node: &str) -> Option<u32> {
    node.strip_prefix("validator-")?.parse().ok()
}

/// `miner-3`, or `miners-0-63` for a process of many.
pub(crate) fn miner_name(uids: &RangeInclusive<u32>) -> String {
    if uids.start() == uids.end() {
        format!("miner-{}", uids.start())
    } else {
        format!("miners-{}-{}", uids.start(), uids.end())
    }
}
