//! Plot of the trust by uid in the chain's last epoch.

use super::{NO_EPOCH, NothingToDraw, Plot};
use crate::chart::{Axis, BarMode, Color, Figure, Scale, Trace, Values};
use crate::collect::epochs::Earned;
use crate::numbers::{count, counted};
use crate::run_data::RunData;

pub(super) struct TrustByUid;

impl Plot for TrustByUid {
    fn name(&self) -> &'static str {
        "trust_by_uid"
    }

    fn title(&self) -> &'static str {
        "Trust by uid"
    }

    fn explain(&self) -> &'static str {
        "Share of the weights set for a uid (trust) and by a uid (validator trust) that was within consensus in the \
         chain's last epoch. The rest was clipped and earned nothing."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let epochs = &data.epochs;
        if epochs.uids.is_empty() {
            return Err(NO_EPOCH.into());
        }
        let bars = |name: &str, color, of: fn(&Earned) -> Option<f64>| {
            let shares = epochs.uids.values().map(of);
            Trace::bars(name, color, Values::uids(epochs.uids.keys()), shares.collect())
        };
        let is_known = |earned: &Earned| earned.trust.is_some() || earned.validator_trust.is_some();
        if !epochs.uids.values().any(is_known) {
            return Err("the version that recorded the run did not record the trust".into());
        }
        Ok(Figure {
            x: Axis::uids(),
            y: Axis::new("share of weights", Scale::Share),
            traces: vec![
                bars("trust", Color::Main, |earned| earned.trust),
                bars("validator trust", Color::Behind, |earned| earned.validator_trust),
            ],
            bars: BarMode::Group,
            alternative: format!(
                "Bars of the trust and the validator trust of {} at epoch {}.",
                counted(epochs.uids.len() as u64, "uid", "uids"),
                count(epochs.last)
            ),
            ..Figure::default()
        })
    }
}
