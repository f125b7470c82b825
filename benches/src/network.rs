//! A subtensor and miners as processes without a coordinator, for a dendrite pool or a signer to call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use mirror_auth::{DendriteId, Signer};
use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_cluster::{NodeSpec, Program, Role, fleet};
use mirror_dataset::{Request, Schema, compile_cached, resolve};
use mirror_hub::Places;
use mirror_identity::{Owner, SecretKey};
use mirror_proto::protocol::BITTENSOR_VERSION;
use mirror_seed::Seed;
use mirror_spec::launch::{
    AxonLaunch, GenesisLaunch, GenesisNeuron, LogLaunch, MinerLaunch, SubtensorLaunch,
};
use mirror_spec::{AxonSettings, BehaviourSpec, HonestArgs};
use mirror_spec::{BlockTime, ChainPreset, NeuronSettings};
use mirror_validator::dendrite::ServedAxon;
use tokio_util::sync::CancellationToken;

/// Random seed of the miners' keys and draws.
pub const SEED: u64 = 7;

/// Stake of a validator in rao.
const STAKE: u64 = 1_000_000_000_000;

/// Timeouts of a node's start and of its shutdown.
const READY: Duration = Duration::from_mins(1);
const GRACE: Duration = Duration::from_secs(5);

/// A running subtensor.
pub struct Subtensor {
    placement: LocalProcesses,
    folder: tempfile::TempDir,
    address: SocketAddr,
}

/// A running subtensor, with the miners that use it.
pub struct Network {
    subtensor: Subtensor,
    dataset: PathBuf,
}

/// A compiled data set with its description.
pub struct Data {
    /// Name and size, such as `nq_open, 3610 rows`.
    pub origin: String,
    path: PathBuf,
}

impl Data {
    /// Compiles `nq_open` into `folder` if `$MIRROR_DATA` or a cache contains it, and `builtin` otherwise.
    pub fn prepare(folder: &Path) -> anyhow::Result<Self> {
        let request = |name: &str| Request {
            path_or_name: name.to_owned(),
            schema: Schema::default(),
            offline: true,
            base_dir: folder.to_owned(),
        };
        let places = Places::from_env();
        let (name, found) = match resolve(&request("nq_open"), &places) {
            Ok(found) => ("nq_open", found),
            Err(_) => ("builtin", resolve(&request("builtin"), &places)?),
        };
        Ok(Self {
            origin: format!("{name}, {} rows", found.rows.len()),
            path: compile_cached(&found.rows, folder)?,
        })
    }
}

impl Subtensor {
    /// Starts a subtensor with a number of neurons, whose keys are those of the miners with the same uids, and with
    /// these rules. The first `validators` neurons have stake and a permit.
    pub async fn start(
        neurons: u32,
        validators: u32,
        rules: BTreeMap<String, u64>,
        block_time: BlockTime,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let binaries = Binaries::in_folder(&release_folder()?);
        let (placement, _) = LocalProcesses::new(binaries, folder.path().join("logs"))?;
        let seed = Seed::root(SEED);
        let neuron = |uid| GenesisNeuron {
            hotkey: SecretKey::hotkey(&seed, Owner::Miner(uid)).public().hex(),
            coldkey: SecretKey::coldkey(&seed, Owner::Miner(uid)).public().hex(),
            stake: u64::from(uid < validators) * STAKE,
            validator_permit: uid < validators,
            weights: Vec::new(),
            bonds: Vec::new(),
            axon: None,
        };
        let launch = SubtensorLaunch {
            state: folder.path().join("subtensor"),
            genesis: GenesisLaunch {
                netuid: 1,
                block: 1,
                rules: ChainPreset::Small,
                hyperparameters: rules,
                owner: None,
                neurons: (0..neurons).map(neuron).collect(),
                nominations: Vec::new(),
                balances: Vec::new(),
            },
            block_time,
            barrier: Vec::new(),
            coordinator: None,
            snapshot_blocks: 1_024,
        };
        let node = node("subtensor", Role::Subtensor(Box::new(launch)));
        let addresses = fleet::start_all(&placement, &[node], READY).await?;
        Ok(Self {
            placement,
            folder,
            address: *addresses.first().context("the subtensor has no address")?,
        })
    }

    /// Returns the folder of its state.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("subtensor")
    }

    /// Returns its listen address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the nodes called `beside`, then the subtensor.
    pub async fn end(self, beside: Vec<String>) -> anyhow::Result<()> {
        let waves = [beside, vec!["subtensor".to_owned()]];
        let failures = fleet::stop_in_order(&self.placement, &waves, GRACE, &CancellationToken::new()).await;
        self.folder.close()?;
        failures
            .into_iter()
            .next()
            .map_or(Ok(()), |failure| Err(failure.into()))
    }
}

impl Network {
    /// Starts a subtensor with a number of registered miners.
    pub async fn start(miners: u32, data: &Data) -> anyhow::Result<Self> {
        Ok(Self {
            subtensor: Subtensor::start(miners, 0, BTreeMap::new(), BlockTime::PerStep).await?,
            dataset: data.path.clone(),
        })
    }

    /// Starts the miners of uids `0..miners`, one axon per process, and returns their axons once all are ready.
    pub async fn start_miners(&self, miners: u32) -> anyhow::Result<Vec<ServedAxon>> {
        let prompts = NeuronSettings::default();
        let nodes: Vec<NodeSpec> = (0..miners)
            .map(|uid| {
                let honest = HonestArgs {
                    fail_rate: 0.0,
                    fitness: 1.0,
                };
                let launch = MinerLaunch {
                    axons: vec![AxonLaunch {
                        uid,
                        group: uid.into(),
                        behaviours: vec![BehaviourSpec::Honest(honest)],
                    }],
                    settings: AxonSettings::default(),
                    dataset: self.dataset.clone(),
                    base_prompt: prompts.base_prompt.clone(),
                    question_prompt: prompts.question_prompt.clone(),
                    subtensor: self.subtensor.address,
                    first_block: None,
                    time_scale: 1.0,
                    num_nodes: 0,
                    proxy: None,
                    rules: Vec::new(),
                    injections: Vec::new(),
                };
                node(&format!("miner-{uid}"), Role::Miner(launch))
            })
            .collect();
        let addresses = fleet::start_all(&self.subtensor.placement, &nodes, READY).await?;
        let served = |(uid, address)| ServedAxon {
            hotkey: SecretKey::hotkey(&Seed::root(SEED), Owner::Miner(uid)).public(),
            address,
        };
        Ok((0..).zip(addresses).map(served).collect())
    }

    /// Stops miners `0..miners`, then the subtensor.
    pub async fn end(self, miners: u32) -> anyhow::Result<()> {
        let miners = (0..miners).map(|uid| format!("miner-{uid}"));
        self.subtensor.end(miners.collect()).await
    }
}

/// Returns the signer of a dendrite, with the hotkey of the first validator.
///
/// # Errors
/// Returns an error if the operating system has no random numbers.
pub fn signer() -> anyhow::Result<Signer> {
    let key = SecretKey::hotkey(&Seed::root(SEED), Owner::Validator(0));
    Ok(Signer::new(key, DendriteId::random()?, BITTENSOR_VERSION))
}

/// Returns the folder of the nodes' binaries, whose subfolder `deps` contains the benchmark.
pub fn release_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program
        .ancestors()
        .nth(2)
        .context("the benchmark is not in a target folder")?;
    Ok(folder.to_owned())
}

fn node(name: &str, role: Role) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        program: Program::Ours {
            log: LogLaunch::pretty("warn"),
            seed: SEED,
            credentials: mirror_test_support::certificates::credentials(name),
            clock_skew: 0.0,
            telemetry: None,
            profiles: None,
            role,
        },
    }
}
