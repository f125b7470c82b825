//! Draws several series over time as lines, with a bounded number of points.

use std::collections::BTreeMap;

use mirror_runs::NeuronKind;

use super::{NO_EPOCH, NothingToDraw};
use crate::chart::{Axis, Color, Figure, Scale, Trace};
use crate::collect::epochs::Earned;
use crate::moments::Mean;
use crate::numbers::counted;
use crate::run_data::RunData;
use crate::series::{Series, middle};

/// Maximum number of points of all lines of a plot. Positions are merged to stay below it.
const ALL_POINTS: usize = 20_000;

/// A series that is drawn as a line.
pub(super) struct Line<'a> {
    /// Name in the legend.
    pub(super) name: String,
    /// The uid to which the line belongs, if there is one.
    pub(super) uid: Option<u32>,
    pub(super) series: &'a Series<Mean>,
}

/// Draws lines over the same bins. Returns them with the number of positions that a point represents. Bins without a
/// value are left out, and so are lines without a point.
pub(super) fn draw(lines: &[Line<'_>]) -> (Vec<Trace>, u64) {
    let mut width = lines.iter().map(|line| line.series.width()).max().unwrap_or(1);
    let points = loop {
        let points: Vec<Vec<(f64, f64)>> = lines.iter().map(|line| points(line.series, width)).collect();
        if points.iter().map(Vec::len).sum::<usize>() <= ALL_POINTS
            || points.iter().all(|line| line.len() <= 1)
        {
            break points;
        }
        let Some(wider) = width.checked_mul(2) else {
            break points;
        };
        width = wider;
    };
    let drawn = lines.iter().zip(points).enumerate();
    let drawn = drawn.filter(|(_, (_, points))| !points.is_empty());
    let traces = drawn.map(|(number, (line, points))| Trace {
        uid: line.uid,
        ..Trace::line(&*line.name, Color::Series(number), points.into_iter())
    });
    (traces.collect(), width)
}

fn points(series: &Series<Mean>, width: u64) -> Vec<(f64, f64)> {
    let bins = (0..).zip(series.widened(width));
    bins.filter_map(|(bin, values)| Some((middle(bin, width), values.mean()?)))
        .collect()
}

/// Draws a quantity of the chain's epochs with a line for each validator.
pub(super) fn by_validator(
    data: &RunData,
    y: Axis,
    of: fn(&Earned) -> &Series<Mean>,
) -> Result<Figure, NothingToDraw> {
    if data.epochs.uids.is_empty() {
        return Err(NO_EPOCH.into());
    }
    let validators: BTreeMap<&u32, &Earned> = data
        .epochs
        .uids
        .iter()
        .filter(|(uid, _)| data.label(**uid).0 == NeuronKind::Validator)
        .collect();
    let line = |(uid, earned): (&u32, _)| Line {
        name: format!("uid {uid} ({})", data.label(*uid).1),
        uid: Some(*uid),
        series: of(earned),
    };
    let lines: Vec<Line<'_>> = validators.into_iter().map(line).collect();
    let (traces, width) = draw(&lines);
    if traces.is_empty() {
        return Err("no validator was in an epoch of the chain".into());
    }
    Ok(Figure {
        x: Axis::new("epoch", Scale::Epoch),
        alternative: format!(
            "Lines of {} over epochs for {}.",
            y.title,
            counted(traces.len() as u64, "validator", "validators")
        ),
        y,
        traces,
        note: super::merged_note(width, "epoch"),
        ..Figure::default()
    })
}
