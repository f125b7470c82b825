//! Draws numbers of occurrences in the seconds of a run as rates.

use crate::moments::Count;
use crate::series::{Series, middle};

/// Maximum number of points of a line. Seconds are merged to stay below it.
const MAX_POINTS: usize = 100;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    /// Length in seconds.
    pub(super) seconds: f64,
}

/// Returns the unit for the rates of a run of `duration` seconds: seconds below 10 minutes, minutes below 10 hours, and
/// hours.
pub(super) fn unit(duration: f64) -> Unit {
    let (name, seconds) = if duration < 600.0 {
        ("second", 1.0)
    } else if duration < 36_000.0 {
        ("minute", 60.0)
    } else {
        ("hour", 3_600.0)
    };
    Unit { name, seconds }
}

/// Rates of several series over the same bins of time.
pub(super) struct Rates {
    /// Number of seconds of a bin.
    pub(super) width: u64,
    /// Middle of each bin in seconds.
    pub(super) x: Vec<f64>,
    /// Occurrences per unit in each bin, by series.
    pub(super) y: Vec<Vec<f64>>,
}

/// Returns the rates of series of occurrences by second. The last bin counts in full, even if the run ended in it.
pub(super) fn rates(series: &[&Series<Count>], unit: Unit) -> Rates {
    let mut width = series.iter().map(|series| series.width()).max().unwrap_or(1);
    let (bins, longest) = loop {
        let bins: Vec<Vec<Count>> = series.iter().map(|series| series.widened(width)).collect();
        let longest = bins.iter().map(Vec::len).max().unwrap_or(0);
        if longest <= MAX_POINTS {
            break (bins, longest);
        }
        width *= 2;
    };
    let rate = |count: Count| count.get() as f64 / width as f64 * unit.seconds;
    let row = |bins: &Vec<Count>| {
        let mut row: Vec<f64> = bins.iter().map(|count| rate(*count)).collect();
        row.resize(longest, 0.0);
        row
    };
    Rates {
        width,
        x: (0..longest).map(|bin| middle(bin as u64, width)).collect(),
        y: bins.iter().map(row).collect(),
    }
}

/// Returns a note about the width of a point.
pub(super) fn note(width: u64) -> String {
    let seconds = if width == 1 {
        "one second".to_owned()
    } else {
        format!("{width} seconds")
    };
    format!("Each point represents {seconds}. The run may have ended before the end of the last.")
}
