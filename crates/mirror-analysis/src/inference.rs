//! Statistics over a few random seeds: confidence intervals of means, and sizes of differences.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::moments::Moments;

/// Returns half the width of the 95% confidence interval of the mean, by Student's t. `None` for fewer than two values.
pub fn half_width(values: &Moments) -> Option<f64> {
    let deviation = values.deviation()?;
    let count = values.count() as f64;
    Some(t_quantile(count - 1.0)? * deviation / count.sqrt())
}

/// Returns the quantile of Student's t at 0.975.
fn t_quantile(freedom: f64) -> Option<f64> {
    /// Quantile of the normal distribution at 0.975.
    const Z: f64 = 1.959_963_984_540_054;
    /// The library's quantile is inexact, and slow, for many degrees of freedom.
    const MANY: f64 = 10_000.0;
    if freedom > MANY {
        // The first term of the expansion of Abramowitz and Stegun, 26.7.5. The next one is below 1e-8 here.
        return Some(Z + (Z.powi(3) + Z) / (4.0 * freedom));
    }
    Some(StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(0.975))
}

/// Returns the difference between the mean of `one` and the mean of `other` in pooled standard deviations: Hedges' g,
/// which is Cohen's d corrected for its bias in small samples. `None` if either side has fewer than two values, or if
/// the pooled deviation is 0.
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

/// Returns the Gini coefficient of shares: 0 if all are equal, near 1 if one has everything. `None` if the sum is 0.
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

/// Returns the Nakamoto coefficient: the smallest number of shares that together exceed half of the sum. `None` if no
/// share is above 0.
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

    /// Printed tables give 2.7764 for Student's t with 4 degrees of freedom at 0.975. The deviation of 1 … 5 is √2.5.
    #[test]
    fn a_confidence_interval_agrees_with_students_tables() {
        near(
            half_width(&moments(&[1.0, 2.0, 3.0, 4.0, 5.0])),
            2.776_45 * (2.5_f64 / 5.0).sqrt(),
        );
        assert_eq!(half_width(&moments(&[1.0])), None);
    }

    /// Tables give 1.95996 for infinitely many degrees of freedom, and both formulas agree where they meet.
    #[test]
    fn the_quantile_is_exact_for_many_values() {
        near(t_quantile(2e7), 1.959_96);
        let (below, above) = (t_quantile(10_000.0).unwrap(), t_quantile(10_000.1).unwrap());
        assert!((below - above).abs() < 1e-7, "{below}, {above}");
    }

    /// The means are 4 and 2 and the deviations 1 and 1, so d is 2. With 4 degrees of freedom g is 2·(1 − 3/15).
    #[test]
    fn an_effect_size_is_measured_in_deviations() {
        near(
            effect_size(&moments(&[3.0, 4.0, 5.0]), &moments(&[1.0, 2.0, 3.0])),
            1.6,
        );
        assert_eq!(effect_size(&moments(&[1.0, 1.0]), &moments(&[1.0, 1.0])), None);
    }

    /// The coefficient of equal shares is 0, and of one share of n with everything 1 − 1/n. For 1, 2, 3, 4 it is 1/4 by
    /// its definition as the mean difference divided by twice the mean.
    #[test]
    fn the_gini_coefficient_agrees_with_its_definition() {
        near(gini(&[3.0, 3.0, 3.0]), 0.0);
        near(gini(&[0.0, 0.0, 0.0, 8.0]), 0.75);
        near(gini(&[4.0, 2.0, 1.0, 3.0]), 0.25);
        assert_eq!(gini(&[]), None);
        assert_eq!(gini(&[0.0, 0.0]), None);
    }

    #[test]
    fn the_nakamoto_coefficient_is_the_smallest_majority() {
        assert_eq!(nakamoto(&[0.6, 0.4]), Some(1));
        assert_eq!(nakamoto(&[0.5, 0.5]), Some(2));
        assert_eq!(nakamoto(&[0.25; 4]), Some(3));
        assert_eq!(nakamoto(&[0.0]), None);
    }
}
