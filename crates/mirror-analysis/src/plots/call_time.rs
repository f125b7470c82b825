//! Plot of the duration of a forward by step.

use super::{NothingToDraw, Plot, merged_note};
use crate::chart::{Axis, Color, Figure, Scale, Trace};
use crate::moments::Range;
use crate::numbers::duration;
use crate::run_data::RunData;

pub(super) struct CallTime;

impl Plot for CallTime {
    fn name(&self) -> &'static str {
        "call_time"
    }

    fn title(&self) -> &'static str {
        "Call time by step"
    }

    fn explain(&self) -> &'static str {
        "Duration of a forward, from the choice of the uids to its event: the mean over the forwards of a step, with a \
         band from the fastest to the slowest."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let series = &data.events.call_time;
        let filled: Vec<(f64, f64, (f64, f64))> = series
            .bins()
            .filter_map(|(step, range): (f64, &Range)| Some((step, range.mean()?, range.bounds()?)))
            .collect();
        if filled.is_empty() {
            return Err("the duration of no forward is known".into());
        }
        let bounds = filled.iter().map(|(.., bounds)| *bounds);
        let (least, greatest) = bounds.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), bounds| {
            (low.min(bounds.0), high.max(bounds.1))
        });
        let milliseconds = |seconds: f64| seconds * 1e3;
        let band = filled
            .iter()
            .map(|(step, _, (low, high))| (*step, (milliseconds(*low), milliseconds(*high))));
        let means = filled.iter().map(|(step, mean, _)| (*step, milliseconds(*mean)));
        Ok(Figure {
            x: Axis::new("step", Scale::Step),
            y: Axis::linear("milliseconds"),
            traces: vec![
                Trace::band("fastest to slowest", Color::Main, band),
                Trace::line("mean", Color::Main, means),
            ],
            alternative: format!(
                "Line of the duration of a forward by step, between {} and {}.",
                duration(least),
                duration(greatest)
            ),
            note: merged_note(series.width(), "step"),
            ..Figure::default()
        })
    }
}
