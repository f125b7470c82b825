//! Draws a point for each uid, coloured by label.

use std::collections::BTreeMap;

use crate::chart::{Color, Data, Trace, Values};
use crate::run_data::RunData;

/// The points of one label.
#[derive(Default)]
struct Points {
    uids: Vec<u32>,
    x: Vec<f64>,
    y: Vec<f64>,
}

/// Returns a trace for each label. A point is a uid with its position on both axes.
pub(super) fn by_label(data: &RunData, points: impl IntoIterator<Item = (u32, f64, f64)>) -> Vec<Trace> {
    let mut labels: BTreeMap<_, Points> = BTreeMap::new();
    for (uid, x, y) in points {
        let of_label = labels.entry(data.label(uid)).or_default();
        of_label.uids.push(uid);
        of_label.x.push(x);
        of_label.y.push(y);
    }
    let trace = |(number, ((_, label), points)): (usize, ((_, &str), Points))| {
        let text = points.uids.iter().map(|uid| format!("uid {uid}")).collect();
        let data = Data::Points {
            x: Values::Numbers(points.x),
            y: Values::Numbers(points.y),
            uids: points.uids,
            shade: Vec::new(),
            text,
        };
        Trace::new(label, Color::Series(number), data)
    };
    labels.into_iter().enumerate().map(trace).collect()
}
