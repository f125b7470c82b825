//! What a few seeds say of all: intervals of means, and sizes of differences.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::moments::Moments;

/// Half the width of the 95% confidence interval of the mean, by Student's t; none of fewer than two values.
pub fn half_width(values: &Moments) -> Option<f64> {
    let deviation = values.deviation()?;
    let count = values.count() as f64;
    let t = StudentsT::new(0.0, 1.0, count - 1.0).ok()?.inverse_cdf(0.975);
    Some(t * deviation / count.sqrt())
}

/// By how many pooled deviations the mean of `one` lies above that of `other`: Hedges' g, Cohen's d without its bias in
/// small samples. None of fewer than two values on either side, and where nothing deviates.
///
/// Hedges, L. V., Distribution Theory for Glass's Estimator of Effect Size and Related Estimators, 1981.
pub fn effect_size(one: &Moments, other: &Moments) -> Option<f64> {
    let (n, m) = (one.count() as f64, other.count() as f64);
    let squares = (n - 1.0) * one.deviation()?.powi(2) + (m - 1.0) * other.deviation()?.powi(2);
    let freedom = n + m - 2.0;
    let pooled = (squares / freedom).sqrt();
    let correction = 1.0 - 3.0 / (4.0 * freedom - 1.0);
    (pooled > 0.0).then(|| correction * (one.mean().unwrap_or(0.0) - other.mean().unwrap_or(0.0)) / pooled)
}

/// Gini's coefficient of shares: 0 where all have the same, near 1 where one has all. None where nobody has anything.
pub fn gini(shares: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = shares.iter().copied().filter(|share| share.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (count, sum) = (sorted.len() as f64, sorted.iter().sum::<f64>());
    let ranked: f64 = (1..)
        .zip(&sorted)
        .map(|(rank, share)| f64::from(rank) * share)
        .sum();
    (sum > 0.0).then(|| 2.0 * ranked / (count * sum) - (count + 1.0) / count)
}

/// Nakamoto's coefficient: how few together have more than half. None where nobody has anything.
pub fn nakamoto(shares: &[f64]) -> Option<usize> {
    let mut falling: Vec<f64> = shares.iter().copied().filter(|share| *share > 0.0).collect();
    falling.sort_by(|one, other| other.total_cmp(one));
    let half = falling.iter().sum::<f64>() / 2.0;
    let mut together = 0.0;
    falling
        .iter()
        .position(|share| {
            together += share;
            together > half
        })
        .map(|position| position + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        for value in values {
            moments.push(*value);
        }
        moments
    }

    #[track_caller]
    fn near(found: Option<f64>, expected: f64) {
        let found = found.expect("a number");
        assert!((found - expected).abs() < 1e-4, "{found}, expected {expected}");
    }

    /// Student's t of 4 degrees of freedom is 2.7764 at 0.975 in every printed table; the deviation of 1 … 5 is √2.5.
    #[test]
    fn an_interval_is_that_of_students_tables() {
        near(
            half_width(&moments(&[1.0, 2.0, 3.0, 4.0, 5.0])),
            2.776_45 * (2.5_f64 / 5.0).sqrt(),
        );
        assert_eq!(half_width(&moments(&[1.0])), None);
    }

    /// Means 4 and 2, deviations 1 and 1: d is 2, and with 4 degrees of freedom g is 2·(1 − 3/15).
    #[test]
    fn an_effect_is_counted_in_deviations() {
        near(
            effect_size(&moments(&[3.0, 4.0, 5.0]), &moments(&[1.0, 2.0, 3.0])),
            1.6,
        );
        assert_eq!(effect_size(&moments(&[1.0, 1.0]), &moments(&[1.0, 1.0])), None);
    }

    /// All alike is 0; one of n with all is 1 − 1/n; 1, 2, 3, 4 is 1/4 by its definition as mean difference over twice
    /// the mean.
    #[test]
    fn ginis_coefficient_is_that_of_its_definition() {
        near(gini(&[3.0, 3.0, 3.0]), 0.0);
        near(gini(&[0.0, 0.0, 0.0, 8.0]), 0.75);
        near(gini(&[4.0, 2.0, 1.0, 3.0]), 0.25);
        assert_eq!(gini(&[]), None);
        assert_eq!(gini(&[0.0, 0.0]), None);
    }

    #[test]
    fn nakamotos_coefficient_counts_who_has_more_than_half() {
        assert_eq!(nakamoto(&[0.6, 0.4]), Some(1));
        assert_eq!(nakamoto(&[0.5, 0.5]), Some(2));
        assert_eq!(nakamoto(&[0.25; 4]), Some(3));
        assert_eq!(nakamoto(&[0.0]), None);
    }
}
