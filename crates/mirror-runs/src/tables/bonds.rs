//! `bonds`: one row per bond after an epoch of the chain.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns, share};

columns! {
    /// The bond of a validator in a miner after an epoch, which results from the weights that the validator gave the
    /// miner in past epochs. Pairs without a bond have no row.
    pub struct BondRow {
        /// Number of the epoch, from 1.
        pub epoch: u64,
        /// Block of the epoch.
        pub block: u64,
        /// Uid of the validator that has the bond.
        pub validator: u32,
        /// Uid of the miner.
        pub miner: u32,
        /// Bond above 0, a multiple of 1/65,535. The largest bond in a miner is 1; under `yuma3` it is the moving
        /// average itself.
        pub bond: f32,
    }
}

impl Row for BondRow {
    const TABLE: &'static str = "bonds";
    const ABOUT: &'static str = "one row per bond after an epoch of the chain";
    const TIMING: &'static [&'static str] = &[];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        let Some(Kind::Epoch(epoch)) = &record.kind else {
            return;
        };
        for (validator, neuron) in (epoch.first_uid..).zip(&epoch.neurons) {
            let bonds = neuron.bonded.iter().zip(&neuron.bonds);
            rows.extend(bonds.map(|(&miner, &bond)| Self {
                epoch: epoch.epoch,
                block: epoch.block,
                validator,
                miner,
                bond: share(bond),
            }));
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.epoch.cmp(&other.epoch))
            .then_with(|| self.validator.cmp(&other.validator))
            .then_with(|| self.miner.cmp(&other.miner))
    }

    fn identity(&self) -> String {
        format!(
            "epoch {}, of uid {} in uid {}",
            self.epoch, self.validator, self.miner
        )
    }
}
