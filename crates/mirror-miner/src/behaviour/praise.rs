//! Prepends praise for the caller to the answer.

use mirror_seed::Seed;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

/// Opening phrases, one of which is drawn for each answer.
const PRAISES: [&str; 4] = [
    "What a wonderful question, thank you for asking!",
    "You have put your finger on just the right point.",
    "It is a pleasure to answer somebody who thinks so clearly.",
    "That is the best question I have heard in a long time.",
];

pub(super) struct Praise {
    seed: Seed,
}

impl Praise {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed }
    }
}

#[async_trait]
impl Behaviour for Praise {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let which = self
            .seed
            .about_call("praise", &call.id)
            .below(PRAISES.len() as u64);
        let praise = which.map_or("", |which| PRAISES[which as usize]);
        let flattering = |completion: String| format!("{praise} {completion}");
        next.answer(call).await.changed(flattering)
    }
}
