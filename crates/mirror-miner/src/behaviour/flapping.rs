//! Alternates between periods of steps in which it works and in which it fails. Steps are those of the caller, so runs
//! are reproducible.

use mirror_spec::FlappingArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next, failure};

pub(super) struct Flapping(pub(super) FlappingArgs);

#[async_trait]
impl Behaviour for Flapping {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let FlappingArgs { up, down, how } = self.0;
        let period = u64::from(up) + u64::from(down);
        if call.id.step % period >= u64::from(up) {
            return failure::answer(how);
        }
        next.answer(call).await
    }
}
