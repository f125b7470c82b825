//! Requests that only the coordinator sends.

use mirror_identity::Hotkey;
use mirror_proto::mirror::v1::subtensor_control_client::SubtensorControlClient as GrpcClient;
use mirror_proto::mirror::v1::{AddHoldRequest, BeginRequest, HoldRequest, RetireRequest, SettleRequest};

use crate::{RequestError, SubtensorClient};

/// Attempts at these requests have no timeout, because the subtensor may close many blocks before it answers.
impl SubtensorClient {
    /// Closes the first block and starts the barrier or the clock.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn begin(&self) -> Result<(), RequestError> {
        let send = |channel, request| async move { GrpcClient::new(channel).begin(request).await };
        self.request("Begin", None, BeginRequest {}, send).await?;
        Ok(())
    }

    /// Closes blocks until the last closed block has run an epoch.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn settle(&self) -> Result<(), RequestError> {
        let send = |channel, request| async move { GrpcClient::new(channel).settle(request).await };
        self.request("Settle", None, SettleRequest {}, send).await?;
        Ok(())
    }

    /// Retires the validator `hotkey` from the barrier. The validator rejoins with its next report. Returns the block
    /// as of which it is retired.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn retire(&self, hotkey: &Hotkey, reason: String) -> Result<u64, RequestError> {
        let send = |channel, request| async move { GrpcClient::new(channel).retire(request).await };
        let hotkey = hotkey.bytes().to_vec();
        let request = RetireRequest { hotkey, reason };
        Ok(self.request("Retire", None, request, send).await?.block)
    }

    /// Lets the barrier hold after the block of `step`, or of the step that is open if `step` is `None`. Returns the
    /// step.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn add_hold(&self, step: Option<u64>) -> Result<u64, RequestError> {
        let send = |channel, request| async move { GrpcClient::new(channel).add_hold(request).await };
        let request = AddHoldRequest { step };
        Ok(self.request("AddHold", None, request, send).await?.step)
    }

    /// Waits until the hold after `step` is reached, that is, until the block of `step` has closed.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn await_hold(&self, step: u64) -> Result<(), RequestError> {
        let send = |channel, request| async move { GrpcClient::new(channel).await_hold(request).await };
        self.request("AwaitHold", None, HoldRequest { step }, send)
            .await?;
        Ok(())
    }

    /// Releases the hold after `step`.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn release(&self, step: u64) -> Result<(), RequestError> {
        let send = |channel, request| async move { GrpcClient::new(channel).release(request).await };
        self.request("Release", None, HoldRequest { step }, send).await?;
        Ok(())
    }
}
