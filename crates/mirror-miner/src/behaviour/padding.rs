//! Lengthens answers, for rewards that increase with length.

use mirror_spec::PaddingArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

pub(super) struct Padding(pub(super) PaddingArgs);

#[async_trait]
impl Behaviour for Padding {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let PaddingArgs { characters, with } = &self.0;
        let lengthened = |mut completion: String| {
            let missing = (*characters as usize).saturating_sub(completion.chars().count());
            completion.extend(with.chars().cycle().take(missing));
            completion
        };
        next.answer(call).await.changed(lengthened)
    }
}
