//! Delays each answer by a time drawn from the call's identity. If the delay reaches the caller's timeout, no answer is
//! sent. The two durations are compared, so the outcome does not depend on a race.

use mirror_links::Delays;
use mirror_seed::Seed;
use mirror_spec::SlowArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, BehaviourContext, Call, Next};

pub(super) struct Slow {
    delays: Delays,
    seed: Seed,
}

impl Slow {
    pub(super) fn new(args: &SlowArgs, context: &BehaviourContext) -> Self {
        Self {
            delays: Delays::new(&args.latency, context.time_scale),
            seed: context.seed,
        }
    }
}

#[async_trait]
impl Behaviour for Slow {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let delay = self
            .delays
            .sample(self.seed.about_call("slow", &call.id), call.id.step);
        if delay >= call.timeout {
            return Answer::Silence;
        }
        tokio::time::sleep(delay).await;
        next.answer(call).await
    }
}
