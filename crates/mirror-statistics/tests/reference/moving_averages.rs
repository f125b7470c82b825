//! Moving averages are those of pandas.

use std::num::NonZeroUsize;

use mirror_statistics::{Ewm, Rolling};
use mirror_test_support::Python;
use proptest::prelude::*;
use serde_json::json;

use crate::data::{assert_all_near, generator, numbers, parse, with_gaps};

/// Returns series of different kinds: without and with gaps, with leading gaps, constant, of one value, and empty.
fn series() -> Vec<Vec<Option<f64>>> {
    let mut generator = generator(1);
    let plain = numbers(&mut generator, 200, 3.0, 2.0);
    let offset = numbers(&mut generator, 200, 1e6, 1.0);
    let mut leading = vec![None; 7];
    leading.extend(with_gaps(&mut generator, &plain, 0.3));
    vec![
        plain.iter().copied().map(Some).collect(),
        with_gaps(&mut generator, &offset, 0.1),
        leading,
        vec![Some(0.1); 30],
        with_gaps(&mut generator, &[0.7; 50], 0.5),
        vec![Some(2.5)],
        vec![None; 5],
        Vec::new(),
    ]
}

#[test]
fn the_exponentially_weighted_mean_is_that_of_pandas() {
    let Some(python) = Python::find() else { return };
    let (series, alphas) = (series(), [0.01, 0.05, 0.3, 0.9, 1.0]);
    let script = "
import pandas
result = [[[None if mean != mean else mean for mean in pandas.Series(values, dtype=float).ewm(alpha=alpha).mean()]
           for values in data['series']] for alpha in data['alphas']]
";
    let theirs = python.run(script, &json!({ "series": series, "alphas": alphas }));
    for (alpha, theirs) in alphas.iter().zip(parse::<Vec<Vec<Vec<Option<f64>>>>>(&theirs)) {
        for (values, theirs) in series.iter().zip(theirs) {
            let mut ewm = Ewm::new(*alpha).expect("alpha is in range");
            let ours: Vec<_> = values.iter().map(|value| ewm.push(*value)).collect();
            assert_all_near(&ours, &theirs, 1e-12, &format!("alpha {alpha}"));
        }
    }
}

#[test]
fn the_rolling_mean_is_that_of_pandas() {
    let Some(python) = Python::find() else { return };
    let (series, lengths) = (series(), [1, 2, 10, 50]);
    let script = "
import pandas
result = [[[None if mean != mean else mean for mean in pandas.Series(values, dtype=float).rolling(length).mean()]
           for values in data['series']] for length in data['lengths']]
";
    let theirs = python.run(script, &json!({ "series": series, "lengths": lengths }));
    for (length, theirs) in lengths.iter().zip(parse::<Vec<Vec<Vec<Option<f64>>>>>(&theirs)) {
        for (values, theirs) in series.iter().zip(theirs) {
            let mut rolling = Rolling::new(NonZeroUsize::new(*length).expect("not 0"));
            let ours: Vec<_> = values.iter().map(|value| rolling.push(*value)).collect();
            assert_all_near(&ours, &theirs, 1e-12, &format!("windows of {length}"));
        }
    }
}

#[test]
fn an_infinite_value_is_a_gap_as_in_pandas() {
    let Some(python) = Python::find() else { return };
    let script = "
import pandas
series = pandas.Series([1.0, 2.0, float('inf'), 4.0, 5.0, 6.0])
clean = lambda means: [None if mean != mean else mean for mean in means]
result = [clean(series.ewm(alpha=0.3).mean()), clean(series.rolling(2).mean())]
";
    let theirs: Vec<Vec<Option<f64>>> = parse(&python.run(script, &json!(null)));
    let mut ewm = Ewm::new(0.3).expect("alpha is in range");
    let mut rolling = Rolling::new(NonZeroUsize::new(2).expect("not 0"));
    let values = [1.0, 2.0, f64::INFINITY, 4.0, 5.0, 6.0].map(Some);
    assert_all_near(&values.map(|value| ewm.push(value)), &theirs[0], 1e-12, "ewm");
    assert_all_near(
        &values.map(|value| rolling.push(value)),
        &theirs[1],
        1e-12,
        "rolling",
    );
}

#[test]
fn alpha_outside_its_range_is_an_error() {
    for alpha in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = Ewm::new(alpha).expect_err("alpha is out of range").to_string();
        assert!(error.contains("greater than 0 and at most 1"), "{error}");
    }
}

proptest! {
    #[test]
    fn means_stay_between_the_least_and_the_greatest_value(
        values in prop::collection::vec(-1e6..1e6f64, 1..50),
        alpha in 0.001..=1.0,
        length in 1usize..10,
    ) {
        let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut ewm = Ewm::new(alpha).expect("alpha is in range");
        let mut rolling = Rolling::new(NonZeroUsize::new(length).expect("not 0"));
        for value in values {
            (least, greatest) = (value.min(least), value.max(greatest));
            let means = [ewm.push(Some(value)), rolling.push(Some(value))];
            for mean in means.into_iter().flatten() {
                prop_assert!(mean >= least - 1e-6 && mean <= greatest + 1e-6);
            }
        }
    }
}
