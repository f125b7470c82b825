//! Gives the same answer as all other members of its group: the next behaviour answers as if the first uid of the group
//! had been called.

use mirror_seed::CallId;
use tonic::async_trait;

use super::{Answer, Behaviour, BehaviourContext, Call, Next};

pub(super) struct Sybil {
    first: u32,
}

impl Sybil {
    pub(super) fn new(context: &BehaviourContext) -> Self {
        Self {
            first: context.group.least(),
        }
    }
}

#[async_trait]
impl Behaviour for Sybil {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let of_first = Call {
            id: CallId {
                uid: self.first,
                ..call.id
            },
            ..call.clone()
        };
        next.answer(&of_first).await
    }
}
