//! Assigns uids to the processes of a run. Pure: no I/O.
//!
//! Without a metagraph to start from, miners have uids 0 to `num_nodes`-1 and validators follow. With a metagraph,
//! every neuron keeps its uid. Validators take the uids of permitted neurons: first those that have set weights, then
//! those with the most stake, then those with the lowest uid. The remaining neurons that have set no weights become
//! miners. All others stay inactive and keep their last weights. If the metagraph comes from a run with the same random
//! seed, a uid that one of its validators had is assigned to the same validator again.
//!
//! The secret keys of a metagraph's neurons are unknown. An assigned uid therefore gets a new hotkey, derived from the
//! random seed. All coldkeys, and the hotkeys of inactive neurons, stay as they are in the metagraph.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use mirror_identity::{Hotkey, Owner, SecretKey};
use mirror_metagraph_file::{MetagraphFile, Neuron};
use mirror_seed::Seed;
use mirror_spec::launch::GenesisNeuron;
use mirror_spec::{Experiment, NodeSet, ValueError};

/// The assignment of uids to miners and validators.
#[derive(Debug, Clone)]
pub(crate) struct UidAssignment {
    /// The uids of the miners.
    pub(crate) miners: BTreeSet<u32>,
    /// The uid of each validator.
    pub(crate) validators: Vec<u32>,
    /// Exclusive upper bound of the uids that validators may query if no miner joins.
    pub(crate) askable: u32,
    /// Number of neurons of the genesis. Miners that join have the uids from this one on.
    pub(crate) neurons: u32,
}

impl UidAssignment {
    /// Assigns the lowest uids to miners and the following ones to validators.
    pub(crate) fn in_order(miners: u32, validators: u32) -> Self {
        Self {
            miners: (0..miners).collect(),
            validators: (miners..miners + validators).collect(),
            askable: miners,
            neurons: miners + validators,
        }
    }

    /// Assigns uids of a metagraph, which keeps its numbering.
    ///
    /// # Errors
    ///
    /// Returns an error if fewer neurons than `validators` have a permit, or if no neuron is left for a miner.
    pub(crate) fn of_metagraph_file(
        metagraph_file: &MetagraphFile,
        validators: u32,
        seed: &Seed,
    ) -> anyhow::Result<Self> {
        let count = metagraph_file.neurons.len() as u32;
        let numbered = || (0..).zip(&metagraph_file.neurons);
        let by_hotkey: BTreeMap<Hotkey, u32> = numbered().map(|(uid, neuron)| (neuron.hotkey, uid)).collect();
        let ours = |index| by_hotkey.get(&SecretKey::hotkey(seed, Owner::Validator(index)).public());
        let known: Vec<Option<u32>> = (0..validators).map(|index| ours(index).copied()).collect();
        let mut permitted: Vec<(u32, &Neuron)> = numbered()
            .filter(|(uid, neuron)| neuron.permit && !known.contains(&Some(*uid)))
            .collect();
        permitted.sort_by_key(|(uid, neuron)| (neuron.weights.is_empty(), Reverse(neuron.stake), *uid));
        let mut permitted = permitted.into_iter().map(|(uid, _)| uid);
        let chosen = known.into_iter().map(|known| known.or_else(|| permitted.next()));
        let chosen: Option<Vec<u32>> = chosen.collect();
        let validators = chosen.with_context(|| {
            let permits = numbered().filter(|(_, neuron)| neuron.permit).count();
            format!(
                "`network.validators` is {validators}, but only {permits} neurons of the metagraph have a permit: set \
                 `network.validators` to {permits} or less"
            )
        })?;
        let silent = numbered().filter(|(_, neuron)| neuron.weights.is_empty());
        let miners: BTreeSet<u32> = silent
            .map(|(uid, _)| uid)
            .filter(|uid| !validators.contains(uid))
            .collect();
        ensure!(
            !miners.is_empty(),
            "no uid is left for a miner: every neuron of the metagraph that is not assigned to a validator has set weights; \
             use a metagraph with neurons that have set none"
        );
        Ok(Self {
            miners,
            validators,
            askable: count,
            neurons: count,
        })
    }

    /// Returns the owner of the keys of a uid, or `None` if the uid is inactive.
    fn owner(&self, uid: u32) -> Option<Owner> {
        if self.miners.contains(&uid) {
            return Some(Owner::Miner(uid));
        }
        let index = self.validators.iter().position(|validator| *validator == uid)?;
        Some(Owner::Validator(index as u32))
    }

    /// Returns the hotkey of an assigned uid, or `None` if the uid is inactive.
    pub(crate) fn hotkey(&self, seed: &Seed, uid: u32) -> Option<Hotkey> {
        Some(SecretKey::hotkey(seed, self.owner(uid)?).public())
    }

    /// Returns the neurons of a metagraph for the genesis, with derived hotkeys for the assigned uids.
    pub(crate) fn neurons(&self, metagraph_file: &MetagraphFile, seed: &Seed) -> Vec<GenesisNeuron> {
        let neuron = |(uid, neuron): (u32, &Neuron)| GenesisNeuron {
            hotkey: self.hotkey(seed, uid).unwrap_or(neuron.hotkey).hex(),
            coldkey: neuron.coldkey.hex(),
            stake: neuron.stake,
            validator_permit: neuron.permit,
            weights: neuron.weights.clone(),
            bonds: neuron.bonds.clone(),
            axon: None,
        };
        (0..).zip(&metagraph_file.neurons).map(neuron).collect()
    }

    /// Checks that the subnet may have as many neurons as the metagraph, that the uids that the experiment file names
    /// exist in it, and that those of programs of others are miners. Without a metagraph, the check of the file has
    /// already ensured this.
    ///
    /// # Errors
    ///
    /// Returns the first value that is wrong.
    pub(crate) fn check(&self, experiment: &Experiment) -> Result<(), ValueError> {
        let allowed = experiment.network.hyperparameters.max_allowed_uids;
        let newcomers = experiment.uids_for_newcomers();
        let all = self.askable.saturating_add(newcomers);
        if let Some(allowed) = allowed.filter(|allowed| *allowed < all) {
            return Err(ValueError {
                path: ["network", "hyperparameters", "max_allowed_uids"]
                    .map(str::to_owned)
                    .to_vec(),
                message: match newcomers {
                    0 => format!("the metagraph has {all} neurons, but `max_allowed_uids` allows {allowed}"),
                    newcomers => format!(
                        "the metagraph has {} neurons and {newcomers} miners may join, but `max_allowed_uids` allows \
                         {allowed}",
                        self.askable
                    ),
                },
                help: format!("set it to {all} or more"),
            });
        }
        let groups = experiment.network.miners.iter().enumerate();
        let groups = groups.map(|(index, group)| {
            let path = ["network", "miners", &index.to_string(), "uids"].map(str::to_owned);
            (path.to_vec(), group)
        });
        let outside = groups.clone().filter(|(_, group)| group.outside().is_some());
        let groups = groups.map(|(path, group)| (path, &group.uids));
        let faults = experiment.faults.iter().enumerate().flat_map(|(index, fault)| {
            let path = ["faults", &index.to_string()].map(str::to_owned);
            let sets = fault.nodes().into_iter();
            sets.filter_map(move |nodes| match nodes {
                NodeSet::Uids(uids) => Some((path.to_vec(), uids)),
                _ => None,
            })
        });
        let groups = groups.map(|(path, uids)| (path, uids.clone(), self.neurons));
        let bound = self.neurons.saturating_add(newcomers);
        let faults = faults.map(|(path, uids)| (path, uids, bound));
        for (path, uids, bound) in groups.chain(faults) {
            if uids.greatest() >= bound {
                return Err(ValueError {
                    path,
                    message: format!(
                        "the file names uid {}, but the metagraph has only {} neurons: uids go from 0 to {}",
                        uids.greatest(),
                        self.neurons,
                        bound.saturating_sub(1)
                    ),
                    help: "name uids of the metagraph".to_owned(),
                });
            }
        }
        for (path, group) in outside {
            if let Some(uid) = group.uids.iter().find(|uid| !self.miners.contains(uid)) {
                let kind = if self.validators.contains(&uid) {
                    "a validator of this run"
                } else {
                    "inactive, because it has set weights"
                };
                let miners: Vec<String> = self.miners.iter().take(10).map(u32::to_string).collect();
                return Err(ValueError {
                    path,
                    message: format!(
                        "uid {uid} of the metagraph is {kind}, so another program cannot be its axon"
                    ),
                    help: format!("name uids of miners; the first are {}", miners.join(", ")),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mirror_identity::PublicKey;
    use mirror_spec::{MinerGroup, Uids};

    use super::*;

    fn neuron(number: u8, stake: u64, permit: bool) -> Neuron {
        Neuron {
            hotkey: PublicKey::from_bytes([number; 32]),
            coldkey: PublicKey::from_bytes([100; 32]),
            stake,
            permit,
            weights: if permit { vec![(1, 9)] } else { Vec::new() },
            bonds: vec![(1, 8)],
        }
    }

    fn metagraph_file() -> MetagraphFile {
        let neurons = [(5, true), (0, false), (9, true), (5, true), (0, false)];
        MetagraphFile {
            neurons: (0..)
                .zip(neurons)
                .map(|(number, (stake, permit))| neuron(number, stake, permit))
                .collect(),
        }
    }

    #[test]
    fn permitted_neurons_with_most_stake_validate_and_neurons_without_weights_are_miners() {
        let assignment = UidAssignment::of_metagraph_file(&metagraph_file(), 2, &Seed::root(1))
            .expect("three have a permit");
        // With equal stakes, the lower uid comes first.
        assert_eq!(assignment.validators, [2, 0]);
        assert_eq!(assignment.miners, BTreeSet::from([1, 4]));
        // The first miner that joins follows the five neurons of the metagraph, or all miners and validators.
        assert_eq!(assignment.neurons, 5);
        assert_eq!(UidAssignment::in_order(6, 2).neurons, 8);
        let refused = UidAssignment::of_metagraph_file(&metagraph_file(), 4, &Seed::root(1))
            .expect_err("three have a permit");
        assert!(
            refused.to_string().contains("is 4, but only 3 neurons"),
            "{refused}"
        );

        // A neuron that has set weights precedes one with more stake. The one left over becomes a miner.
        let mut metagraph_file = metagraph_file();
        metagraph_file.neurons[2].weights.clear();
        let assignment = UidAssignment::of_metagraph_file(&metagraph_file, 2, &Seed::root(1))
            .expect("three have a permit");
        assert_eq!(assignment.validators, [0, 3]);
        assert_eq!(assignment.miners, BTreeSet::from([1, 2, 4]));

        // A uid that `validator-0` had is assigned to `validator-0` again.
        metagraph_file.neurons[4].hotkey = SecretKey::hotkey(&Seed::root(1), Owner::Validator(0)).public();
        let assignment = UidAssignment::of_metagraph_file(&metagraph_file, 2, &Seed::root(1))
            .expect("three have a permit");
        assert_eq!(assignment.validators, [4, 0]);
    }

    #[test]
    fn assigned_uids_get_derived_hotkeys_and_keep_everything_else() {
        let seed = Seed::root(1);
        let assignment = UidAssignment::of_metagraph_file(&metagraph_file(), 2, &Seed::root(1))
            .expect("three have a permit");
        let neurons = assignment.neurons(&metagraph_file(), &seed);
        let ours = |owner| SecretKey::hotkey(&seed, owner).public().hex();
        assert_eq!(neurons[2].hotkey, ours(Owner::Validator(0)));
        assert_eq!(neurons[4].hotkey, ours(Owner::Miner(4)));
        // Uid 3 has a permit and is not assigned.
        assert_eq!(neurons[3].hotkey, PublicKey::from_bytes([3; 32]).hex());
        for (neuron, original) in neurons.iter().zip(metagraph_file().neurons) {
            assert_eq!(neuron.coldkey, original.coldkey.hex());
            assert_eq!(
                (neuron.stake, neuron.validator_permit),
                (original.stake, original.permit)
            );
            assert_eq!(
                (&neuron.weights, &neuron.bonds),
                (&original.weights, &original.bonds)
            );
        }
    }

    #[test]
    fn only_a_miner_of_the_metagraph_can_be_another_program() {
        let assignment = UidAssignment::of_metagraph_file(&metagraph_file(), 2, &Seed::root(1))
            .expect("three have a permit");
        let named = |uid: u32| {
            let mut experiment = Experiment::default();
            experiment.network.miners.push(MinerGroup {
                uids: Uids::from(uid),
                label: None,
                control: None,
                behaviour: None,
                over: Vec::new(),
                latency: None,
                address: None,
                hotkey: None,
                command: vec!["miner.py".to_owned()],
            });
            assignment.check(&experiment)
        };
        for uid in [1, 4] {
            named(uid).expect("it is a miner");
        }
        for (uid, kind) in [(0, "a validator"), (2, "a validator"), (3, "inactive")] {
            let error = named(uid).expect_err("it is no miner");
            assert_eq!(error.path, ["network", "miners", "0", "uids"]);
            assert!(error.to_string().contains(kind), "{error}");
        }
    }

    #[test]
    fn a_metagraph_with_more_neurons_than_the_chain_allows_is_an_error() {
        let assignment = UidAssignment::of_metagraph_file(&metagraph_file(), 2, &Seed::root(1))
            .expect("three have a permit");
        let neurons = metagraph_file().neurons.len() as u32;
        let mut experiment = Experiment::default();
        experiment.network.hyperparameters.max_allowed_uids = Some(neurons);
        assignment
            .check(&experiment)
            .expect("the chain allows every neuron");
        experiment.network.hyperparameters.max_allowed_uids = Some(neurons - 1);
        let error = assignment.check(&experiment).expect_err("one neuron is too many");
        assert_eq!(error.path, ["network", "hyperparameters", "max_allowed_uids"]);
        assert!(error.to_string().contains("`max_allowed_uids` allows"), "{error}");
    }
}
