//! Knows a few answers and replies to every question with one of them. The set of answers depends on the uid.

use mirror_spec::CachedArgs;
use tonic::async_trait;

use super::honest::padded;
use super::{Answer, Behaviour, BehaviourContext, Call, Next};

pub(super) struct Cached {
    args: CachedArgs,
    context: BehaviourContext,
}

impl Cached {
    pub(super) fn new(args: CachedArgs, context: BehaviourContext) -> Self {
        Self { args, context }
    }

    /// Draws one of the known answers. `None` if the data set is empty.
    fn known(&self, call: &Call) -> Option<&str> {
        let BehaviourContext {
            seed, uid, dataset, ..
        } = &self.context;
        let which = seed
            .about_call("cached", &call.id)
            .below(self.args.answers.into())?;
        let row = seed
            .numbered_child("cache", (*uid).into())
            .draw("row", which)
            .below(dataset.len().into())?;
        dataset.answers(row as u32).next()
    }
}

#[async_trait]
impl Behaviour for Cached {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        match self.known(call) {
            Some(answer) => Answer::Completion(padded(answer)),
            None => next.answer(call).await,
        }
    }
}
