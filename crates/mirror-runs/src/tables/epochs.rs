//! `epochs`: one row a neuron and epoch of the chain.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, address, columns, share};

columns! {
    /// What an epoch found of a neuron, and paid it. Shares are from 0 to 1, each a whole number of 65,535ths as the
    /// chain stores it.
    pub struct EpochRow {
        /// which of the chain's epochs, from 1
        pub epoch: u64,
        /// block that it came with
        pub block: u64,
        /// the neuron's place in the subnet; validators follow the miners
        pub uid: u32,
        /// who spoke for the uid at the time, an ss58 address
        pub hotkey: String,
        /// who owns the hotkey, an ss58 address
        pub coldkey: String,
        /// rao, its owner's and its nominators', when the epoch had paid: the epoch weighed `server_emission` and
        /// `validator_emission` less
        pub stake: u64,
        /// the same as `incentive`; 0 under the rules of today, which know no rank
        pub rank: f32,
        /// share of the weights given to it that was within consensus; 0 under the rules of today
        pub trust: f32,
        /// weight that validators agree on for it
        pub consensus: f32,
        /// its share of what is paid for what was given to it; those of an epoch sum to 1, but for rounding, or are all
        /// 0
        pub incentive: f32,
        /// its share of what is paid for what it gave; their sum is likewise
        pub dividends: f32,
        /// rao, by its one share of incentive and dividends together, as the metagraph has it; what is paid may differ
        /// from it by what rounding takes
        pub emission: u64,
        /// rao paid for incentive
        pub server_emission: u64,
        /// rao paid for dividends, or for stake where nobody earned; nominators' shares included
        pub validator_emission: u64,
        /// share of the weights that it gave that was within consensus
        pub validator_trust: f32,
        /// whether it may set weights for others until the next epoch
        pub validator_permit: bool,
        /// whether it had set weights within the activity cutoff; a newcomer has
        pub active: bool,
        /// emission beside the largest, which has 1; who has the lowest is replaced first; 0 under the rules of today
        pub pruning_score: f32,
    }
}

impl Row for EpochRow {
    const TABLE: &'static str = "epochs";
    const ABOUT: &'static str = "one row a neuron and epoch of the chain";
    const TIMING: &'static [&'static str] = &[];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        let Some(Kind::Epoch(epoch)) = &record.kind else {
            return;
        };
        rows.extend((epoch.first_uid..).zip(&epoch.neurons).map(|(uid, neuron)| Self {
            epoch: epoch.epoch,
            block: epoch.block,
            uid,
            hotkey: address(&neuron.hotkey),
            coldkey: address(&neuron.coldkey),
            stake: neuron.stake,
            rank: share(neuron.rank),
            trust: share(neuron.trust),
            consensus: share(neuron.consensus),
            incentive: share(neuron.incentive),
            dividends: share(neuron.dividends),
            emission: neuron.emission,
            server_emission: neuron.server_emission,
            validator_emission: neuron.validator_emission,
            validator_trust: share(neuron.validator_trust),
            validator_permit: neuron.validator_permit,
            active: neuron.active,
            pruning_score: share(neuron.pruning_score),
        }));
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.epoch.cmp(&other.epoch)).then_with(|| self.uid.cmp(&other.uid))
    }

    fn identity(&self) -> String {
        format!("epoch {}, uid {}", self.epoch, self.uid)
    }
}
