//! Calls another axon while its caller waits, and replies with that axon's completion. If that completion is empty or
//! the call fails, the next behaviour replies.
//!
//! The call carries the copycat's hotkey, so the victim can identify it and draws a different answer than for the
//! caller. A relayed call is not relayed again, so copycats that copy each other do not loop.

use mirror_spec::CopycatArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, BehaviourContext, Call, Next};

pub(super) struct Copycat {
    args: CopycatArgs,
    context: BehaviourContext,
}

impl Copycat {
    pub(super) fn new(args: CopycatArgs, context: BehaviourContext) -> Self {
        Self { args, context }
    }

    fn victim(&self, call: &Call) -> Option<u32> {
        let draw = self.context.seed.about_call("victim", &call.id);
        let which = draw.below(self.args.victims.count() as u64)?;
        self.args.victims.get(which as usize)
    }
}

#[async_trait]
impl Behaviour for Copycat {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        if !call.id.call.is_relayed()
            && let Some(victim) = self.victim(call)
        {
            let BehaviourContext { network, signer, .. } = &self.context;
            match network.relay(call, victim, signer).await {
                Ok(completion) if !completion.is_empty() => return Answer::Completion(completion),
                Ok(_) => {}
                Err(status) => tracing::debug!(victim, %status, "the victim did not answer"),
            }
        }
        next.answer(call).await
    }
}
