//! Plot of the time of steps by uid on the critical path.

use super::{NO_STEP_TRACE, NothingToDraw, Plot};
use crate::chart::{Axis, Color, Data, Figure, Scale, Trace, Values};
use crate::numbers::{counted, percent};
use crate::run_data::RunData;

pub(super) struct CriticalPathByUid;

impl Plot for CriticalPathByUid {
    fn name(&self) -> &'static str {
        "critical_path_by_uid"
    }

    fn title(&self) -> &'static str {
        "Time of steps by uid"
    }

    fn explain(&self) -> &'static str {
        "Share of the calls to each uid in the critical paths of all steps, and the share that would be saved if the \
         calls of the uid that ended last had ended together with the last call of another uid."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let breakdown = &data.traces.breakdown;
        if breakdown.traces() == 0 {
            return Err(NO_STEP_TRACE.into());
        }
        let longest_first = breakdown.uids();
        let Some(first) = longest_first.first() else {
            return Err("no step waited for a call".into());
        };
        let mut uids = longest_first.clone();
        uids.sort_by_key(|of_uid| of_uid.uid);
        let share = |ns: i128| Some(breakdown.share(ns));
        let numbers: Vec<u32> = uids.iter().map(|of_uid| of_uid.uid).collect();
        let waited = Data::Bars {
            x: Values::uids(&numbers),
            y: uids.iter().map(|of_uid| share(of_uid.path_ns)).collect(),
            half_widths: Vec::new(),
            text: uids
                .iter()
                .map(|of_uid| format!("most of it: {}", of_uid.main_phase.name()))
                .collect(),
        };
        let saved = uids.iter().map(|of_uid| share(of_uid.saved_ns)).collect();
        let percent = |ns| percent(breakdown.share(ns));
        Ok(Figure {
            x: Axis::uids(),
            y: Axis::new("share of the time of steps", Scale::Share),
            traces: vec![
                Trace::new("waited for", Color::Behind, waited),
                Trace::bars("could be saved", Color::Main, Values::uids(&numbers), saved),
            ],
            alternative: format!(
                "Bars of the time of steps by uid for {}: the largest is uid {} with {}.",
                counted(uids.len() as u64, "uid", "uids"),
                first.uid,
                percent(first.path_ns)
            ),
            note: format!(
                "The steps waited longest for uid {}: {} of their time, most of it in the phase {}; {} could be saved.",
                first.uid,
                percent(first.path_ns),
                first.main_phase.name(),
                percent(first.saved_ns)
            ),
            ..Figure::default()
        })
    }
}
