//! Appends text that addresses the judge of the answer.

use mirror_spec::InjectingArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

pub(super) struct Injecting(pub(super) InjectingArgs);

#[async_trait]
impl Behaviour for Injecting {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let addressed = |completion: String| format!("{completion}\n\n{}", self.0.text);
        next.answer(call).await.changed(addressed)
    }
}
