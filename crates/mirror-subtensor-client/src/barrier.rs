//! The validator's side of the block barrier.

use std::time::Duration;

use mirror_identity::Hotkey;
use mirror_net::tracer::Traced;
use mirror_proto::mirror::v1::subtensor_barrier_client::SubtensorBarrierClient;
use mirror_proto::mirror::v1::{BlockClosed, StepReport};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::client::SubtensorClient;
use crate::error::RequestError;

/// Time after which a report that a fault of the link lost is sent again.
const LOST_REPORT: Duration = Duration::from_secs(5);

/// The block barrier for one validator, which reports each finished step and waits for the block of the step to close.
#[derive(Debug)]
pub struct Barrier {
    client: SubtensorClient,
    hotkey: Hotkey,
    /// `None` before the first report and after a break.
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    reports: mpsc::Sender<StepReport>,
    closed: Streaming<BlockClosed>,
}

impl Barrier {
    pub(crate) fn new(client: SubtensorClient, hotkey: Hotkey) -> Self {
        Self {
            client,
            hotkey,
            stream: None,
        }
    }

    /// Reports that `step` is finished and waits until its block has closed, however long the other validators take.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or, if the client has a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn step_done(&mut self, step: u64) -> Result<BlockClosed, RequestError> {
        let mut attempts = self.client.attempts("Steps");
        loop {
            let channel = attempts.channel();
            let client = self.client.clone();
            let reported = async {
                client.pass(Some(LOST_REPORT)).await?;
                self.report(channel, step).await
            };
            if let Some(closed) = attempts.make(reported).await? {
                return Ok(closed);
            }
        }
    }

    /// Reports on the open stream, or opens one on `channel`. A stream that failed is not used again.
    async fn report(&mut self, channel: Traced, step: u64) -> Result<BlockClosed, Status> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::open(channel).await?,
        };
        let report = StepReport {
            hotkey: self.hotkey.bytes().to_vec(),
            step,
        };
        let closed = stream.report(report).await?;
        self.stream = Some(stream);
        Ok(closed)
    }
}

impl Stream {
    async fn open(channel: Traced) -> Result<Self, Status> {
        let (reports, outgoing) = mpsc::channel(1);
        let closed = SubtensorBarrierClient::new(channel)
            .steps(ReceiverStream::new(outgoing))
            .await?;
        Ok(Self {
            reports,
            closed: closed.into_inner(),
        })
    }

    async fn report(&mut self, report: StepReport) -> Result<BlockClosed, Status> {
        let ended = || Status::unavailable("the stream of the barrier has ended");
        let step = report.step;
        self.reports.send(report).await.map_err(|_| ended())?;
        // After a restart, the subtensor may send the blocks of earlier steps again.
        loop {
            let closed = self.closed.message().await?.ok_or_else(ended)?;
            if closed.step == step {
                return Ok(closed);
            }
        }
    }
}
