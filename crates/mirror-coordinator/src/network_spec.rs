//! The specification of a network: turns an experiment into the launch configs of its nodes. Performs no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;

use mirror_certificates::Authority;
use mirror_cluster::{NodeSpec, Program, Role};
use mirror_identity::{Coldkey, Hotkey, Owner, SecretKey};
use mirror_metagraph_file::MetagraphFile;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{ForceRegister, SignedTransaction};
use mirror_proto::protocol::COORDINATOR;
pub(crate) use mirror_proto::protocol::{PROXY, SUBTENSOR};
use mirror_runs::neurons::{HONEST, VALIDATOR, set_controls};
use mirror_runs::{Layout, Neuron, NeuronKind};
use mirror_seed::Seed;
use mirror_spec::launch::{
    AxonLaunch, BarrierMember, Credentials, GenesisLaunch, GenesisNeuron, GenesisNomination, GenesisOwner,
    LinkLaunch, LogLaunch, MinerLaunch, ProxyLaunch, SubtensorLaunch, TelemetryLaunch, ValidatorLaunch,
};
use mirror_spec::{
    BehaviourSpec, DendritePool, DummySubtensorArgs, HonestArgs, MetagraphArgs, MetagraphSpec, NoArgs,
    OutsideMiner, SubtensorSpec, ValidatorBehaviour,
};
use mirror_spec::{BlockTime, Experiment, Fault, MinerGroup, Model, Network, NodeSet, Traces, ValueError};
use mirror_subtensor_client::transaction::sign_call;

use crate::data::Prepared;
use crate::fault::NodeState;
use crate::joined::{JoinedMiner, JoinedMiners};
use crate::outside::ProxiedAxons;
use crate::uid_assignment::UidAssignment;

/// Rao per TAO.
const RAO: f64 = 1e9;

/// Number of blocks after which the chain's node replaces its log by a snapshot.
const SNAPSHOT_BLOCKS: u64 = 1_024;

/// The specification of an experiment's nodes.
#[derive(Debug, Clone)]
pub(crate) struct NetworkSpec {
    seed: u64,
    log: LogLaunch,
    model: Model,
    experiment: Experiment,
    layout: Layout,
    data: Prepared,
    assignment: UidAssignment,
    /// The assigned neurons, by uid.
    neurons: Vec<Neuron>,
    /// The authority that issues the certificates of the nodes.
    authority: Arc<Authority>,
    /// The miners that have joined the network during the run.
    joined: Arc<JoinedMiners>,
    /// The axons of running programs that callers reach through the proxy.
    proxied_axons: ProxiedAxons,
    nominations: Vec<GenesisNomination>,
}

/// The chain of a run.
#[derive(Debug, Clone)]
pub(crate) enum Subtensor {
    /// A node that the run starts.
    Ours(Box<NodeSpec>),
    /// A node that is already running.
    Runs(SocketAddr),
}

impl NetworkSpec {
    /// Creates the specification of an experiment with a model.
    ///
    /// # Errors
    ///
    /// Returns an error if the file names an invalid coldkey, or uids that do not exist in the metagraph that the
    /// subnet starts from.
    pub(crate) fn new(
        experiment: &Experiment,
        model: &Model,
        layout: &Layout,
        data: Prepared,
        log: &str,
        authority: Arc<Authority>,
    ) -> anyhow::Result<Self> {
        let assignment = assignment(experiment, model, data.metagraph.as_ref())?;
        let mut spec = Self {
            assignment,
            neurons: Vec::new(),
            authority,
            joined: Arc::default(),
            proxied_axons: ProxiedAxons::default(),
            seed: experiment.seed,
            log: LogLaunch {
                filter: log.to_owned(),
                format: experiment.telemetry.logs,
            },
            nominations: nominations(model, experiment.seed)?,
            model: model.clone(),
            experiment: experiment.clone(),
            layout: layout.clone(),
            data,
        };
        spec.neurons = spec.derive_neurons();
        Ok(spec)
    }

    /// Returns the chain: the node to start, or the address of one that is already running. A node that is started
    /// reports to `coordinator` if that is not `None`.
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
                    .map(|index| BarrierMember {
                        hotkey: self.validator_hotkey(index).hex(),
                        // Each run of a chain that serves several has validators, with one certificate for all.
                        node: match coordinator {
                            Some(_) => validator_name(index),
                            None => COORDINATOR.to_owned(),
                        },
                    })
                    .collect(),
                coordinator,
                snapshot_blocks: SNAPSHOT_BLOCKS,
            })),
        );
        Subtensor::Ours(Box::new(node))
    }

    /// Returns the proxy.
    pub(crate) fn proxy(&self) -> NodeSpec {
        self.node(PROXY.to_owned(), Role::Proxy(ProxyLaunch {}))
    }

    /// Returns whether connections go through the proxy.
    pub(crate) fn has_proxy(&self) -> bool {
        self.network().proxy || self.experiment.faults.iter().any(Fault::is_on_the_wire)
    }

    /// Returns the names of all miner processes, in ascending order of uid.
    pub(crate) fn miner_names(&self) -> Vec<String> {
        let uids = self.miner_uids();
        let here = uids.into_iter().filter(|uid| !self.is_elsewhere(*uid));
        let processes = here.map(|uid| self.process_of(uid));
        let mut first_uids = BTreeSet::new();
        let names = processes.filter(|uids| first_uids.insert(uids.clone().into_inner()));
        names.map(|uids| miner_name(&uids)).collect()
    }

    /// Adds a miner that joins the network.
    pub(crate) fn join(&self, uid: u32, miner: JoinedMiner) {
        self.joined.add(uid, miner);
    }

    /// Returns the uids of miners that join, in the order in which they join. The first follows the last neuron of the
    /// genesis.
    pub(crate) fn newcomer_uids(&self) -> Range<u32> {
        let first = self.assignment.neurons;
        first..first.saturating_add(self.experiment.uids_for_newcomers())
    }

    /// Returns the number of uids for miners that join manually.
    pub(crate) fn room(&self) -> u32 {
        self.network().room_for
    }

    /// Returns the transaction with which the owner of the subnet registers a miner, after `block` has closed. Its
    /// nonce is the uid that the miner is to have, so the transactions apply in the order of the uids.
    pub(crate) fn registration(&self, uid: u32, block: u64) -> SignedTransaction {
        let seed = Seed::root(self.seed);
        let call = Call::ForceRegister(ForceRegister {
            hotkey: self.newcomer_hotkey(uid).bytes().to_vec(),
            coldkey: SecretKey::coldkey(&seed, Owner::Miner(uid))
                .public()
                .bytes()
                .to_vec(),
            stake: 0,
            free: 0,
        });
        sign_call(&SecretKey::coldkey(&seed, Owner::Subnet), uid.into(), block, call)
    }

    /// Returns the hotkey of a miner that joins with this uid.
    pub(crate) fn newcomer_hotkey(&self, uid: u32) -> Hotkey {
        SecretKey::hotkey(&Seed::root(self.seed), Owner::Miner(uid)).public()
    }

    /// Returns the miner process that hosts a uid, with the faults of `state`.
    pub(crate) fn miner(
        &self,
        uid: u32,
        subtensor: SocketAddr,
        proxy: Option<SocketAddr>,
        state: &NodeState,
    ) -> NodeSpec {
        let uids = self.process_of(uid);
        let of_file = self.assignment.miners.range(uids.clone());
        let of_file = of_file.filter(|uid| self.outside(**uid).is_none());
        let of_file = of_file.map(|&uid| AxonLaunch {
            uid,
            group: self.group(uid).map_or(uid.into(), |group| group.uids.clone()),
            behaviours: self.behaviours(uid),
        });
        let joined = self.joined.get(uid).map(|joined| AxonLaunch {
            uid,
            behaviours: self.with_honest_bottom(uid, joined.behaviours()),
            group: joined.group,
        });
        self.node(
            miner_name(&uids),
            Role::Miner(MinerLaunch {
                axons: of_file.chain(joined).collect(),
                settings: self.network().axon.clone(),
                dataset: self.data.answers.clone(),
                base_prompt: self.model.neuron.base_prompt.clone(),
                question_prompt: self.model.neuron.question_prompt.clone(),
                subtensor,
                first_block: self.first_block(),
                time_scale: self.network().time_scale,
                num_nodes: self.num_nodes(),
                proxy,
                rules: state.rules.clone(),
                injections: state.injections.clone(),
            }),
        )
    }

    /// Returns the node of a validator, with the faults of `state`.
    pub(crate) fn validator(
        &self,
        index: u32,
        subtensor: SocketAddr,
        coordinator: SocketAddr,
        state: &NodeState,
    ) -> NodeSpec {
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
            subtensor_credentials: self.chain_credentials().cloned(),
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
            rules: state.rules.clone(),
            untimed: state.is_untimed,
            injected: state.validator.clone(),
            time_scale: self.network().time_scale,
            acknowledged: self.network().record_acknowledged.then_some(acknowledged),
        };
        self.node(name, Role::Validator(Box::new(launch)))
    }

    /// Returns the number of validators.
    pub(crate) fn validator_count(&self) -> u32 {
        self.network().validators
    }

    /// Returns whether the validators have a query to run.
    pub(crate) fn has_query(&self) -> bool {
        self.experiment.query.is_some()
    }

    /// Returns the exclusive upper bound of the uids that validators may query. It includes the uids of miners that
    /// join during the run.
    pub(crate) fn num_nodes(&self) -> u32 {
        let newcomers = self.newcomer_uids();
        if newcomers.is_empty() {
            self.assignment.askable
        } else {
            newcomers.end
        }
    }

    /// Returns the uids of the miners, including those that have joined.
    pub(crate) fn miner_uids(&self) -> BTreeSet<u32> {
        let mut uids = self.assignment.miners.clone();
        uids.extend(self.joined.uids());
        uids
    }

    /// Returns the neurons of this run, by uid: the assigned ones, and the miners that have joined.
    pub(crate) fn neurons(&self) -> Vec<Neuron> {
        let mut neurons = self.neurons.clone();
        let joined = self.joined.neurons();
        if !joined.is_empty() {
            neurons.extend(joined);
            set_controls(&mut neurons);
        }
        neurons
    }

    /// Derives the neurons from the experiment. An honest miner that is an accomplice of a validator has the name of
    /// that validator's behaviour as its role and, if the file sets none, as its label.
    fn derive_neurons(&self) -> Vec<Neuron> {
        let mut accomplices: BTreeMap<u32, &'static str> = BTreeMap::new();
        let mut neurons: BTreeMap<u32, Neuron> = BTreeMap::new();
        for (index, uid) in (0..).zip(&self.assignment.validators) {
            let behaviour = self.validator_behaviour(index);
            let role = match &behaviour {
                ValidatorBehaviour::Honest(_) => VALIDATOR.to_owned(),
                other => format!("{} {VALIDATOR}", other.name()),
            };
            if let Some((members, called)) = behaviour.members() {
                accomplices.extend(members.iter().map(|uid| (uid, called)));
            }
            let groups = self.network().validator_groups.iter();
            let entries = groups
                .filter(|group| group.validators.contains(&index))
                .map(|group| Naming {
                    label: group.label(),
                    control: group.control.as_deref(),
                    behaves: group.behaviour.is_some(),
                });
            let named = Naming::in_order(entries);
            let neuron = Neuron {
                uid: *uid,
                kind: NeuronKind::Validator,
                role,
                label: named.label.unwrap_or_else(|| VALIDATOR.to_owned()),
                control: named.control.map(str::to_owned),
                node: self.node_of(*uid),
            };
            neurons.insert(*uid, neuron);
        }
        for uid in &self.assignment.miners {
            let usual = accomplices.get(uid).copied().unwrap_or(HONEST);
            let role = self.group(*uid).and_then(MinerGroup::role);
            let groups = self.network().miners.iter();
            let entries = groups
                .filter(|group| group.uids.contains(uid))
                .map(|group| Naming {
                    label: group.label(),
                    control: group.control.as_deref(),
                    behaves: group.behaves(),
                });
            let named = Naming::in_order(entries);
            let neuron = Neuron {
                uid: *uid,
                kind: NeuronKind::Miner,
                role: role.unwrap_or_else(|| usual.to_owned()),
                label: named.label.unwrap_or_else(|| usual.to_owned()),
                control: named.control.map(str::to_owned),
                node: self.node_of(*uid),
            };
            neurons.insert(*uid, neuron);
        }
        let mut neurons: Vec<Neuron> = neurons.into_values().collect();
        set_controls(&mut neurons);
        neurons
    }

    /// Returns the hotkey of each assigned uid.
    pub(crate) fn hotkeys(&self) -> impl Iterator<Item = (u32, Hotkey)> {
        let seed = Seed::root(self.seed);
        let uids = self.assignment.miners.iter().chain(&self.assignment.validators);
        uids.filter_map(move |&uid| match self.outside(uid) {
            Some(OutsideMiner::Running {
                hotkey: Some(hotkey), ..
            }) => Some((uid, hotkey)),
            _ => Some((uid, self.assignment.hotkey(&seed, uid)?)),
        })
    }

    /// Returns whether the run saves the metagraphs of its syncs.
    pub(crate) fn keeps_history(&self) -> bool {
        matches!(self.model.metagraph, MetagraphSpec::Metagraph(_))
    }

    /// Returns the hotkey of a validator.
    pub(crate) fn validator_hotkey(&self, index: u32) -> Hotkey {
        SecretKey::hotkey(&Seed::root(self.seed), Owner::Validator(index)).public()
    }

    /// Returns the uid of a validator. `None` if there is no such validator.
    pub(crate) fn validator_uid(&self, index: u32) -> Option<u32> {
        self.assignment.validators.get(index as usize).copied()
    }

    /// Returns the uids of the miner process with this name. Empty if there is none.
    pub(crate) fn uids_of_process(&self, name: &str) -> Vec<u32> {
        if !name.starts_with("miner") {
            return Vec::new();
        }
        let mut numbers = name.split('-').skip(1).map(|number| number.parse::<u32>().ok());
        let (Some(Some(first)), last) = (numbers.next(), numbers.next().flatten()) else {
            return Vec::new();
        };
        // A program of others is a process alone, also if its uid is in the range of a process of this project.
        let is_alone = last.is_none();
        let uids = first..=last.unwrap_or(first);
        let joined = self.joined.get(first).map(|_| first);
        let of_file = self.assignment.miners.range(uids).copied();
        let of_file = of_file.filter(|uid| {
            let outside = self.outside(*uid);
            outside.is_none() || is_alone && !self.is_elsewhere(*uid)
        });
        of_file.chain(joined).collect()
    }

    /// Returns the uids of the miners and validators in these sets.
    pub(crate) fn uids_of(&self, sets: &[NodeSet]) -> BTreeSet<u32> {
        let validators = || self.assignment.validators.iter().copied();
        let mut uids = BTreeSet::new();
        for set in sets {
            match set {
                NodeSet::Uids(named) => uids.extend(named.iter()),
                NodeSet::Validators(indices) => {
                    uids.extend(indices.iter().filter_map(|index| self.validator_uid(index)));
                }
                NodeSet::Label(label) => {
                    let labelled = self.neurons.iter().filter(|neuron| neuron.label == *label);
                    uids.extend(labelled.map(|neuron| neuron.uid));
                    uids.extend(self.joined.with_label(label));
                }
                NodeSet::Miners => uids.extend(self.miner_uids()),
                NodeSet::AllValidators => uids.extend(validators()),
                NodeSet::Chain => {}
            }
        }
        uids
    }

    /// Returns the names of the nodes in these sets.
    pub(crate) fn nodes_of(&self, sets: &[NodeSet]) -> BTreeSet<String> {
        let mut nodes: BTreeSet<String> = self
            .uids_of(sets)
            .into_iter()
            .filter_map(|uid| self.node_of(uid))
            .collect();
        if sets.contains(&NodeSet::Chain) && self.has_own_chain() {
            nodes.insert(SUBTENSOR.to_owned());
        }
        nodes
    }

    /// Returns the name of the node of a neuron. `None` if no node of this run hosts the uid.
    pub(crate) fn node_of(&self, uid: u32) -> Option<String> {
        if self.is_elsewhere(uid) {
            return None;
        }
        if self.assignment.miners.contains(&uid) || self.joined.get(uid).is_some() {
            return Some(miner_name(&self.process_of(uid)));
        }
        let index = self
            .assignment
            .validators
            .iter()
            .position(|validator| *validator == uid)?;
        Some(validator_name(index as u32))
    }

    /// Returns the names of all nodes except the chain.
    pub(crate) fn all_nodes(&self) -> Vec<String> {
        let validators = (0..self.validator_count()).map(validator_name);
        self.miner_names().into_iter().chain(validators).collect()
    }

    /// Returns whether the run starts the chain.
    pub(crate) fn has_own_chain(&self) -> bool {
        matches!(self.model.subtensor, SubtensorSpec::DummySubtensor(_))
    }

    /// Returns the range of uids that contains those in the process of `uid`. A miner that has joined and a program of
    /// others are processes alone.
    pub(crate) fn process_of(&self, uid: u32) -> RangeInclusive<u32> {
        if uid >= self.assignment.neurons || self.outside(uid).is_some() {
            return uid..=uid;
        }
        let size = self.network().axons_per_process.max(1);
        let first = uid - uid % size;
        first..=(first + size - 1).min(self.assignment.askable.saturating_sub(1))
    }

    /// Returns the faults of the experiment.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.experiment.faults
    }

    /// Returns the `network` section of the experiment.
    pub(crate) fn network(&self) -> &Network {
        &self.experiment.network
    }

    /// Returns the recording of spans and metrics by nodes that send them to `coordinator`. `None` to record none.
    pub(crate) fn telemetry(&self, coordinator: SocketAddr) -> Option<TelemetryLaunch> {
        let settings = &self.experiment.telemetry;
        (settings.traces != Traces::Off).then_some(TelemetryLaunch {
            coordinator,
            trace_share: settings.trace_share,
            spans_interval: TelemetryLaunch::spans_interval_of(self.neurons().len()),
            metrics_interval: settings.metrics_interval,
        })
    }

    /// Returns the certificate for a chain that serves several runs. `None` if the run starts its chain, or the file
    /// names no certificate.
    pub(crate) fn chain_credentials(&self) -> Option<&Credentials> {
        self.data.chain_client.as_ref().map(|client| &client.credentials)
    }

    /// Returns the random seed of the experiment.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the axons of running programs that callers reach through the proxy.
    pub(crate) fn proxied_axons(&self) -> &ProxiedAxons {
        &self.proxied_axons
    }

    fn node(&self, name: String, role: Role) -> NodeSpec {
        let credentials = self.authority.issue(&name);
        NodeSpec {
            program: Program::Ours {
                log: self.log.clone(),
                seed: self.seed,
                credentials: credentials.expect("the name of a node can be in a certificate"),
                clock_skew: 0.0,
                telemetry: None,
                profiles: None,
                role,
            },
            name,
        }
    }

    fn state(&self, node: &str) -> PathBuf {
        self.layout.state().join(node)
    }

    fn metagraph(&self) -> &MetagraphArgs {
        self.model.metagraph.args()
    }

    /// Returns the genesis of the chain. Its neurons are those of the metagraph that the subnet starts from. Without
    /// one, the validators have stake and a permit.
    fn genesis(&self, chain: &DummySubtensorArgs) -> GenesisLaunch {
        let seed = Seed::root(self.seed);
        let neuron = |owner, stake, validator_permit| GenesisNeuron {
            hotkey: SecretKey::hotkey(&seed, owner).public().hex(),
            coldkey: SecretKey::coldkey(&seed, owner).public().hex(),
            stake,
            validator_permit,
            weights: Vec::new(),
            bonds: Vec::new(),
            axon: None,
        };
        let miners = (0..self.assignment.askable).map(|uid| neuron(Owner::Miner(uid), 0, false));
        let validators = (0..self.network().validators)
            .map(|index| neuron(Owner::Validator(index), self.stake(index), true));
        let mut neurons = match &self.data.metagraph {
            Some(metagraph_file) => self.assignment.neurons(metagraph_file, &seed),
            None => miners.chain(validators).collect(),
        };
        self.serve_running_axons(&mut neurons);
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

    /// Returns the behaviours of the last group that names the uid, on top of an honest one with the rates of the
    /// dendrite pool.
    fn behaviours(&self, uid: u32) -> Vec<BehaviourSpec> {
        let group = self.group(uid);
        let named = group
            .into_iter()
            .flat_map(|group| group.behaviour.iter().chain(&group.over));
        self.with_honest_bottom(uid, named.cloned().collect())
    }

    /// Returns the behaviours on top of an honest one with the rates of the dendrite pool, unless the last of them is
    /// honest.
    pub(crate) fn with_honest_bottom(
        &self,
        uid: u32,
        mut behaviours: Vec<BehaviourSpec>,
    ) -> Vec<BehaviourSpec> {
        let DendritePool::DummyDendritePool(pool) = &self.model.dendrite_pool;
        if !matches!(behaviours.last(), Some(BehaviourSpec::Honest(_))) {
            behaviours.push(BehaviourSpec::Honest(HonestArgs {
                fail_rate: pool.fail_rate_of(uid),
                fitness: pool.fitness_of(uid),
            }));
        }
        behaviours
    }

    /// Returns the last group that sets the behaviour of a uid.
    pub(crate) fn group(&self, uid: u32) -> Option<&MinerGroup> {
        let mut groups = self.network().miners.iter().rev();
        groups.find(|group| group.uids.contains(&uid) && group.behaves())
    }

    /// Returns the block that has closed when step 0 begins. `None` if it is unknown before the chain runs.
    pub(crate) fn first_block(&self) -> Option<u64> {
        match (&self.model.subtensor, self.network().block_time) {
            (SubtensorSpec::DummySubtensor(chain), BlockTime::PerStep) => Some(chain.block),
            _ => None,
        }
    }

    /// Returns the behaviour that the last group with one sets for the validator, or the honest one.
    fn validator_behaviour(&self, index: u32) -> ValidatorBehaviour {
        let groups = self.network().validator_groups.iter().rev();
        let mut named = groups.filter(|group| group.validators.contains(&index));
        named
            .find_map(|group| group.behaviour.clone())
            .unwrap_or(ValidatorBehaviour::Honest(NoArgs {}))
    }

    fn links(&self) -> Vec<LinkLaunch> {
        let mut links = Vec::new();
        for group in &self.network().miners {
            let Some(latency) = &group.latency else { continue };
            links.extend(group.uids.ranges().iter().map(|range| LinkLaunch {
                first_uid: *range.start(),
                last_uid: *range.end(),
                latency: latency.clone(),
            }));
        }
        links
    }
}

/// Assigns the uids to validators and miners, in the subnet of a metagraph file if there is one.
///
/// # Errors
/// Returns an error if the experiment has more validators than the metagraph has permits, or names uids that it does
/// not have.
pub(crate) fn assignment(
    experiment: &Experiment,
    model: &Model,
    metagraph: Option<&MetagraphFile>,
) -> anyhow::Result<UidAssignment> {
    let validators = experiment.network.validators;
    let assignment = match metagraph {
        Some(metagraph_file) => {
            UidAssignment::of_metagraph_file(metagraph_file, validators, &Seed::root(experiment.seed))?
        }
        None => UidAssignment::in_order(model.metagraph.args().num_nodes, validators),
    };
    assignment.check(experiment)?;
    Ok(assignment)
}

/// Returns the stake that other coldkeys have delegated to the first validator.
///
/// # Errors
/// Returns an error if the file contains an invalid coldkey.
pub(crate) fn nominations(model: &Model, seed: u64) -> anyhow::Result<Vec<GenesisNomination>> {
    let SubtensorSpec::DummySubtensor(chain) = &model.subtensor else {
        return Ok(Vec::new());
    };
    let hotkey = SecretKey::hotkey(&Seed::root(seed), Owner::Validator(0))
        .public()
        .hex();
    let nomination = |(address, tao): (&String, &f64)| {
        let coldkey: Coldkey = address.parse().map_err(|error| ValueError {
            path: ["model", "subtensor", "args", "delegated", address]
                .map(str::to_owned)
                .into(),
            message: format!("`{address}`, under `delegated`, is not a coldkey: {error}"),
            help: "write the ss58 address of a coldkey".to_owned(),
        })?;
        Ok(GenesisNomination {
            hotkey: hotkey.clone(),
            coldkey: coldkey.hex(),
            stake: (tao * RAO) as u64,
        })
    };
    chain.delegated.iter().map(nomination).collect()
}

/// Label and control that an entry of the file gives its uids.
#[derive(Clone, Default)]
struct Naming<'a> {
    label: Option<String>,
    control: Option<&'a str>,
    /// Whether the entry sets a behaviour.
    behaves: bool,
}

impl<'a> Naming<'a> {
    /// Returns the label and control that result from the entries of a uid in the order of the file. An entry with a
    /// label or a behaviour replaces both of earlier entries.
    fn in_order(entries: impl Iterator<Item = Naming<'a>>) -> Self {
        entries.fold(Self::default(), |earlier, entry| {
            if entry.label.is_some() || entry.behaves {
                entry
            } else {
                Self {
                    control: entry.control.or(earlier.control),
                    ..earlier
                }
            }
        })
    }
}

/// Returns the name of a validator, such as `validator-0`.
pub(crate) fn validator_name(index: u32) -> String {
    format!("validator-{index}")
}

/// Returns the index of a validator by its name. `None` if the node is no validator.
pub(crate) fn validator_index(node: &str) -> Option<u32> {
    node.strip_prefix("validator-")?.parse().ok()
}

/// Returns the name of a miner process, such as `miner-3`, or `miners-0-63` if it hosts several uids.
pub(crate) fn miner_name(uids: &RangeInclusive<u32>) -> String {
    if uids.start() == uids.end() {
        format!("miner-{}", uids.start())
    } else {
        format!("miners-{}-{}", uids.start(), uids.end())
    }
}
