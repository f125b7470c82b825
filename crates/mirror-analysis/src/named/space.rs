//! Three columns of the events as a scatter plot in space.

use mirror_spec::{EmbeddingPlot, Scaler};

use super::in_words;
use crate::chart::{Color, Data, Figure, Height, Trace};
use crate::frame::Frame;
use crate::numbers::counted;
use crate::plots::NothingToDraw;
use crate::report::Plots;

/// Draws the plot `embedding_plot`.
pub(super) fn draw(frame: &Frame<'_>, plot: &EmbeddingPlot, plots: &mut Plots) {
    let names: Vec<String> = plot.columns.iter().map(|column| in_words(column)).collect();
    let title = format!("Events in space by {}", names.join(", "));
    let explain = "Each point is an event. A column of lists contributes the mean of its list.";
    plots.push(
        "embedding_plot",
        &title,
        explain,
        figure(frame, plot).map_err(NothingToDraw),
    );
}

fn figure(frame: &Frame<'_>, plot: &EmbeddingPlot) -> Result<Figure, String> {
    let [x, y, z] = plot.columns.as_slice() else {
        return Err(format!("it names {} columns instead of 3", plot.columns.len()));
    };
    let columns = [frame.column(x)?, frame.column(y)?, frame.column(z)?];
    let mut numbers = Vec::with_capacity(3);
    for column in &columns {
        let mut means = column
            .values
            .means()
            .ok_or_else(|| format!("`{}` is not a column of numbers", column.name))?;
        if plot.scaler == Some(Scaler::MinMax) {
            scale(&mut means);
        }
        numbers.push(means);
    }
    let mut points: [Vec<f64>; 3] = Default::default();
    for event in 0..frame.forwards().len() {
        if numbers.iter().all(|column| column[event].is_finite()) {
            for (coordinates, column) in points.iter_mut().zip(&numbers) {
                coordinates.push(column[event]);
            }
        }
    }
    let count = points[0].len();
    if count == 0 {
        return Err("no event has a value in all three columns".to_owned());
    }
    let scaled = match plot.scaler {
        Some(Scaler::MinMax) => "Each column is scaled to the range 0 to 1.",
        None => "",
    };
    let note = frame.notes(&columns.iter().collect::<Vec<_>>());
    let titles = columns.each_ref().map(|column| in_words(&column.name));
    let alternative = format!(
        "Scatter plot in space of {} by {}.",
        counted(count as u64, "event", "events"),
        titles.join(", ")
    );
    let [x, y, z] = points;
    Ok(Figure {
        traces: vec![Trace::new("events", Color::Main, Data::Space { x, y, z, titles })],
        height: Height(520),
        alternative,
        note: format!("{note}{scaled}").trim_end().to_owned(),
        ..Figure::default()
    })
}

/// Scales the finite numbers to the range 0 to 1, as scikit-learn's `MinMaxScaler` does. Equal numbers become 0.
fn scale(numbers: &mut [f64]) {
    let finite = || numbers.iter().copied().filter(|number| number.is_finite());
    let (least, most) = (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    );
    let width = if most > least { most - least } else { 1.0 };
    for number in numbers {
        *number = (*number - least) / width;
    }
}
