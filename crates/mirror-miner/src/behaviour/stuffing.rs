//! Adds words that are thought to be rewarded.

use mirror_spec::StuffingArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Below, Call};

pub(super) struct Stuffing(pub(super) StuffingArgs);

#[async_trait]
impl Behaviour for Stuffing {
    async fn answer(&self, call: &Call, below: Below<'_>) -> Answer {
        let words = self.0.words.join(" ");
        let stuffed = |completion: String| format!("{completion} {words}");
        below.answer(call).await.changed(stuffed)
    }
}
