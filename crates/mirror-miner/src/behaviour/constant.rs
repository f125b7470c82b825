//! Says the same to everybody.

use tonic::async_trait;

use super::{Answer, Behaviour, Below, Call};

pub(super) struct Constant(pub(super) String);

#[async_trait]
impl Behaviour for Constant {
    async fn answer(&self, _call: &Call, _below: Below<'_>) -> Answer {
        Answer::Completion(self.0.clone())
    }
}
