//! Draws histograms over the uids.

use std::num::NonZeroUsize;

use mirror_statistics::histogram;

use super::{FIFTH_NAMES, NothingToDraw};
use crate::chart::{Axis, BarMode, Color, Figure, Trace, Values};
use crate::collect::FIFTHS;
use crate::moments::Mean;
use crate::numbers::{counted, value};

/// Number of bins.
const BINS: NonZeroUsize = NonZeroUsize::new(20).unwrap();

/// Draws the histogram of one mean for each uid, with 20 bins. `quantity` names the mean: `mean reward`.
pub(super) fn of_means(means: &[f64], quantity: &str) -> Result<Figure, NothingToDraw> {
    let edges = edges(means, quantity)?;
    let counts = counts(means, &edges);
    Ok(Figure {
        x: Axis::linear(quantity),
        y: Axis::linear("uids"),
        traces: vec![Trace::bars("uids", Color::Main, middles(&edges), counts)],
        alternative: format!(
            "Histogram of the {quantity} of {}, between {} and {}.",
            counted(means.len() as u64, "uid", "uids"),
            value(edges[0]),
            value(edges[edges.len() - 1])
        ),
        ..Figure::default()
    })
}

/// Draws the stacked histograms of the means of each uid in each fifth of the run, all with the same 20 bins.
pub(super) fn by_fifth(
    uids: impl Iterator<Item = [Mean; FIFTHS]>,
    quantity: &str,
) -> Result<Figure, NothingToDraw> {
    let mut fifths: [Vec<f64>; FIFTHS] = Default::default();
    for means in uids {
        for (fifth, mean) in fifths.iter_mut().zip(means) {
            fifth.extend(mean.mean());
        }
    }
    let all: Vec<f64> = fifths.iter().flatten().copied().collect();
    let edges = edges(&all, quantity)?;
    let filled = FIFTH_NAMES.iter().zip(&fifths).enumerate();
    let filled = filled.filter(|(_, (_, means))| !means.is_empty());
    let bars = |(number, (name, means)): (usize, (&&str, &Vec<f64>))| {
        Trace::bars(
            *name,
            Color::Series(number),
            middles(&edges),
            counts(means, &edges),
        )
    };
    let traces: Vec<Trace> = filled.map(bars).collect();
    if traces.len() < 2 {
        return Err(NothingToDraw(format!(
            "only one fifth of the run has a {quantity}"
        )));
    }
    Ok(Figure {
        x: Axis::linear(quantity),
        y: Axis::linear("uids"),
        alternative: format!(
            "Stacked histograms of the {quantity} by uid in {} fifths of the run, between {} and {}.",
            traces.len(),
            value(edges[0]),
            value(edges[edges.len() - 1])
        ),
        traces,
        bars: BarMode::Stack,
        ..Figure::default()
    })
}

/// Returns the edges of bins from the least to the greatest value.
fn edges(values: &[f64], quantity: &str) -> Result<Vec<f64>, NothingToDraw> {
    if values.is_empty() {
        return Err(NothingToDraw(format!("no uid has a {quantity}")));
    }
    if values.iter().all(|value| *value == values[0]) {
        return Err(NothingToDraw(format!("all uids have the same {quantity}")));
    }
    let histogram = histogram(values, BINS);
    let histogram =
        histogram.ok_or_else(|| NothingToDraw(format!("the range of the {quantity} is not finite")))?;
    Ok(histogram.edges)
}

/// Returns the number of values in each bin. A bin contains its lower edge, and the last bin both its edges.
fn counts(values: &[f64], edges: &[f64]) -> Vec<Option<f64>> {
    let mut counts = vec![0.0; edges.len() - 1];
    for value in values {
        let bin = edges.partition_point(|edge| edge <= value).saturating_sub(1);
        counts[bin.min(edges.len() - 2)] += 1.0;
    }
    counts.into_iter().map(Some).collect()
}

fn middles(edges: &[f64]) -> Values {
    Values::Numbers(
        edges
            .windows(2)
            .map(|edges| f64::midpoint(edges[0], edges[1]))
            .collect(),
    )
}
