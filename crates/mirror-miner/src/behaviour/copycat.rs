//! Asks another axon while its caller waits, and passes on what that says. Where that says nothing, it asks what it is
//! laid over.
//!
//! It asks under its own name, so its victim knows it, and draws another answer than for the caller. What was relayed
//! once is not relayed again, so that copycats that copy each other come to an end.

use mirror_spec::CopycatArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Below, Call, Surroundings};

pub(super) struct Copycat {
    args: CopycatArgs,
    surroundings: Surroundings,
}

impl Copycat {
    pub(super) fn new(args: CopycatArgs, surroundings: Surroundings) -> Self {
        Self { args, surroundings }
    }

    fn victim(&self, call: &Call) -> Option<u32> {
        let draw = self.surroundings.seed.about_call("victim", &call.id);
        let which = draw.below(self.args.victims.count() as u64)?;
        self.args.victims.get(which as usize)
    }
}

#[async_trait]
impl Behaviour for Copycat {
    async fn answer(&self, call: &Call, below: Below<'_>) -> Answer {
        if !call.id.call.is_relayed()
            && let Some(victim) = self.victim(call)
        {
            let Surroundings { network, key, .. } = &self.surroundings;
            match network.relay(call, victim, &key.public()).await {
                Ok(completion) if !completion.is_empty() => return Answer::Completion(completion),
                Ok(_) => {}
                Err(status) => tracing::debug!(victim, %status, "the victim did not answer"),
            }
        }
        below.answer(call).await
    }
}
