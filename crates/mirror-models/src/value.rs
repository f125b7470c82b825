//! Values: vectors of numbers by position, for models without training.

use mirror_seed::{CallId, Seed};
use mirror_spec::{Distribution, DistributionArgs, Value};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// Returns the first `n` numbers of a value. Random values depend on the random seed and on `call`, frozen random
/// values only on the random seed.
pub fn numbers(value: &Value, n: usize, seed: &Seed, call: &CallId) -> Vec<f32> {
    match value {
        Value::ConstantValue(args) => vec![args.value as f32; n],
        Value::RandomValue(args) => {
            let mut generator = stream(seed, args).about_call("random value", call).generator();
            (0..n).map(|_| sample(args, &mut generator)).collect()
        }
        Value::FrozenRandomValue(args) => {
            let mut generator = stream(seed, args).generator();
            (0..n).map(|_| sample(args, &mut generator)).collect()
        }
        Value::StepValue(args) => {
            let last = args.length.saturating_sub(1);
            let step = if last == 0 {
                0.0
            } else {
                (args.hi - args.lo) / f64::from(last)
            };
            (0..n as u64)
                .map(|position| {
                    let position = (u64::from(args.start) + position).min(last.into());
                    (args.lo + step * position as f64) as f32
                })
                .collect()
        }
    }
}

/// Draws one sample, scaled and shifted: `sample·p0 + p1`.
pub fn sample(args: &DistributionArgs, generator: &mut impl Rng) -> f32 {
    let sample: f64 = match args.distribution {
        Distribution::Uniform => generator.random(),
        Distribution::Normal => generator.sample(StandardNormal),
    };
    (sample * args.p0 + args.p1) as f32
}

/// Returns the random seed of a distribution, which is derived from `seed` and the seed in `args`.
pub(crate) fn stream(seed: &Seed, args: &DistributionArgs) -> Seed {
    seed.numbered_child("value", args.seed)
}

#[cfg(test)]
mod tests {
    use mirror_seed::CallNumber;

    use super::*;
    use mirror_spec::{ConstantArgs, StepArgs};

    const CALL: CallId = CallId {
        caller: [0; 32],
        step: 1,
        forward_index: 0,
        uid: 0,
        call: CallNumber::QUERY,
    };

    fn of(value: &Value, n: usize, step: u64) -> Vec<f32> {
        numbers(value, n, &Seed::root(5), &CallId { step, ..CALL })
    }

    #[test]
    fn a_step_value_is_a_slice_of_linspace() {
        // numpy.linspace(0, 1, 5)[1:4] is 0.25, 0.5, 0.75.
        let steps = StepArgs {
            lo: 0.0,
            hi: 1.0,
            length: 5,
            start: 1,
        };
        assert_eq!(of(&Value::StepValue(steps), 3, 0), [0.25, 0.5, 0.75]);
        assert_eq!(of(&Value::StepValue(steps), 6, 0)[3..], [1.0, 1.0, 1.0]);
        assert_eq!(
            of(&Value::StepValue(StepArgs { length: 1, ..steps }), 2, 0),
            [0.0, 0.0]
        );
    }

    #[test]
    fn constants_are_constant() {
        assert_eq!(
            of(&Value::ConstantValue(ConstantArgs { value: 2.5 }), 2, 0),
            [2.5, 2.5]
        );
    }

    #[test]
    fn random_values_differ_between_calls_unless_frozen() {
        let args = DistributionArgs {
            seed: 0,
            distribution: Distribution::Normal,
            p0: 1.0,
            p1: 0.0,
        };
        assert_eq!(
            of(&Value::FrozenRandomValue(args), 4, 1),
            of(&Value::FrozenRandomValue(args), 4, 2)
        );
        assert_ne!(
            of(&Value::RandomValue(args), 4, 1),
            of(&Value::RandomValue(args), 4, 2)
        );
        assert_eq!(
            of(&Value::RandomValue(args), 4, 1),
            of(&Value::RandomValue(args), 4, 1)
        );
    }

    #[test]
    fn factor_and_offset_apply() {
        let args = DistributionArgs {
            seed: 0,
            distribution: Distribution::Uniform,
            p0: 10.0,
            p1: 100.0,
        };
        let drawn = of(&Value::RandomValue(args), 1_000, 1);
        assert!(drawn.iter().all(|number| (100.0..110.0).contains(number)));
        let mean = drawn.iter().sum::<f32>() / 1_000.0;
        assert!((mean - 105.0).abs() < 0.5, "{mean}");
    }
}
