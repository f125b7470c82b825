//! What a validator says to the chain of the weights that it has computed: in the open, as a commitment, and as the
//! reveal of that.

use mirror_chain::{Commitment, RevealPeriod, Uid, Weights};
use mirror_proto::mirror::v1::{CommitWeights, RevealWeights, SetWeights, WeightsSet};
use rand::RngExt;

use crate::neuron::Neuron;
use crate::weights::{Processed, to_u16};

/// Numbers of a salt, as many as bittensor draws.
const SALT_NUMBERS: usize = 8;

impl Neuron {
    /// When commitments are revealed; `None` where weights are set in the open.
    pub(crate) fn reveal_period(&self) -> Option<RevealPeriod> {
        let hyperparameters = &self.metagraph.hyperparameters;
        Some(RevealPeriod {
            netuid: self.launch.netuid,
            tempo: hyperparameters.tempo,
            epochs: hyperparameters.reveal_epochs()?,
        })
    }

    /// Weights in the open.
    pub(crate) fn said(&self, record: &WeightsSet) -> SetWeights {
        let (uids, weights) = to_u16(&Processed {
            uids: record.uids.clone(),
            weights: record.weights.clone(),
        });
        SetWeights {
            uids,
            weights,
            version_key: self.launch.neuron.version_key,
        }
    }

    /// Weights that nobody can read yet.
    pub(crate) fn committed(&self, record: &WeightsSet) -> CommitWeights {
        let SetWeights {
            uids,
            weights,
            version_key,
        } = self.said(record);
        let weights = Weights {
            uids: uids.into_iter().map(|uid| Uid(uid as u16)).collect(),
            weights: weights.into_iter().map(|weight| weight as u16).collect(),
            version_key,
        };
        let hotkey = self.key.public();
        let commitment = Commitment::new(&hotkey, self.launch.netuid, &weights, &self.salt(record));
        CommitWeights {
            commitment: commitment.0.to_vec(),
        }
    }

    /// What was committed to.
    pub(crate) fn revealed(&self, record: &WeightsSet) -> RevealWeights {
        RevealWeights {
            weights: Some(self.said(record)),
            salt: self.salt(record).into_iter().map(u32::from).collect(),
        }
    }

    /// Drawn about the block of the commitment, so that whoever has the seed draws it again.
    fn salt(&self, record: &WeightsSet) -> [u16; SALT_NUMBERS] {
        let own = self.seed.numbered_child("validator", self.launch.index.into());
        let mut generator = own.numbered_child("salt", record.block).generator();
        std::array::from_fn(|_| generator.random())
    }
}
