//! Plot of the correlation of scores with rewards over time.

use super::{NO_SCORE, NothingToDraw, Plot, merged_note};
use crate::chart::{Axis, Color, Figure, Scale, Trace, Values};
use crate::collect::agreement::{self, WINDOW};
use crate::moments::Mean;
use crate::run_data::RunData;
use crate::series::Series;

pub(super) struct Correlation;

impl Plot for Correlation {
    fn name(&self) -> &'static str {
        "correlation"
    }

    fn title(&self) -> &'static str {
        "Correlation of scores with rewards"
    }

    fn explain(&self) -> &'static str {
        "Correlation of the gating model's scores with the rewards of the called uids. The lines are means \
         over ten forwards of a validator, and the points in the background are single forwards. With several \
         validators, the value is the mean over them. A line passes over places where one of ten correlations is \
         undefined."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let pearson = traces("Pearson", Color::Series(0), &data.agreement.pearson);
        let spearman = traces("Spearman", Color::Series(1), &data.agreement.spearman);
        let traces: Vec<Trace> = pearson.into_iter().chain(spearman).collect();
        if traces.is_empty() {
            return Err(if data.scores.uids.is_empty() {
                NO_SCORE.into()
            } else {
                "no forward has several rewards of which the rewards and the scores differ".into()
            });
        }
        Ok(Figure {
            x: Axis::new("forward", Scale::Forward),
            y: Axis::linear("correlation"),
            traces,
            alternative: format!(
                "Lines of the correlation of scores with rewards by Pearson and Spearman, as means over {WINDOW} \
                 forwards."
            ),
            note: merged_note(data.agreement.pearson.each.width(), "forward"),
            ..Figure::default()
        })
    }
}

/// Returns the correlations of single forwards in the background, and their means over ten forwards. Either is left out
/// if it has no value.
fn traces(name: &str, color: Color, correlation: &agreement::Correlation) -> Vec<Trace> {
    let known = |series: &Series<Mean>| -> (Vec<f64>, Vec<f64>) {
        series
            .bins()
            .filter_map(|(x, mean)| Some((x, mean.mean()?)))
            .unzip()
    };
    let mut traces = Vec::new();
    let (x, y) = known(&correlation.each);
    if !x.is_empty() {
        let name = format!("{name}, single forwards");
        traces.push(Trace::points(
            name,
            Color::Behind,
            Values::Numbers(x),
            Values::Numbers(y),
        ));
    }
    let (x, y) = known(&correlation.rolling);
    if !x.is_empty() {
        traces.push(Trace::line(name, color, x.into_iter().zip(y)));
    }
    traces
}
