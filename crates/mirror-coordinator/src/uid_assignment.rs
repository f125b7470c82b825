//! Who plays which uid. Pure.
//!
//! Without a metagraph to start from, miners are uids 0 to `num_nodes`-1 and validators follow. With one, everybody
//! keeps the uid that it has there: of the permitted neurons, those who have weighed others come first and then those
//! with the most stake, and validators play the first of them; who is none of these and has weighed nobody is played by
//! a miner; the rest is played by nobody, and what it has said last stands. In a metagraph of a run with the same seed,
//! whoever was played by a validator that there is again is played by the same.
//!
//! The keys of a metagraph are other people's. A neuron that is played signs with a hotkey of our own, from the seed;
//! all coldkeys, and the hotkeys of those that nobody plays, are the metagraph's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};
use mirror_identity::{Hotkey, Owner, SecretKey};
use mirror_seed::Seed;
use mirror_snapshot::{Neuron, Snapshot};
use mirror_spec::Experiment;
use mirror_spec::launch::GenesisNeuron;

use crate::fault;

/// Who plays which uid.
#[derive(Debug, Clone)]
pub(crate) struct UidAssignment {
    /// uids played by miners.
    pub(crate) miners: BTreeSet<u32>,
    /// The uid of each validator.
    pub(crate) validators: Vec<u32>,
    /// Whoever may be asked has a smaller uid.
    pub(crate) askable: u32,
}

impl UidAssignment {
    /// Miners, then validators.
    pub(crate) fn in_order(miners: u32, validators: u32) -> Self {
        Self {
            miners: (0..miners).collect(),
            validators: (miners..miners + validators).collect(),
            askable: miners,
        }
    }

    /// Everybody under the uid of the metagraph.
    pub(crate) fn of_snapshot(snapshot: &Snapshot, validators: u32, seed: &Seed) -> anyhow::Result<Self> {
        let count = snapshot.neurons.len() as u32;
        let numbered = || (0..).zip(&snapshot.neurons);
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
                "`network.validators` is {validators}, and {permits} neurons of the metagraph have a permit"
            )
        })?;
        let silent = numbered().filter(|(_, neuron)| neuron.weights.is_empty());
        let miners: BTreeSet<u32> = silent
            .map(|(uid, _)| uid)
            .filter(|uid| !validators.contains(uid))
            .collect();
        ensure!(
            !miners.is_empty(),
            "every neuron of the metagraph that no validator plays has weighed others, and miners play those that have not"
        );
        Ok(Self {
            miners,
            validators,
            askable: count,
        })
    }

    /// Whose keys a uid has.
    fn owner(&self, uid: u32) -> Option<Owner> {
        if self.miners.contains(&uid) {
            return Some(Owner::Miner(uid));
        }
        let index = self.validators.iter().position(|validator| *validator == uid)?;
        Some(Owner::Validator(index as u32))
    }

    /// The hotkey of a uid that is played.
    pub(crate) fn hotkey(&self, seed: &Seed, uid: u32) -> Option<Hotkey> {
        Some(SecretKey::hotkey(seed, self.owner(uid)?).public())
    }

    /// The neurons of a metagraph, with hotkeys of ours where they are played.
    pub(crate) fn neurons(&self, snapshot: &Snapshot, seed: &Seed) -> Vec<GenesisNeuron> {
        let neuron = |(uid, neuron): (u32, &Neuron)| GenesisNeuron {
            hotkey: self.hotkey(seed, uid).unwrap_or(neuron.hotkey).hex(),
            coldkey: neuron.coldkey.hex(),
            stake: neuron.stake,
            validator_permit: neuron.permit,
            weights: neuron.weights.clone(),
            bonds: neuron.bonds.clone(),
        };
        (0..).zip(&snapshot.neurons).map(neuron).collect()
    }

    /// What the file says of uids must be said of some that are there. Without a metagraph its check has seen to that.
    pub(crate) fn check(&self, experiment: &Experiment) -> anyhow::Result<()> {
        let groups = experiment.network.miners.iter().map(|group| &group.uids);
        for uids in groups.chain(experiment.faults.iter().map(fault::uids)) {
            if uids.greatest() >= self.askable {
                bail!(
                    "the file names uid {}, and the metagraph has {} neurons",
                    uids.greatest(),
                    self.askable
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mirror_identity::PublicKey;

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

    fn snapshot() -> Snapshot {
        let neurons = [(5, true), (0, false), (9, true), (5, true), (0, false)];
        Snapshot {
            neurons: (0..)
                .zip(neurons)
                .map(|(number, (stake, permit))| neuron(number, stake, permit))
                .collect(),
        }
    }

    #[test]
    fn the_permitted_with_most_stake_validate_and_who_has_weighed_nobody_answers() {
        let assignment =
            UidAssignment::of_snapshot(&snapshot(), 2, &Seed::root(1)).expect("three have a permit");
        // Of equal stakes the lower uid.
        assert_eq!(assignment.validators, [2, 0]);
        assert_eq!(assignment.miners, BTreeSet::from([1, 4]));
        let refused =
            UidAssignment::of_snapshot(&snapshot(), 4, &Seed::root(1)).expect_err("three have a permit");
        assert!(refused.to_string().contains("is 4, and 3 neurons"), "{refused}");

        // Who has weighed others goes before who has more stake; who is left then answers.
        let mut snapshot = snapshot();
        snapshot.neurons[2].weights.clear();
        let assignment =
            UidAssignment::of_snapshot(&snapshot, 2, &Seed::root(1)).expect("three have a permit");
        assert_eq!(assignment.validators, [0, 3]);
        assert_eq!(assignment.miners, BTreeSet::from([1, 2, 4]));

        // Who was played by `validator-0` is so again.
        snapshot.neurons[4].hotkey = SecretKey::hotkey(&Seed::root(1), Owner::Validator(0)).public();
        let assignment =
            UidAssignment::of_snapshot(&snapshot, 2, &Seed::root(1)).expect("three have a permit");
        assert_eq!(assignment.validators, [4, 0]);
    }

    #[test]
    fn who_is_played_signs_with_a_key_of_ours_and_keeps_all_else() {
        let seed = Seed::root(1);
        let assignment =
            UidAssignment::of_snapshot(&snapshot(), 2, &Seed::root(1)).expect("three have a permit");
        let neurons = assignment.neurons(&snapshot(), &seed);
        let ours = |owner| SecretKey::hotkey(&seed, owner).public().hex();
        assert_eq!(neurons[2].hotkey, ours(Owner::Validator(0)));
        assert_eq!(neurons[4].hotkey, ours(Owner::Miner(4)));
        // Uid 3 has a permit and is played by nobody.
        assert_eq!(neurons[3].hotkey, PublicKey::from_bytes([3; 32]).hex());
        for (neuron, original) in neurons.iter().zip(snapshot().neurons) {
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
}
