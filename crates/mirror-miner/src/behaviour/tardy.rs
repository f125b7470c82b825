//! Answers after a share of the caller's timeout: just before the deadline, or never if the share is 1 or more.

use mirror_spec::TardyArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};

pub(super) struct Tardy(pub(super) TardyArgs);

#[async_trait]
impl Behaviour for Tardy {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        let TardyArgs { share } = self.0;
        if share >= 1.0 {
            return Answer::Silence;
        }
        tokio::time::sleep(call.timeout.mul_f64(share)).await;
        next.answer(call).await
    }
}
