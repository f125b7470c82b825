//! Plot of the incentive by uid over the chain's epochs.

use super::{Gaps, Heat, NO_EPOCH, NothingToDraw, Plot, heat_map};
use crate::chart::{Figure, Scale};
use crate::run_data::RunData;

pub(super) struct IncentiveByUid;

impl Plot for IncentiveByUid {
    fn name(&self) -> &'static str {
        "incentive_by_uid"
    }

    fn title(&self) -> &'static str {
        "Incentive by uid over epochs"
    }

    fn explain(&self) -> &'static str {
        "Share of each uid in the emission to miners, by epoch of the chain. Uids that earn only dividends are \
         omitted."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let heat = Heat {
            value: "incentive",
            position: "epoch",
            scale: Scale::Epoch,
            gaps: Gaps::Closed,
            blank: "was not in the subnet, or earned only dividends",
        };
        let series = data.epochs.uids.iter();
        let series = series
            .map(|(&uid, earned)| (uid, &earned.incentive_over_time))
            .filter(|(_, series)| !series.is_empty());
        heat_map(&series.collect(), &heat).ok_or(NO_EPOCH.into())
    }
}
