//! Repeats the answer, for rewards that add up over its parts.

use mirror_spec::RepeatingArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

/// Maximum length of a repeated answer in bytes.
const MOST: usize = 1 << 20;

pub(super) struct Repeating(pub(super) RepeatingArgs);

#[async_trait]
impl Behaviour for Repeating {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let repeated = |completion: String| {
            let said = completion.trim_end();
            let times = (self.0.times as usize).min(MOST / (said.len() + 1));
            vec![said; times.max(1)].join(" ")
        };
        next.answer(call).await.changed(repeated)
    }
}
