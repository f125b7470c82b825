//! Plot of the number of events over time.

use super::rates::{note, rates, unit};
use super::{NO_START, NothingToDraw, Plot};
use crate::chart::{Axis, Color, Figure, Scale, Trace};
use crate::numbers::{counted, duration as in_words};
use crate::run_data::RunData;

pub(super) struct Throughput;

impl Plot for Throughput {
    fn name(&self) -> &'static str {
        "throughput"
    }

    fn title(&self) -> &'static str {
        "Throughput"
    }

    fn explain(&self) -> &'static str {
        "Number of events of all validators over the time since the start of the first event."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let started = &data.events.started;
        let (Some(duration), false) = (data.events.duration(), started.is_empty()) else {
            return Err(NO_START.into());
        };
        let unit = unit(duration);
        let rates = rates(&[started], unit);
        if rates.x.len() < 2 {
            return Err("all events started in one second".into());
        }
        let points = rates.x.into_iter().zip(rates.y.into_iter().flatten());
        Ok(Figure {
            x: Axis::new("seconds since the start", Scale::Second),
            y: Axis::linear(format!("events per {}", unit.name)),
            traces: vec![Trace::line("events", Color::Main, points)],
            alternative: format!(
                "Line of the events per {}: {} in {}.",
                unit.name,
                counted(data.events.count, "event", "events"),
                in_words(duration)
            ),
            note: note(rates.width),
            ..Figure::default()
        })
    }
}
