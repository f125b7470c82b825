//! Answers after a share of the time that its caller has: just before the deadline, or never, where that is too late.

use mirror_spec::TardyArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, Below, Call};

pub(super) struct Tardy(pub(super) TardyArgs);

#[async_trait]
impl Behaviour for Tardy {
    async fn answer(&self, call: &Call, below: Below<'_>) -> Answer {
        let TardyArgs { share } = self.0;
        if share >= 1.0 {
            return Answer::Silence;
        }
        tokio::time::sleep(call.timeout.mul_f64(share)).await;
        below.answer(call).await
    }
}
