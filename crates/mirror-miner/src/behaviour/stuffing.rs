//! Appends words that reward models are assumed to favour.

use mirror_spec::StuffingArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

pub(super) struct Stuffing(pub(super) StuffingArgs);

#[async_trait]
impl Behaviour for Stuffing {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let words = self.0.words.join(" ");
        let stuffed = |completion: String| format!("{completion} {words}");
        next.answer(call).await.changed(stuffed)
    }
}
