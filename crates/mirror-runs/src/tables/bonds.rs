//! `bonds`: one row a bond after an epoch of the chain.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns, share};

columns! {
    /// What a validator has in a miner after an epoch: what it gave that one over past epochs. Pairs without a bond
    /// have no row.
    pub struct BondRow {
        /// which of the chain's epochs, from 1
        pub epoch: u64,
        /// block that it came with
        pub block: u64,
        /// uid of who has the bond
        pub validator: u32,
        /// uid of whom it is in
        pub miner: u32,
        /// above 0, a whole number of 65,535ths; the largest in a miner is 1, under `yuma3` the moving average itself
        pub bond: f32,
    }
}

impl Row for BondRow {
    const TABLE: &'static str = "bonds";
    const ABOUT: &'static str = "one row a bond after an epoch of the chain";
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
