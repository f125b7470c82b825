//! A rule that disturbs calls, compiled for fast draws.

use std::sync::Arc;
use std::time::Duration;

use mirror_seed::{CallId, Draw, Seed};
use mirror_spec::launch::LinkRule;
use mirror_spec::{CodedError, ErrorReply, LinkEffects, ResetAfter, StreamReset, Uids};

use crate::{Delays, Fate, Plan};

/// The source of the draws about one call.
pub(crate) trait Draws {
    /// Returns the draw named `label`.
    fn draw(&self, label: &str) -> Draw;

    /// Returns the step of the call, 0 if it has none.
    fn step(&self) -> u64;
}

impl Draws for (&Seed, &CallId) {
    fn draw(&self, label: &str) -> Draw {
        self.0.about_call(label, self.1)
    }

    fn step(&self) -> u64 {
        self.1.step
    }
}

/// A call without an identity, which is numbered by its sender.
impl Draws for (&Seed, u64) {
    fn draw(&self, label: &str) -> Draw {
        self.0.draw(label, self.1)
    }

    fn step(&self) -> u64 {
        0
    }
}

/// The end of a call that happens with a probability. The label names its draws and the effect in records: `slow/drop`.
#[derive(Debug)]
struct Chance {
    label: Arc<str>,
    rate: f64,
    fate: Fate,
}

/// A compiled rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) callers: Option<Uids>,
    pub(crate) to: Option<Uids>,
    pub(crate) to_chain: bool,
    from_step: u64,
    by_clock: bool,
    latency: Option<(Arc<str>, Delays)>,
    jitter: Option<(Arc<str>, f64)>,
    /// The effects that end a call, in their order.
    fates: Vec<Chance>,
    duplicate: Option<(Arc<str>, f64)>,
}

impl Rule {
    /// Compiles a rule. Its delays are multiplied by `time_scale`.
    pub(crate) fn new(rule: &LinkRule, time_scale: f64) -> Self {
        let LinkRule {
            id,
            callers,
            to,
            to_chain,
            from_step,
            by_clock,
            effects,
        } = rule;
        let LinkEffects {
            latency,
            jitter,
            refuse,
            drop,
            error,
            goaway,
            reset,
            stall,
            drop_reply,
            corrupt,
            duplicate,
        } = effects;
        let label = |effect: &str| -> Arc<str> { format!("{id}/{effect}").into() };
        let chance = |effect: &str, rate: f64, fate: Fate| {
            (rate > 0.0).then(|| Chance {
                label: label(effect),
                rate,
                fate,
            })
        };
        let error = error
            .as_ref()
            .and_then(|ErrorReply::Coded(CodedError { code, rate })| {
                chance("error", *rate, Fate::Error(crate::fate::code(*code)))
            });
        let reset = reset
            .as_ref()
            .and_then(|StreamReset::After(ResetAfter { after, rate })| {
                chance("reset", *rate, Fate::Reset { after: *after })
            });
        let fates = [
            chance("refuse", *refuse, Fate::Refuse),
            chance("drop", *drop, Fate::Drop),
            error,
            chance("goaway", *goaway, Fate::Goaway),
            reset,
            chance("stall", *stall, Fate::Stall),
            chance("drop_reply", *drop_reply, Fate::DropReply),
            chance("corrupt", *corrupt, Fate::Corrupt { byte: 0 }),
        ];
        Self {
            callers: callers.clone(),
            to: to.clone(),
            to_chain: *to_chain,
            from_step: *from_step,
            by_clock: *by_clock,
            latency: latency
                .as_ref()
                .map(|latency| (label("latency"), Delays::new(latency, time_scale))),
            jitter: jitter.map(|jitter| (label("jitter"), jitter * time_scale)),
            fates: fates.into_iter().flatten().collect(),
            duplicate: (*duplicate > 0.0).then(|| (label("duplicate"), *duplicate)),
        }
    }

    /// Returns whether the rule disturbs a call of the query in this step. Other calls are disturbed whenever the rule
    /// is in effect.
    pub(crate) fn is_due(&self, call: &CallId) -> bool {
        !call.call.forward().is_of_query() || call.step >= self.from_step
    }

    /// Adds the effects of the rule on a call to its plan.
    pub(crate) fn apply(&self, draws: &impl Draws, plan: &mut Plan) {
        let before = plan.faults.len();
        if let Some((label, delays)) = &self.latency {
            plan.delay_by(delays.sample(draws.draw(label), draws.step()), label);
        }
        if let Some((label, longest)) = &self.jitter {
            let jitter = longest * draws.draw(label).unit();
            plan.delay_by(
                Duration::try_from_secs_f64(jitter).unwrap_or(Duration::MAX),
                label,
            );
        }
        if plan.fate == Fate::Pass
            && let Some((label, fate)) = self.fate(draws)
        {
            plan.fate = fate;
            plan.faults.push(label.clone());
        }
        if let Some((label, rate)) = &self.duplicate
            && draws.draw(label).happens(*rate)
        {
            plan.duplicated = true;
            plan.faults.push(label.clone());
        }
        plan.by_clock |= self.by_clock && plan.faults.len() > before;
    }

    /// Returns the first effect that ends the call, with its label.
    fn fate(&self, draws: &impl Draws) -> Option<(&Arc<str>, Fate)> {
        self.fates.iter().find_map(|chance| {
            let draw = draws.draw(&chance.label);
            let fate = match chance.fate {
                Fate::Corrupt { .. } => Fate::Corrupt {
                    byte: draw.below(u64::MAX).unwrap_or_default(),
                },
                fate => fate,
            };
            draw.happens(chance.rate).then_some((&chance.label, fate))
        })
    }
}
