//! Says what every other of its group says to the same question: what it is laid over answers as if the first of the
//! group had been asked.

use mirror_seed::CallId;
use tonic::async_trait;

use super::{Answer, Behaviour, Below, Call, Surroundings};

pub(super) struct Sybil {
    first: u32,
}

impl Sybil {
    pub(super) fn new(surroundings: &Surroundings) -> Self {
        Self {
            first: surroundings.group.least(),
        }
    }
}

#[async_trait]
impl Behaviour for Sybil {
    async fn answer(&self, call: &Call, below: Below<'_>) -> Answer {
        let of_first = Call {
            id: CallId {
                uid: self.first,
                ..call.id
            },
            ..call.clone()
        };
        below.answer(&of_first).await
    }
}
