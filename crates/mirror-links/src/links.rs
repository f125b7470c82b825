//! The links of one process to axons and to the chain: the delays of the experiment's groups, and the rules of faults.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mirror_net::alarm;
use mirror_seed::{CallId, Seed};
use mirror_spec::Uids;
use mirror_spec::launch::{LinkLaunch, LinkRule};
use tonic::Status;

use crate::rule::Rule;
use crate::{Delays, Fate, Plan};

/// The links of one process.
///
/// The rules can be replaced while calls are made. A call has the rules that were in effect when it was planned.
#[derive(Debug)]
pub struct Links {
    seed: Seed,
    /// The delays of the experiment's groups, by called uid.
    by_uid: Vec<Option<Arc<Delays>>>,
    time_scale: f64,
    rules: RwLock<Arc<Rules>>,
    /// Number of requests to the chain that have been planned.
    requests: AtomicU64,
    /// Whether faults by the clock may have stopped nodes or connections.
    untimed: AtomicBool,
}

/// The rules in effect.
#[derive(Debug, Default)]
struct Rules {
    /// All rules, in the order in which they apply.
    all: Vec<Rule>,
    /// Positions in `all` of the rules for each called uid.
    by_uid: Vec<Vec<u16>>,
}

/// Maximum number of rules of one process.
pub const MAX_RULES: usize = 4_096;

/// The error of too many rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} rules for one process: at most {MAX_RULES} can be in effect")]
pub struct TooManyRules {
    given: usize,
}

impl Links {
    /// Creates the links to the uids `0..num_nodes`, without rules. If two entries contain the same uid, the later one
    /// applies. Delays are multiplied by `time_scale`.
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
        Self {
            seed,
            by_uid,
            time_scale,
            rules: RwLock::default(),
            requests: AtomicU64::new(0),
            untimed: AtomicBool::new(false),
        }
    }

    /// Replaces the rules. They apply in this order.
    ///
    /// # Errors
    /// Returns an error if there are more than [`MAX_RULES`]. The rules are then unchanged.
    pub fn set_rules(&self, rules: &[LinkRule]) -> Result<(), TooManyRules> {
        if rules.len() > MAX_RULES {
            return Err(TooManyRules { given: rules.len() });
        }
        let all: Vec<Rule> = rules
            .iter()
            .map(|rule| Rule::new(rule, self.time_scale))
            .collect();
        let mut by_uid = Vec::new();
        if !all.is_empty() {
            by_uid.resize(self.by_uid.len(), Vec::new());
        }
        for (position, rule) in (0u16..).zip(&all) {
            for uid in rule.to.iter().flat_map(Uids::iter) {
                if let Some(positions) = by_uid.get_mut(uid as usize) {
                    positions.push(position);
                }
            }
        }
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rules { all, by_uid });
        Ok(())
    }

    /// Sets whether faults by the clock may have stopped nodes or connections, so that another run may not repeat which
    /// calls fail.
    pub fn set_untimed(&self, untimed: bool) {
        self.untimed.store(untimed, Ordering::Relaxed);
    }

    /// Returns whether another run may not repeat which calls fail.
    pub fn is_untimed(&self) -> bool {
        self.untimed.load(Ordering::Relaxed)
    }

    /// Plans a call of the neuron `caller`. The plan depends only on the rules, the random seed and the identity of the
    /// call.
    pub fn plan(&self, caller: u32, call: &CallId) -> Plan {
        let mut plan = Plan::default();
        if let Some(Some(delays)) = self.by_uid.get(call.uid as usize) {
            plan.delay = Some(delays.sample(self.seed.about_call("link latency", call), call.step));
        }
        let rules = self.rules();
        for position in rules.by_uid.get(call.uid as usize).into_iter().flatten() {
            let Some(rule) = rules.all.get(usize::from(*position)) else {
                continue;
            };
            let is_callers = rule
                .callers
                .as_ref()
                .is_none_or(|callers| callers.contains(&caller));
            if is_callers && rule.is_due(call) {
                rule.apply(&(&self.seed, call), &mut plan);
            }
        }
        plan
    }

    /// Delays a request to the chain or lets it fail, as the rules require. Such a request has no identity, so another
    /// run does not repeat its draws. A lost request or reply waits for `timeout`, or forever if that is `None`.
    ///
    /// # Errors
    /// Returns the status with which the request fails.
    pub async fn pass_to_chain(&self, timeout: Option<Duration>) -> Result<(), Status> {
        let Some(plan) = self.plan_request() else {
            return Ok(());
        };
        if let Some(delay) = plan.delay {
            alarm::sleep(delay).await;
        }
        match plan.fate {
            Fate::Pass => Ok(()),
            Fate::Error(code) => Err(Status::new(code, "the link failed with this status")),
            Fate::Drop | Fate::DropReply | Fate::Stall | Fate::Corrupt { .. } => {
                match timeout {
                    Some(timeout) => tokio::time::sleep(timeout).await,
                    None => std::future::pending().await,
                }
                Err(Status::deadline_exceeded("no reply before the deadline"))
            }
            Fate::Refuse | Fate::Goaway | Fate::Reset { .. } => {
                Err(Status::unavailable("the connection was refused or broken"))
            }
        }
    }

    /// Plans a request to the chain. `None` if no rule disturbs such requests.
    fn plan_request(&self) -> Option<Plan> {
        let rules = self.rules();
        let mut for_chain = rules.all.iter().filter(|rule| rule.to_chain).peekable();
        for_chain.peek()?;
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut plan = Plan::default();
        for rule in for_chain {
            rule.apply(&(&self.seed, number), &mut plan);
        }
        Some(plan)
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use mirror_seed::CallNumber;
    use mirror_spec::{Latency, LinkEffects};

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

    fn rule(id: &str, to: &str, effects: LinkEffects) -> LinkRule {
        LinkRule {
            id: id.to_owned(),
            callers: None,
            to: Some(to.parse().expect("they are uids")),
            to_chain: false,
            from_step: 0,
            by_clock: false,
            effects,
        }
    }

    fn dropping(rate: f64) -> LinkEffects {
        LinkEffects {
            drop: rate,
            ..LinkEffects::default()
        }
    }

    /// Returns the steps of 0..1000 in which the calls to uid 1 are lost.
    fn lost(links: &Links) -> Vec<u64> {
        (0..1000)
            .filter(|step| links.plan(9, &call(1, *step)).fate == Fate::Drop)
            .collect()
    }

    #[test]
    fn a_delay_depends_on_the_call_and_scales_with_time() {
        let (real, shrunk) = (links(1.0), links(0.1));
        let delay = |links: &Links, step| links.plan(9, &call(2, step)).delay;
        let first = delay(&real, 7).expect("uid 2 has a link");
        assert_eq!(Some(first), delay(&real, 7));
        assert_ne!(Some(first), delay(&real, 8));
        let tenth = delay(&shrunk, 7).expect("uid 2 has a link").as_secs_f64();
        assert!((tenth * 10.0 / first.as_secs_f64() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn links_without_an_entry_and_a_rule_do_nothing() {
        let links = links(1.0);
        assert_eq!(links.plan(9, &call(0, 0)), Plan::default());
        assert_eq!(links.plan(9, &call(400, 0)), Plan::default());
    }

    /// The intervals are those between the quantiles for 0.005 and 0.995 of the binomial distribution, computed from
    /// its exact probabilities.
    #[test]
    fn drops_are_within_the_99_percent_interval_of_the_binomial_distribution() {
        let links = links(1.0);
        for (rate, interval) in [(0.01, 165..=237), (0.05, 921..=1_080), (0.3, 5_833..=6_167)] {
            links
                .set_rules(&[rule("a", "0-3", dropping(rate))])
                .expect("one rule");
            let calls = (0..20_000).map(|number| call(number % 4, u64::from(number / 4)));
            let dropped = calls.filter(|call| links.plan(9, call).fate == Fate::Drop);
            let dropped = dropped.count();
            assert!(interval.contains(&dropped), "{dropped} at rate {rate}");
        }
    }

    /// A larger rate adds victims to those of a smaller rate, and a rule that precedes another does not move its draws.
    #[test]
    fn the_victims_of_a_rule_do_not_depend_on_other_rules() {
        let links = links(1.0);
        links
            .set_rules(&[rule("a", "1", dropping(0.1))])
            .expect("one rule");
        let few = lost(&links);
        links
            .set_rules(&[rule("a", "1", dropping(0.3))])
            .expect("one rule");
        let more = lost(&links);
        assert!(few.iter().all(|step| more.contains(step)) && few.len() < more.len());
        let late = LinkEffects {
            latency: Some(Latency::fixed(0.2)),
            ..LinkEffects::default()
        };
        let two = [rule("b", "0-3", late), rule("a", "1", dropping(0.1))];
        links.set_rules(&two).expect("two rules");
        assert_eq!(lost(&links), few);
        // The binomial distribution has 100 ± 30 victims with a probability above 0.998.
        assert!((70..=130).contains(&few.len()), "{}", few.len());
    }

    #[test]
    fn delays_add_and_the_first_end_wins() {
        let links = links(1.0);
        let slow = |seconds| LinkEffects {
            latency: Some(Latency::fixed(seconds)),
            ..LinkEffects::default()
        };
        let refusing = LinkEffects {
            refuse: 1.0,
            ..slow(0.25)
        };
        let rules = [
            rule("a", "0", slow(0.5)),
            rule("b", "0", refusing),
            rule("c", "0", dropping(1.0)),
        ];
        links.set_rules(&rules).expect("three rules");
        let plan = links.plan(9, &call(0, 0));
        assert_eq!(plan.delay, Some(Duration::from_millis(750)));
        assert_eq!(plan.fate, Fate::Refuse);
        let faults: Vec<&str> = plan.faults.iter().map(|fault| &**fault).collect();
        assert_eq!(faults, ["a/latency", "b/latency", "b/refuse"]);
        links.set_rules(&[]).expect("no rules");
        assert_eq!(links.plan(9, &call(0, 0)), Plan::default());
    }

    #[test]
    fn a_rule_applies_from_its_step_and_to_its_callers() {
        let links = links(1.0);
        let due = LinkRule {
            from_step: 5,
            callers: Some("2".parse::<Uids>().expect("a uid")),
            ..rule("a", "1", dropping(1.0))
        };
        links.set_rules(&[due]).expect("one rule");
        let fate = |caller, step| links.plan(caller, &call(1, step)).fate;
        // Uid 1 has a latency, which is no rule.
        assert_eq!(
            (fate(2, 4), fate(2, 5), fate(3, 5)),
            (Fate::Pass, Fate::Drop, Fate::Pass)
        );
        let manual = CallId {
            call: CallNumber::MANUAL,
            ..call(1, 0)
        };
        assert_eq!(links.plan(2, &manual).fate, Fate::Drop);
    }

    #[test]
    fn too_many_rules_are_refused_and_change_nothing() {
        let links = links(1.0);
        links
            .set_rules(&[rule("a", "1", dropping(1.0))])
            .expect("one rule");
        let many = vec![rule("b", "0", dropping(1.0)); MAX_RULES + 1];
        assert!(links.set_rules(&many).is_err());
        assert_eq!(links.plan(9, &call(1, 0)).fate, Fate::Drop);
        assert_eq!(links.plan(9, &call(0, 0)).fate, Fate::Pass);
    }
}
