//! The client, and the requests that nodes and observers send.

use std::net::SocketAddr;
use std::time::Duration;

use mirror_identity::{Coldkey, Hotkey};
use mirror_net::server;
use mirror_net::tracer::{Traced, Tracer};
use mirror_proto::mirror::v1::subtensor_client::SubtensorClient as GrpcClient;
use mirror_proto::mirror::v1::{
    CurrentBlockRequest, MetagraphRequest, NominatorsRequest, SignedTransaction, SubmitReply,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::retry::{Attempts, Connection};
use crate::{Barrier, Metagraph, RequestError};

/// The time of one attempt at a request that the subtensor answers at once.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The time of one attempt at a metagraph with weights and bonds.
const FULL_METAGRAPH_ATTEMPT: Duration = Duration::from_mins(1);

/// The most bytes of a metagraph: 65,536 neurons with some hundred weights each fit, with full rows they do not.
const METAGRAPH_LIMIT: usize = 256 << 20;

/// A client of the subtensor.
///
/// Each request is repeated while the subtensor is out of reach. A new client does so without end: a node must not give
/// up, because the coordinator watches the subtensor, starts it again, and ends the run when that does not help. Where
/// a person or the coordinator waits, [`with_deadline`](Self::with_deadline) bounds the time.
///
/// Clones share one connection. It is opened at the first request, and again after it breaks.
#[derive(Debug, Clone)]
pub struct SubtensorClient {
    connection: Connection,
    address: watch::Receiver<SocketAddr>,
    deadline: Option<Duration>,
}

/// How much of a metagraph is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// With weights and bonds.
    Full,
    /// Without weights and bonds.
    Lite,
}

impl SubtensorClient {
    /// A client of the subtensor at `address`, which does not change.
    pub fn new(tracer: Tracer, address: SocketAddr) -> Self {
        Self::following(tracer, watch::channel(address).1)
    }

    /// A client of the subtensor at the address that `address` holds at the time of each attempt.
    pub fn following(tracer: Tracer, address: watch::Receiver<SocketAddr>) -> Self {
        let connection = Connection::new(tracer, *address.borrow());
        Self {
            connection,
            address,
            deadline: None,
        }
    }

    /// The same client with a bound on the time of each request, all its attempts included.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            deadline: Some(deadline),
            ..self.clone()
        }
    }

    /// The last block that has closed.
    ///
    /// # Errors
    /// [`RequestError::Refused`] and, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn current_block(&self) -> Result<u64, RequestError> {
        let send = |channel, request| async move { grpc(channel).get_current_block(request).await };
        let request = CurrentBlockRequest {};
        let reply = self
            .request("GetCurrentBlock", Some(ATTEMPT), request, send)
            .await?;
        Ok(reply.block)
    }

    /// Submits a transaction. The reply has the block that was open then, in which it applies, or the name of a
    /// refusal. A transaction that was submitted before has no further effect, and the same reply.
    ///
    /// # Errors
    /// [`RequestError::Refused`] and, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn submit(&self, transaction: SignedTransaction) -> Result<SubmitReply, RequestError> {
        let send = |channel, request| async move { grpc(channel).submit(request).await };
        self.request("Submit", Some(ATTEMPT), transaction, send).await
    }

    /// The metagraph as of the time when `block` had closed. `None` stands for the last closed block.
    ///
    /// # Errors
    /// [`RequestError::Metagraph`], [`RequestError::Refused`] and, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn metagraph(&self, block: Option<u64>, detail: Detail) -> Result<Metagraph, RequestError> {
        let send = |channel, request| async move { grpc(channel).get_metagraph(request).await };
        let (lite, attempt) = match detail {
            Detail::Full => (false, FULL_METAGRAPH_ATTEMPT),
            Detail::Lite => (true, ATTEMPT),
        };
        let request = MetagraphRequest { block, lite };
        let reply = self.request("GetMetagraph", Some(attempt), request, send).await?;
        Ok(reply.try_into()?)
    }

    /// The nominators of `hotkey`, by coldkey, with their stakes in rao.
    ///
    /// # Errors
    /// [`RequestError::Nominator`], [`RequestError::Refused`] and, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn nominators(&self, hotkey: &Hotkey) -> Result<Vec<(Coldkey, u64)>, RequestError> {
        let send = |channel, request| async move { grpc(channel).get_nominators(request).await };
        let hotkey = hotkey.bytes().to_vec();
        let request = NominatorsRequest { hotkey };
        let reply = self
            .request("GetNominators", Some(ATTEMPT), request, send)
            .await?;
        let nominators = reply.nominators.iter();
        nominators
            .map(|nominator| Ok((Coldkey::try_from(&nominator.coldkey[..])?, nominator.stake)))
            .collect()
    }

    /// The block barrier for the validator `hotkey`.
    pub fn barrier(&self, hotkey: Hotkey) -> Barrier {
        Barrier::new(self.clone(), hotkey)
    }

    /// Sends a request until it is answered. `attempt` bounds the time of one attempt.
    pub(crate) async fn request<Q: Clone, A, F>(
        &self,
        name: &'static str,
        attempt: Option<Duration>,
        message: Q,
        send: impl Fn(Traced, Request<Q>) -> F,
    ) -> Result<A, RequestError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut attempts = self.attempts(name);
        loop {
            let mut request = Request::new(message.clone());
            if let Some(attempt) = attempt {
                request.set_timeout(attempt);
            }
            let channel = attempts.channel();
            if let Some(reply) = attempts.make(send(channel, request)).await? {
                return Ok(reply.into_inner());
            }
        }
    }

    pub(crate) fn attempts(&self, request: &'static str) -> Attempts {
        Attempts::new(request, &self.connection, &self.address, self.deadline)
    }
}

pub(crate) fn grpc(channel: Traced) -> GrpcClient<Traced> {
    GrpcClient::new(channel)
        .max_decoding_message_size(METAGRAPH_LIMIT)
        .max_encoding_message_size(server::MESSAGE_LIMIT)
}
