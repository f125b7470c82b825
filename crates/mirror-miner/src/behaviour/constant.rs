//! Replies to every call with the same completion.

use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

pub(super) struct Constant(pub(super) String);

#[async_trait]
impl Behaviour for Constant {
    async fn answer(&self, _call: &Call, _next: Next<'_>) -> Answer {
        Answer::Completion(self.0.clone())
    }
}
