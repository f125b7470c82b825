//! Paired measurements, and their output.

use std::fmt;

/// A measurement and its reference, which is measured directly before or after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The measurement.
    pub ours: f64,
    /// The reference.
    pub reference: f64,
}

/// The ratios of pairs: median, minimum and maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    median: f64,
    least: f64,
    most: f64,
}

impl Ratio {
    /// Computes the ratio of ours to the reference for each pair.
    pub fn of(pairs: &[Pair]) -> Self {
        let mut ratios: Vec<f64> = pairs.iter().map(|pair| pair.ours / pair.reference).collect();
        ratios.sort_by(f64::total_cmp);
        Self {
            median: middle(&ratios),
            least: ratios.first().copied().unwrap_or(f64::NAN),
            most: ratios.last().copied().unwrap_or(f64::NAN),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.least, self.most)
    }
}

/// Prints the heading of a table of pairs.
pub fn head(title: &str, unit: &str) {
    println!("\n{title}");
    println!("{:<46} {unit:>12} {:>12}   ratio (of pairs)", "", "reference");
}

/// Prints a row of a table of pairs: the medians, and the ratio with its range.
pub fn line(what: &str, pairs: &[Pair]) {
    let ours = median(pairs.iter().map(|pair| pair.ours));
    let reference = median(pairs.iter().map(|pair| pair.reference));
    println!(
        "{what:<46} {:>12} {:>12}   {}",
        digits(ours),
        digits(reference),
        Ratio::of(pairs)
    );
}

/// Returns the median of some numbers, or NaN if there are none.
pub fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    middle(&numbers)
}

fn middle(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

fn digits(number: f64) -> String {
    if number >= 100.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

/// A straight line fitted to equidistant measurements: its rise from the first to the last as a fraction of their mean,
/// with the half-width of the 95% confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// The rise.
    pub rise: f64,
    /// Half-width of the interval.
    pub uncertainty: f64,
}

/// Number of measurements to which a slope is fitted.
pub const WINDOWS: usize = 10;

/// Student's t for 95% and `WINDOWS - 2` degrees of freedom.
const T95: f64 = 2.306;

impl Slope {
    /// Fits the line by least squares.
    pub fn of(windows: &[f64; WINDOWS]) -> Self {
        let n = WINDOWS as f64;
        let mean = windows.iter().sum::<f64>() / n;
        let middle = (n - 1.0) / 2.0;
        let from_middle = |index: usize| index as f64 - middle;
        let spread: f64 = (0..WINDOWS).map(|index| from_middle(index).powi(2)).sum();
        let numbered = || windows.iter().enumerate();
        let slope = numbered()
            .map(|(index, y)| from_middle(index) * (y - mean))
            .sum::<f64>()
            / spread;
        let errors: f64 = numbered()
            .map(|(index, y)| (y - mean - slope * from_middle(index)).powi(2))
            .sum();
        let deviation = (errors / (n - 2.0) / spread).sqrt();
        Self {
            rise: slope * (n - 1.0) / mean,
            uncertainty: T95 * deviation * (n - 1.0) / mean,
        }
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:+.1}% (95%: {:+.1}% to {:+.1}%)",
            self.rise * 100.0,
            (self.rise - self.uncertainty) * 100.0,
            (self.rise + self.uncertainty) * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_line_has_its_slope_without_uncertainty() {
        let windows = std::array::from_fn(|index| 91.0 + 2.0 * index as f64);
        let Slope { rise, uncertainty } = Slope::of(&windows);
        assert!((rise - 0.18).abs() < 1e-9, "{rise}");
        assert!(uncertainty.abs() < 1e-9, "{uncertainty}");
    }

    #[test]
    fn values_that_vary_around_a_level_have_no_slope() {
        let windows = [9.0, 11.0, 9.0, 11.0, 10.0, 10.0, 11.0, 9.0, 11.0, 9.0];
        let Slope { rise, uncertainty } = Slope::of(&windows);
        assert!(rise.abs() < uncertainty, "{rise} {uncertainty}");
    }

    #[test]
    fn the_ratio_is_the_median_of_the_pairs() {
        let pair = |ours, reference| Pair { ours, reference };
        let ratio = Ratio::of(&[pair(1.0, 2.0), pair(9.0, 10.0), pair(1.0, 10.0)]);
        assert_eq!(ratio.to_string(), "0.50 (0.10 to 0.90)");
    }
}
