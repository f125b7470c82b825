//! Plot of the time of steps by phase of the critical path.

use super::{NO_STEP_TRACE, NothingToDraw, Plot};
use crate::chart::{Axis, Color, Data, Figure, Scale, Trace, Values};
use crate::numbers::{counted, duration, percent};
use crate::run_data::RunData;

/// Number of phases that the note names.
const NAMED: usize = 3;

pub(super) struct CriticalPathByPhase;

impl Plot for CriticalPathByPhase {
    fn name(&self) -> &'static str {
        "critical_path_by_phase"
    }

    fn title(&self) -> &'static str {
        "Time of steps by phase"
    }

    fn explain(&self) -> &'static str {
        "Share of each phase in the critical paths of all steps: the time in which a step waited for this work and \
         nothing else. The shares add up to the whole time of the steps."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let breakdown = &data.traces.breakdown;
        let phases = breakdown.phases();
        if phases.is_empty() {
            return Err(NO_STEP_TRACE.into());
        }
        let shares = || phases.iter().map(|(_, ns)| breakdown.share(*ns));
        let words = phases.iter().zip(shares());
        let words = words.map(|((phase, _), share)| format!("{} {}", phase.name(), percent(share)));
        let words: Vec<String> = words.collect();
        let bars = Data::Bars {
            x: Values::Words(phases.iter().map(|(phase, _)| phase.name().to_owned()).collect()),
            y: shares().map(Some).collect(),
            half_widths: Vec::new(),
            text: phases.iter().map(|(_, ns)| duration(*ns as f64 / 1e9)).collect(),
        };
        Ok(Figure {
            x: Axis::new("phase", Scale::Words),
            y: Axis::new("share of the time of steps", Scale::Share),
            traces: vec![Trace::new("share", Color::Main, bars)],
            alternative: format!("Bars of the time of steps by phase: {}.", words.join(", ")),
            note: format!(
                "Of the {} of {}, the most was spent in {}.",
                duration(breakdown.total_ns() as f64 / 1e9),
                counted(breakdown.traces(), "traced step", "traced steps"),
                words[..words.len().min(NAMED)].join(", ")
            ),
            ..Figure::default()
        })
    }
}
