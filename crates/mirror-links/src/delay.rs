//! A distribution of delays.

use std::time::Duration;

use mirror_seed::Draw;
use mirror_spec::{
    FixedDelay, Latency, LognormalDelay, NormalDelay, RecordedDelays, TraceDelays, TraceOrder, ZipfDelay,
};
use rand_distr::{Distribution, LogNormal, Normal, Zipf};

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874_040_841;

/// The delays of one distribution, scaled by a factor.
#[derive(Debug, Clone)]
pub struct Delays {
    shape: Shape,
    time_scale: f64,
}

#[derive(Debug, Clone)]
enum Shape {
    Fixed(f64),
    Normal(Normal<f64>),
    Lognormal(LogNormal<f64>),
    Zipf { unit: f64, ranks: Zipf<f64> },
    Recorded(Vec<f64>, TraceOrder),
}

impl Delays {
    /// Creates the delays of `latency`, multiplied by `time_scale`. A validated experiment file has only valid
    /// parameters. For invalid ones, every delay is the mean of the normal, the median of the lognormal or the unit of
    /// the Zipf distribution.
    pub fn new(latency: &Latency, time_scale: f64) -> Self {
        let shape = match latency {
            Latency::Fixed(FixedDelay { fixed }) => Shape::Fixed(*fixed),
            Latency::Normal(NormalDelay { mean, deviation }) => {
                Normal::new(*mean, *deviation).map_or(Shape::Fixed(*mean), Shape::Normal)
            }
            Latency::Lognormal(LognormalDelay { p50, p99 }) => {
                let spread = (p99.unwrap_or(*p50).ln() - p50.ln()) / Z99;
                LogNormal::new(p50.ln(), spread).map_or(Shape::Fixed(*p50), Shape::Lognormal)
            }
            Latency::Zipf(ZipfDelay {
                unit,
                ranks,
                exponent,
            }) => Zipf::new(f64::from(*ranks), *exponent)
                .map_or(Shape::Fixed(*unit), |ranks| Shape::Zipf { unit: *unit, ranks }),
            Latency::Recorded(RecordedDelays { recorded, order }) => {
                Shape::Recorded(recorded.clone(), *order)
            }
            // The coordinator has replaced the path of a trace by the delays in the file.
            Latency::Trace(TraceDelays { order, .. }) => Shape::Recorded(Vec::new(), *order),
        };
        Self { shape, time_scale }
    }

    /// Returns the delay of a call in `step` for a draw, 0 or more.
    pub fn sample(&self, draw: Draw, step: u64) -> Duration {
        let seconds = match &self.shape {
            Shape::Fixed(seconds) => *seconds,
            Shape::Normal(normal) => normal.sample(&mut draw.generator()).max(0.0),
            Shape::Lognormal(lognormal) => lognormal.sample(&mut draw.generator()),
            Shape::Zipf { unit, ranks } => unit * ranks.sample(&mut draw.generator()),
            Shape::Recorded(delays, order) => {
                let which = match order {
                    TraceOrder::Drawn => draw.below(delays.len() as u64),
                    TraceOrder::Steps => step.checked_rem(delays.len() as u64),
                };
                which
                    .and_then(|which| delays.get(which as usize))
                    .copied()
                    .unwrap_or_default()
            }
        };
        Duration::try_from_secs_f64(seconds * self.time_scale).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use mirror_seed::Seed;

    use super::*;

    const DRAWS: u64 = 20_000;

    /// Drawn delays in ascending order, in seconds.
    fn sorted(latency: &Latency) -> Vec<f64> {
        let delays = Delays::new(latency, 1.0);
        let draw = |number| Seed::root(3).draw("delay", number);
        let mut drawn: Vec<f64> = (0..DRAWS)
            .map(|number| delays.sample(draw(number), 0).as_secs_f64())
            .collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    #[track_caller]
    fn near(found: f64, expected: f64, share: f64) {
        assert!(
            (found / expected - 1.0).abs() < share,
            "found {found}, expected {expected}"
        );
    }

    #[test]
    fn lognormal_delays_have_the_given_quantiles() {
        let drawn = sorted(&Latency::lognormal(0.08, 0.9));
        near(drawn[10_000], 0.08, 0.05);
        near(drawn[19_800], 0.9, 0.15);
    }

    #[test]
    fn normal_delays_have_their_mean_and_deviation_and_none_is_negative() {
        let drawn = sorted(&Latency::normal(0.1, 0.02));
        let mean = drawn.iter().sum::<f64>() / DRAWS as f64;
        let variance = drawn.iter().map(|delay| (delay - mean).powi(2)).sum::<f64>() / DRAWS as f64;
        near(mean, 0.1, 0.01);
        near(variance.sqrt(), 0.02, 0.05);
        let wide = sorted(&Latency::normal(0.0, 1.0));
        // Half of the distribution is negative and becomes 0.
        assert_eq!(wide[0], 0.0);
        let none = wide.iter().filter(|delay| **delay == 0.0).count() as f64;
        near(none, DRAWS as f64 / 2.0, 0.03);
    }

    /// With two ranks and exponent 1, the probabilities are 2/3 and 1/3.
    #[test]
    fn ranks_have_the_probabilities_of_zipf() {
        let drawn = sorted(&Latency::Zipf(ZipfDelay {
            unit: 0.01,
            ranks: 2,
            exponent: 1.0,
        }));
        let first = drawn.iter().filter(|delay| **delay == 0.01).count() as f64;
        near(first, DRAWS as f64 * 2.0 / 3.0, 0.03);
        assert!(drawn.iter().all(|delay| *delay == 0.01 || *delay == 0.02));
    }

    #[test]
    fn recorded_delays_are_equally_likely() {
        let drawn = sorted(&Latency::recorded(vec![0.5, 0.1, 0.3, 0.1]));
        let of = |delay: f64| drawn.iter().filter(|drawn| **drawn == delay).count() as f64;
        near(of(0.1), DRAWS as f64 / 2.0, 0.05);
        near(of(0.5), DRAWS as f64 / 4.0, 0.05);
        assert_eq!(of(0.1) + of(0.3) + of(0.5), DRAWS as f64);
    }

    #[test]
    fn recorded_delays_in_the_order_of_the_steps_repeat_from_the_first() {
        let recorded = RecordedDelays {
            recorded: vec![0.5, 0.1, 0.3],
            order: TraceOrder::Steps,
        };
        let delays = Delays::new(&Latency::Recorded(recorded), 1.0);
        let draw = Seed::root(1).draw("delay", 0);
        let of_steps: Vec<f64> = (0..5)
            .map(|step| delays.sample(draw, step).as_secs_f64())
            .collect();
        assert_eq!(of_steps, [0.5, 0.1, 0.3, 0.5, 0.1]);
    }

    #[test]
    fn a_fixed_delay_is_scaled() {
        let delay = Delays::new(&Latency::fixed(0.2), 0.1).sample(Seed::root(1).draw("delay", 0), 0);
        assert_eq!(delay, Duration::from_millis(20));
    }
}
