//! Plot of the most frequent completions over time.

use super::rates::{note, rates, unit};
use super::{NO_START, NothingToDraw, Plot};
use crate::chart::{Axis, Color, Figure, Scale, Trace};
use crate::moments::Count;
use crate::numbers::{count, counted, shortened};
use crate::run_data::RunData;
use crate::series::Series;

/// Maximum number of completions.
const MAX_TEXTS: usize = 20;

/// Maximum number of characters of a completion in the legend.
const LONGEST_NAME: usize = 40;

pub(super) struct MessageRates;

impl Plot for MessageRates {
    fn name(&self) -> &'static str {
        "message_rates"
    }

    fn title(&self) -> &'static str {
        "Most frequent completions over time"
    }

    fn explain(&self) -> &'static str {
        "Number of occurrences of each of the 20 most frequent completions over the time since the start of \
         the first event."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let completions = &data.texts.completions;
        let top = completions.top(MAX_TEXTS);
        let Some((_, first)) = top.first() else {
            return Err("no call succeeded".into());
        };
        if first.count < 2 {
            return Err("no completion occurred twice".into());
        }
        let over_time: Vec<Series<Count>> = top.iter().map(|(_, counted)| counted.item.over_time()).collect();
        let series: Vec<&Series<Count>> = over_time.iter().collect();
        let (Some(duration), true) = (
            data.events.duration(),
            series.iter().any(|series| !series.is_empty()),
        ) else {
            return Err(NO_START.into());
        };
        let unit = unit(duration);
        let rates = rates(&series, unit);
        if rates.x.len() < 2 {
            return Err("all events with these completions started in one second".into());
        }
        let mut lines = Vec::new();
        for (number, ((_, counted), y)) in top.iter().zip(&rates.y).enumerate() {
            let name = shortened(counted.item.content.as_deref().unwrap_or("–"), LONGEST_NAME);
            let points = rates.x.iter().copied().zip(y.iter().copied());
            lines.push(Trace::line(name, Color::Series(number), points));
        }
        let exact = match completions.missed() {
            0 => String::new(),
            missed => format!(
                " A completion may have up to {} earlier occurrences.",
                count(missed)
            ),
        };
        Ok(Figure {
            x: Axis::new("seconds since the start", Scale::Second),
            y: Axis::linear(format!("occurrences per {}", unit.name)),
            traces: lines,
            alternative: format!(
                "Lines of the occurrences per {} of {}.",
                unit.name,
                counted(top.len() as u64, "completion", "completions")
            ),
            note: format!("{}{exact}", note(rates.width)),
            ..Figure::default()
        })
    }
}
