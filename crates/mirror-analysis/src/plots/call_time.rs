//! Plot of the duration of a forward by step.

use plotly::Scatter;
use plotly::common::{Fill, Line, Mode};
use plotly::layout::Layout;

use super::{BARS_HEIGHT, Figure, MAIN, NothingToDraw, Plot, axis, chart};
use crate::moments::Range;
use crate::numbers::{duration, rounded};
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
            return Err(NothingToDraw("no forward was made"));
        }
        let least = filled
            .iter()
            .map(|(.., bounds)| bounds.0)
            .fold(f64::INFINITY, f64::min);
        let greatest = filled
            .iter()
            .map(|(.., bounds)| bounds.1)
            .fold(f64::NEG_INFINITY, f64::max);
        let steps: Vec<f64> = filled.iter().map(|(step, ..)| *step).collect();
        let milliseconds = |seconds: f64| rounded(seconds * 1e3);
        let line = |values: Vec<f64>, name: &str, width: f64| {
            Scatter::new(steps.clone(), values)
                .name(name)
                .mode(if steps.len() == 1 {
                    Mode::Markers
                } else {
                    Mode::Lines
                })
                .line(Line::new().color(MAIN).width(width))
                .hover_template("step %{x}<br>%{y:.4g} ms")
        };
        let quickest = filled.iter().map(|(.., bounds)| milliseconds(bounds.0)).collect();
        let slowest = filled.iter().map(|(.., bounds)| milliseconds(bounds.1)).collect();
        let means = filled.iter().map(|(_, mean, _)| milliseconds(*mean)).collect();
        let layout = Layout::new()
            .x_axis(axis("step").zero_line(false))
            .y_axis(axis("milliseconds"));
        let mut chart = chart(layout);
        chart.add_trace(line(quickest, "fastest", 0.0).show_legend(false));
        chart.add_trace(
            line(slowest, "slowest", 0.0)
                .show_legend(false)
                .fill(Fill::ToNextY)
                .fill_color("rgba(59, 125, 216, 0.22)"),
        );
        chart.add_trace(line(means, "mean", 1.5).show_legend(false));
        let note = match series.width() {
            1 => String::new(),
            width => format!("Each point represents {width} steps."),
        };
        Ok(Figure {
            chart,
            height: BARS_HEIGHT,
            alternative: format!(
                "Line of the duration of a forward by step, between {} and {}.",
                duration(least),
                duration(greatest)
            ),
            note,
        })
    }
}
