//! `epochs`: one row per neuron and epoch of the chain.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, address, columns, share};

columns! {
    /// The result of an epoch for a neuron. Shares are from 0 to 1, in multiples of 1/65,535 as the chain stores them.
    pub struct EpochRow {
        /// Number of the epoch, from 1.
        pub epoch: u64,
        /// Block of the epoch.
        pub block: u64,
        /// The uid of the neuron. The uids of validators follow those of miners.
        pub uid: u32,
        /// The hotkey registered for the uid at the time, as an ss58 address.
        pub hotkey: String,
        /// The coldkey that owns the hotkey, as an ss58 address.
        pub coldkey: String,
        /// Stake of the owner and the nominators in rao, after the payments of the epoch. The stake used by the epoch
        /// was lower by `server_emission` and `validator_emission`.
        pub stake: u64,
        /// Equal to `incentive`. 0 under the current rules, which have no rank.
        pub rank: f32,
        /// Share of the weights set for the neuron that was within consensus. 0 under the current rules.
        pub trust: f32,
        /// Weight on which validators agree for the neuron.
        pub consensus: f32,
        /// Share of the emission for the weights that the neuron received. The incentives of an epoch sum to 1 except
        /// for rounding, or are all 0.
        pub incentive: f32,
        /// Share of the emission for the weights that the neuron set. The dividends of an epoch also sum to 1 or are
        /// all 0.
        pub dividends: f32,
        /// Emission in rao as shown in the metagraph, from the combined share of incentive and dividends. The amount
        /// paid may differ by rounding.
        pub emission: u64,
        /// Amount paid for incentive, in rao.
        pub server_emission: u64,
        /// Amount paid for dividends in rao, or for stake if no neuron earned incentive or dividends. It includes the
        /// shares of nominators.
        pub validator_emission: u64,
        /// Share of the weights set by the neuron that was within consensus.
        pub validator_trust: f32,
        /// Whether the neuron may set weights for others until the next epoch.
        pub validator_permit: bool,
        /// Whether the neuron has set weights within the activity cutoff. Newly registered neurons are active.
        pub active: bool,
        /// Emission relative to the largest emission, which has 1. The neuron with the lowest score is replaced first.
        /// 0 under the current rules.
        pub pruning_score: f32,
    }
}

impl Row for EpochRow {
    const TABLE: &'static str = "epochs";
    const ABOUT: &'static str = "one row per neuron and epoch of the chain";
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
