//! The calls with which a validator submits weights to the chain: in the open, as a commitment, and as the reveal of a
//! commitment.

use mirror_chain::{Commitment, Uid, Weights};
use mirror_identity::Hotkey;
use mirror_proto::mirror::v1::{CommitWeights, RevealWeights, SetWeights, WeightsSet};
use mirror_seed::Seed;
use rand::RngExt;

use crate::weights::{ProcessedWeights, to_u16};

/// Number of integers in a salt, as in bittensor.
const SALT_NUMBERS: usize = 8;

/// Builds the calls of one validator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WeightsCalls {
    pub(crate) hotkey: Hotkey,
    pub(crate) netuid: u16,
    pub(crate) version_key: u64,
    /// The validator's random seed, from which salts are drawn.
    pub(crate) seed: Seed,
}

impl WeightsCalls {
    /// Builds the call that sets weights in the open.
    pub(crate) fn set(&self, record: &WeightsSet) -> SetWeights {
        let (uids, weights) = to_u16(&ProcessedWeights {
            uids: record.uids.clone(),
            weights: record.weights.clone(),
        });
        SetWeights {
            uids,
            weights,
            version_key: self.version_key,
        }
    }

    /// Builds the call that commits to weights without disclosing them.
    pub(crate) fn commit(&self, record: &WeightsSet) -> CommitWeights {
        let SetWeights {
            uids,
            weights,
            version_key,
        } = self.set(record);
        let weights = Weights {
            uids: uids.into_iter().map(|uid| Uid(uid as u16)).collect(),
            weights: weights.into_iter().map(|weight| weight as u16).collect(),
            version_key,
        };
        let commitment = Commitment::new(&self.hotkey, self.netuid, &weights, &self.salt(record));
        CommitWeights {
            commitment: commitment.0.to_vec(),
        }
    }

    /// Builds the call that reveals committed weights.
    pub(crate) fn reveal(&self, record: &WeightsSet) -> RevealWeights {
        RevealWeights {
            weights: Some(self.set(record)),
            salt: self.salt(record).into_iter().map(u32::from).collect(),
        }
    }

    /// Draws the salt of a commitment from its block, so that a restarted validator draws the same one.
    fn salt(&self, record: &WeightsSet) -> [u16; SALT_NUMBERS] {
        let mut generator = self.seed.numbered_child("salt", record.block).generator();
        std::array::from_fn(|_| generator.random())
    }
}
