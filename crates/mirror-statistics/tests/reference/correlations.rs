//! Correlation coefficients are those of SciPy.

use mirror_statistics::{pearson, spearman};
use mirror_test_support::Python;
use proptest::prelude::*;
use serde_json::json;

use crate::data::{assert_near, generator, numbers, parse};

/// Returns pairs of columns: correlated, anticorrelated, with ties, far from zero, huge, of two rows, and with a
/// constant side.
fn columns() -> Vec<(Vec<f64>, Vec<f64>)> {
    let mut generator = generator(2);
    let x = numbers(&mut generator, 100, 0.0, 1.0);
    let noise = numbers(&mut generator, 100, 0.0, 1.0);
    let mix = |share: f64| -> Vec<f64> { x.iter().zip(&noise).map(|(x, noise)| share * x + noise).collect() };
    let rounded = |values: &[f64]| -> Vec<f64> { values.iter().map(|value| value.round()).collect() };
    let map = |values: &[f64], change: fn(f64) -> f64| values.iter().copied().map(change).collect();
    vec![
        (x.clone(), mix(2.0)),
        (x.clone(), mix(-0.7)),
        (rounded(&x), rounded(&mix(1.0))),
        (map(&x, |x| x + 1e6), map(&mix(1.0), |y| y - 1e5)),
        (map(&x, |x| x * 1e200), map(&mix(1.0), |y| y * 1e-200)),
        (x.clone(), map(&x, f64::exp)),
        (vec![1.0, 2.0], vec![5.0, 4.0]),
        (x.clone(), vec![0.1; 100]),
        (vec![3.0; 10], vec![4.0; 10]),
    ]
}

#[test]
fn correlation_coefficients_are_those_of_scipy() {
    let Some(python) = Python::find() else { return };
    let columns = columns();
    let script = "
import warnings
import scipy.stats
warnings.simplefilter('ignore')
clean = lambda r: None if r != r else float(r)
result = [[clean(scipy.stats.pearsonr(x, y).statistic), clean(scipy.stats.spearmanr(x, y).statistic)]
          for x, y in data]
";
    let theirs: Vec<[Option<f64>; 2]> = parse(&python.run(script, &json!(columns)));
    for (number, ((x, y), [pearsons, spearmans])) in columns.iter().zip(theirs).enumerate() {
        assert_near(
            pearson(x, y),
            pearsons,
            1e-12,
            &format!("Pearson, columns {number}"),
        );
        assert_near(
            spearman(x, y),
            spearmans,
            1e-12,
            &format!("Spearman, columns {number}"),
        );
    }
}

#[test]
fn pairs_with_a_side_that_is_not_finite_are_excluded() {
    let x = [1.0, f64::NAN, 2.0, 4.0, 3.0, 9.0];
    let y = [2.0, 5.0, 1.0, f64::INFINITY, 3.0, 8.0];
    let (finite_x, finite_y) = ([1.0, 2.0, 3.0, 9.0], [2.0, 1.0, 3.0, 8.0]);
    for correlation in [pearson, spearman] {
        assert_eq!(correlation(&x, &y), correlation(&finite_x, &finite_y));
        assert!(correlation(&x, &y).is_some());
        assert_eq!(correlation(&[1.0], &[2.0]), None);
        assert_eq!(correlation(&[], &[]), None);
        assert_eq!(correlation(&[1.0, f64::NAN], &[2.0, 3.0]), None);
    }
}

proptest! {
    #[test]
    fn correlation_is_symmetric_and_bounded(pairs in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20)) {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        for correlation in [pearson, spearman] {
            let r = correlation(&x, &y);
            prop_assert_eq!(r, correlation(&y, &x));
            prop_assert!(r.is_none_or(|r| (-1.0..=1.0).contains(&r)));
        }
    }
}
