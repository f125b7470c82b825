//! Links: the path of a call from one node to another, and the delay that is drawn for it.
//!
//! A delay is drawn a call, from the seed and the call's identity, so that it repeats. Whether it exceeds the deadline
//! is decided by the two numbers, not by a race of timers.

use std::time::Duration;

use mirror_config::experiment::Latency;
use mirror_config::launch::LinkLaunch;
use mirror_seed::{CallId, Seed};
use rand_distr::{Distribution, LogNormal};

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874_040_841;

/// The delays of a caller's links, by uid.
#[derive(Debug, Clone)]
pub struct Links {
    seed: Seed,
    time_scale: f64,
    by_uid: Vec<Option<LogNormal<f64>>>,
}

/// Two quantiles that no lognormal distribution has.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a latency needs 0 < p50 <= p99 in seconds, these are {p50} and {p99}")]
pub struct LatencyError {
    p50: f64,
    p99: f64,
}

impl Links {
    /// The links from one caller to uids `0..num_nodes`. A later entry overrides an earlier one. Delays are multiplied by
    /// `time_scale`.
    pub fn new(
        seed: Seed,
        num_nodes: u32,
        links: &[LinkLaunch],
        time_scale: f64,
    ) -> Result<Self, LatencyError> {
        let mut by_uid = vec![None; num_nodes as usize];
        for link in links {
            let distribution = lognormal(link.latency)?;
            for uid in link.first_uid..=link.last_uid.min(num_nodes.saturating_sub(1)) {
                if let Some(entry) = by_uid.get_mut(uid as usize) {
                    *entry = Some(distribution);
                }
            }
        }
        Ok(Self {
            seed,
            time_scale,
            by_uid,
        })
    }

    /// The delay drawn for a call, if its link has one.
    pub fn delay(&self, call: &CallId) -> Option<Duration> {
        let distribution = (*self.by_uid.get(call.uid as usize)?)?;
        let mut generator = self.seed.about_call("link latency", call).generator();
        let seconds = distribution.sample(&mut generator) * self.time_scale;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

fn lognormal(latency: Latency) -> Result<LogNormal<f64>, LatencyError> {
    let Latency { p50, p99 } = latency;
    let wrong = LatencyError { p50, p99 };
    if !(p50 > 0.0 && p50 <= p99 && p99.is_finite()) {
        return Err(wrong);
    }
    LogNormal::new(p50.ln(), (p99.ln() - p50.ln()) / Z99).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(p50: f64, p99: f64, scale: f64) -> Result<Links, LatencyError> {
        let link = LinkLaunch {
            first_uid: 1,
            last_uid: 9,
            latency: Latency { p50, p99 },
        };
        Links::new(Seed::root(3), 4, &[link], scale)
    }

    fn call(uid: u32, step: u64) -> CallId {
        CallId {
            caller: [0; 32],
            step,
            half: 0,
            uid,
            call: 0,
        }
    }

    #[test]
    fn quantiles_are_the_ones_asked_for() {
        let links = links(0.08, 0.9, 1.0).expect("sound");
        let mut delays: Vec<f64> = (0..20_000)
            .filter_map(|step| links.delay(&call(1, step)))
            .map(|delay| delay.as_secs_f64())
            .collect();
        delays.sort_by(f64::total_cmp);
        assert_eq!(delays.len(), 20_000);
        assert!((delays[10_000] / 0.08 - 1.0).abs() < 0.05, "{}", delays[10_000]);
        assert!((delays[19_800] / 0.9 - 1.0).abs() < 0.15, "{}", delays[19_800]);
    }

    #[test]
    fn a_delay_belongs_to_a_call_and_scales_with_time() {
        let (real, shrunk) = (
            links(0.08, 0.9, 1.0).expect("sound"),
            links(0.08, 0.9, 0.1).expect("sound"),
        );
        let delay = real.delay(&call(2, 7)).expect("uid 2 has a link");
        assert_eq!(Some(delay), real.delay(&call(2, 7)));
        assert_ne!(Some(delay), real.delay(&call(2, 8)));
        let tenth = shrunk.delay(&call(2, 7)).expect("uid 2 has a link").as_secs_f64();
        assert!((tenth * 10.0 / delay.as_secs_f64() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn links_without_an_entry_have_no_delay() {
        let links = links(0.08, 0.9, 1.0).expect("sound");
        assert_eq!(links.delay(&call(0, 0)), None);
        assert_eq!(links.delay(&call(400, 0)), None);
    }

    #[test]
    fn quantiles_in_the_wrong_order_are_refused() {
        assert!(links(0.9, 0.08, 1.0).is_err());
        assert!(links(0.0, 0.08, 1.0).is_err());
        assert!(links(f64::NAN, 0.08, 1.0).is_err());
    }
}
