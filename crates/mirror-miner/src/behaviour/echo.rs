//! Replies with the text of the question.

use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

pub(super) struct Echo;

#[async_trait]
impl Behaviour for Echo {
    async fn answer(&self, call: &Call, _next: Next<'_>) -> Answer {
        let asked = call.asked().map(str::to_owned);
        asked.map_or(Answer::Nothing, Answer::Completion)
    }
}
