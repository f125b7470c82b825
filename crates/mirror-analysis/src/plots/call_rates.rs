//! Plot of the rates of calls to the most called uids.

use std::cmp::Reverse;

use super::{NO_START, NothingToDraw, Plot};
use crate::chart::{Axis, Color, Figure, Trace, Values};
use crate::collect::outcome::OutcomeCounts;
use crate::numbers::counted;
use crate::run_data::RunData;

/// Maximum number of uids.
const MAX_UIDS: usize = 20;

pub(super) struct CallRates;

impl Plot for CallRates {
    fn name(&self) -> &'static str {
        "call_rates"
    }

    fn title(&self) -> &'static str {
        "Rates of calls"
    }

    fn explain(&self) -> &'static str {
        "Calls per minute to each of the 20 most called uids, and successful calls per minute, over the whole \
         run."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let Some(duration) = data.events.duration().filter(|duration| *duration > 0.0) else {
            return Err(NO_START.into());
        };
        let mut called: Vec<(u32, OutcomeCounts)> = data
            .uids
            .iter()
            .map(|(uid, tally)| (*uid, tally.outcomes))
            .filter(|(_, outcomes)| outcomes.calls() > 0)
            .collect();
        if called.len() < 2 {
            return Err("fewer than two uids were called".into());
        }
        let all = called.len();
        called.sort_by_key(|(uid, outcomes)| (Reverse(outcomes.calls()), *uid));
        called.truncate(MAX_UIDS);
        let bars = |name, color, of: fn(&OutcomeCounts) -> u64| {
            let rates = called
                .iter()
                .map(|(_, outcomes)| Some(of(outcomes) as f64 / duration * 60.0));
            let uids = Values::uids(called.iter().map(|(uid, _)| uid));
            Trace::bars(name, color, uids, rates.collect())
        };
        let note = if all > MAX_UIDS {
            format!("Only the {MAX_UIDS} most called uids of {all} are shown.")
        } else {
            String::new()
        };
        Ok(Figure {
            x: Axis::uids(),
            y: Axis::linear("calls per minute"),
            traces: vec![
                bars("all", Color::Behind, OutcomeCounts::calls),
                bars("successful", Color::Main, OutcomeCounts::successes),
            ],
            alternative: format!(
                "Bars of the calls per minute to {}, all and successful.",
                counted(called.len() as u64, "uid", "uids")
            ),
            note,
            ..Figure::default()
        })
    }
}
