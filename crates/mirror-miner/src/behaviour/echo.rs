//! Says what it was asked.

use tonic::async_trait;

use super::{Answer, Behaviour, Below, Call};

pub(super) struct Echo;

#[async_trait]
impl Behaviour for Echo {
    async fn answer(&self, call: &Call, _below: Below<'_>) -> Answer {
        let asked = call.asked().map(str::to_owned);
        asked.map_or(Answer::Nothing, Answer::Completion)
    }
}
