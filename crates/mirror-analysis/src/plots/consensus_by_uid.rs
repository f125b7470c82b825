//! Plot of the consensus by uid over the chain's epochs.

use mirror_runs::NeuronKind;

use super::{Gaps, Heat, NO_EPOCH, NothingToDraw, Plot, heat_map};
use crate::chart::{Figure, Scale};
use crate::run_data::RunData;

pub(super) struct ConsensusByUid;

impl Plot for ConsensusByUid {
    fn name(&self) -> &'static str {
        "consensus_by_uid"
    }

    fn title(&self) -> &'static str {
        "Consensus by uid over epochs"
    }

    fn explain(&self) -> &'static str {
        "Weight on which the validators agree for each miner, by epoch of the chain. Weights above it are clipped."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let heat = Heat {
            value: "consensus",
            position: "epoch",
            scale: Scale::Epoch,
            gaps: Gaps::Closed,
            blank: "was not in the subnet, or the version that recorded the run did not record it",
        };
        let miners = data.epochs.uids.iter();
        let miners = miners.filter(|(uid, _)| data.label(**uid).0 == NeuronKind::Miner);
        let series = miners.map(|(&uid, earned)| (uid, &earned.consensus_over_time));
        heat_map(&series.collect(), &heat).ok_or(NO_EPOCH.into())
    }
}
