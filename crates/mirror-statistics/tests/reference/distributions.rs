//! Quantiles are those of pandas, and histograms those of NumPy.

use std::num::NonZeroUsize;

use mirror_statistics::{Quantiles, histogram};
use mirror_test_support::Python;
use proptest::prelude::*;
use serde_json::json;

use crate::data::{assert_all_near, generator, numbers, parse, with_gaps};

fn samples() -> Vec<Vec<Option<f64>>> {
    let mut generator = generator(3);
    let plain = numbers(&mut generator, 301, 3.0, 2.0);
    let tied: Vec<f64> = plain.iter().map(|number| number.round()).collect();
    // Tenths lie on the edges of the bins, or a rounding error next to them.
    let tenths: Vec<f64> = (0..=100).map(|number| f64::from(number) / 10.0).collect();
    vec![
        plain.iter().copied().map(Some).collect(),
        with_gaps(&mut generator, &plain, 0.3),
        with_gaps(&mut generator, &tied, 0.1),
        tenths.into_iter().map(Some).collect(),
        vec![Some(0.3); 12],
        vec![Some(-7.0)],
    ]
}

/// Replaces gaps by NaN.
fn with_nan(sample: &[Option<f64>]) -> Vec<f64> {
    sample.iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}

#[test]
fn quantiles_are_those_of_pandas() {
    let Some(python) = Python::find() else { return };
    let (samples, probabilities) = (samples(), [0.0, 0.05, 0.25, 0.5, 0.61, 0.75, 0.95, 1.0]);
    let script = "
import pandas
result = [pandas.Series(sample, dtype=float).quantile(data['probabilities']).tolist() for sample in data['samples']]
";
    let theirs = python.run(
        script,
        &json!({ "samples": samples, "probabilities": probabilities }),
    );
    for (sample, theirs) in samples.iter().zip(parse::<Vec<Vec<Option<f64>>>>(&theirs)) {
        let quantiles = Quantiles::of(&with_nan(sample)).expect("there are values");
        assert_all_near(
            &probabilities.map(|probability| quantiles.at(probability)),
            &theirs,
            1e-12,
            "",
        );
    }
}

#[test]
fn histograms_are_those_of_numpy() {
    let Some(python) = Python::find() else { return };
    let (samples, bins) = (samples(), [1, 2, 7, 10, 50, 100]);
    let script = "
import numpy
clean = lambda sample: [value for value in sample if value is not None]
result = [[[part.tolist() for part in numpy.histogram(clean(sample), bins)] for sample in data['samples']]
          for bins in data['bins']]
";
    let theirs = python.run(script, &json!({ "samples": samples, "bins": bins }));
    for (bins, theirs) in bins
        .iter()
        .zip(parse::<Vec<Vec<(Vec<u64>, Vec<Option<f64>>)>>>(&theirs))
    {
        for (sample, (counts, edges)) in samples.iter().zip(theirs) {
            let bins = NonZeroUsize::new(*bins).expect("not 0");
            let ours = histogram(&with_nan(sample), bins).expect("there are values");
            let our_edges: Vec<_> = ours.edges.iter().copied().map(Some).collect();
            assert_all_near(&our_edges, &edges, 1e-12, "edges");
            assert_eq!(ours.counts, counts, "{bins} bins");
        }
    }
}

#[test]
fn a_sample_without_a_finite_value_has_no_quantiles_and_no_histogram() {
    let ten = NonZeroUsize::new(10).expect("not 0");
    for sample in [&[][..], &[f64::NAN, f64::INFINITY]] {
        assert!(Quantiles::of(sample).is_none());
        assert_eq!(histogram(sample, ten), None);
    }
    assert_eq!(histogram(&[f64::MIN, f64::MAX], ten), None);
    let quantiles = Quantiles::of(&[1.0]).expect("there is a value");
    assert_eq!(
        [-0.1, 1.1, f64::NAN].map(|probability| quantiles.at(probability)),
        [None; 3]
    );
}

proptest! {
    #[test]
    fn a_histogram_counts_every_finite_value_once(
        values in prop::collection::vec(any::<f64>(), 0..50),
        bins in 1usize..20,
    ) {
        let finite = values.iter().filter(|value| value.is_finite()).count() as u64;
        if let Some(histogram) = histogram(&values, NonZeroUsize::new(bins).expect("not 0")) {
            prop_assert_eq!(histogram.counts.iter().sum::<u64>(), finite);
            prop_assert_eq!(histogram.edges.len(), bins + 1);
        }
    }
}
