//! Fails with a chance that rises linearly from step to step, up to a maximum.

use mirror_seed::Seed;
use mirror_spec::DegradingArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next, failure};

pub(super) struct Degrading {
    args: DegradingArgs,
    seed: Seed,
}

impl Degrading {
    pub(super) fn new(args: DegradingArgs, seed: Seed) -> Self {
        Self { args, seed }
    }
}

#[async_trait]
impl Behaviour for Degrading {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let risen = (call.id.step as f64 / f64::from(self.args.steps)).min(1.0);
        if self.seed.happens("degrading", &call.id, risen * self.args.to) {
            return failure::answer(self.args.how);
        }
        next.answer(call).await
    }
}
