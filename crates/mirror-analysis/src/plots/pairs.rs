//! Draws heat maps of pairs of uids.

use std::cmp::Reverse;

use super::CELLS;
use crate::chart::{Axis, Color, Data, Figure, Height, Trace};
use crate::collect::sharing::{MAX_UIDS, Pair};
use crate::numbers::counted;
use crate::run_data::RunData;

/// Draws a heat map with a row and a column for each uid that answered. A cell is blank if `of` returns `None` for its
/// pair, and on the diagonal. Returns `None` if all cells are blank.
pub(super) fn heat_map(data: &RunData, title: &str, of: fn(Pair) -> Option<f64>) -> Option<Figure> {
    let answered = data
        .uids
        .iter()
        .filter(|(_, tally)| tally.outcomes.successes() > 0);
    let mut uids: Vec<(u32, u64)> = answered
        .map(|(uid, tally)| (*uid, tally.outcomes.successes()))
        .collect();
    let all = uids.len();
    uids.retain(|(uid, _)| (*uid as usize) < MAX_UIDS);
    uids.sort_by_key(|(uid, successes)| (Reverse(*successes), *uid));
    uids.truncate(CELLS.isqrt());
    uids.sort_by_key(|(uid, _)| *uid);
    let cell = |one: u32, other: u32| {
        (one != other)
            .then(|| of(data.sharing.pair(one, other)))
            .flatten()
    };
    let row = |&(one, _): &(u32, u64)| -> Vec<Option<f64>> {
        uids.iter().map(|(other, _)| cell(one, *other)).collect()
    };
    let z: Vec<Vec<Option<f64>>> = uids.iter().map(row).collect();
    if z.iter().flatten().all(Option::is_none) {
        return None;
    }
    let mut note = String::new();
    if uids.len() < all {
        note = format!(
            "Only {} of {all} uids with the most answers are shown. ",
            uids.len()
        );
    }
    if data.sharing.incomplete {
        note += "The answers of some forwards were too many to compare all.";
    }
    let heat = Data::Heat {
        x: uids.iter().map(|(uid, _)| f64::from(*uid)).collect(),
        y: uids.iter().map(|(uid, _)| uid.to_string()).collect(),
        z,
        title: title.to_owned(),
    };
    Some(Figure {
        x: Axis::uids(),
        y: Axis::uids(),
        traces: vec![Trace::new(title, Color::Main, heat)],
        height: Height((160 + 18 * uids.len() as u32).clamp(340, 720)),
        alternative: format!(
            "Heat map of the {title} for the pairs of {}.",
            counted(uids.len() as u64, "uid", "uids")
        ),
        note: note.trim_end().to_owned(),
        ..Figure::default()
    })
}

/// Returns `part` of `whole` as a share. `None` if `whole` is 0.
pub(super) fn share(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}
