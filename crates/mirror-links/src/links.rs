//! The links from one caller to axons, and the delay of each call over them.

use std::sync::Arc;
use std::time::Duration;

use mirror_seed::{CallId, Seed};
use mirror_spec::launch::LinkLaunch;

use crate::Delays;

/// The links of one caller, indexed by the called uid.
#[derive(Debug, Clone)]
pub struct Links {
    seed: Seed,
    by_uid: Vec<Option<Arc<Delays>>>,
}

impl Links {
    /// Creates the links to the uids `0..num_nodes`. If two entries contain the same uid, the later one applies. Delays
    /// are multiplied by `time_scale`.
    pub fn new(seed: Seed, num_nodes: u32, links: &[LinkLaunch], time_scale: f64) -> Self {
        let mut by_uid = vec![None; num_nodes as usize];
        for link in links {
            let delays = Arc::new(Delays::new(&link.latency, time_scale));
            for uid in link.first_uid..=link.last_uid.min(num_nodes.saturating_sub(1)) {
                if let Some(entry) = by_uid.get_mut(uid as usize) {
                    *entry = Some(delays.clone());
                }
            }
        }
        Self { seed, by_uid }
    }

    /// Returns the delay of `call`. `None` if the link to its uid has no latency.
    pub fn delay(&self, call: &CallId) -> Option<Duration> {
        let delays = self.by_uid.get(call.uid as usize)?.as_ref()?;
        Some(delays.sample(self.seed.about_call("link latency", call)))
    }
}

#[cfg(test)]
mod tests {
    use mirror_seed::CallNumber;
    use mirror_spec::Latency;

    use super::*;

    fn links(scale: f64) -> Links {
        let link = LinkLaunch {
            first_uid: 1,
            last_uid: 9,
            latency: Latency::lognormal(0.08, 0.9),
        };
        Links::new(Seed::root(3), 4, &[link], scale)
    }

    fn call(uid: u32, step: u64) -> CallId {
        CallId {
            caller: [0; 32],
            step,
            forward_index: 0,
            uid,
            call: CallNumber::QUERY,
        }
    }

    #[test]
    fn a_delay_depends_on_the_call_and_scales_with_time() {
        let (real, shrunk) = (links(1.0), links(0.1));
        let delay = real.delay(&call(2, 7)).expect("uid 2 has a link");
        assert_eq!(Some(delay), real.delay(&call(2, 7)));
        assert_ne!(Some(delay), real.delay(&call(2, 8)));
        let tenth = shrunk.delay(&call(2, 7)).expect("uid 2 has a link").as_secs_f64();
        assert!((tenth * 10.0 / delay.as_secs_f64() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn links_without_an_entry_have_no_delay() {
        let links = links(1.0);
        assert_eq!(links.delay(&call(0, 0)), None);
        assert_eq!(links.delay(&call(400, 0)), None);
    }
}
