//! Fails a random share of the calls, with one draw per call.

use mirror_seed::Seed;
use mirror_spec::FailingArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next, failure};

pub(super) struct Failing {
    args: FailingArgs,
    seed: Seed,
}

impl Failing {
    pub(super) fn new(args: FailingArgs, seed: Seed) -> Self {
        Self { args, seed }
    }
}

#[async_trait]
impl Behaviour for Failing {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        if self.seed.happens("failing", &call.id, self.args.chance) {
            return failure::answer(self.args.how);
        }
        next.answer(call).await
    }
}
