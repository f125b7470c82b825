//! The client, and the requests that nodes and observers send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mirror_identity::{Coldkey, Hotkey};
use mirror_links::Links;
use mirror_net::tracer::{Traced, Tracer};
use mirror_net::{metrics, server};
use mirror_proto::mirror::v1::subtensor_client::SubtensorClient as GrpcClient;
use mirror_proto::mirror::v1::{
    CurrentBlockRequest, MetagraphRequest, NominatorsRequest, SignedTransaction, SubmitReply,
};
use mirror_telemetry::spans::Kind;
use mirror_telemetry::{Instrument, Span, span};
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status};

use crate::retry::{Attempts, Connection};
use crate::{Barrier, Metagraph, RequestError};

/// Timeout of an attempt at a request that the subtensor answers immediately.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Timeout of an attempt at a metagraph with weights and bonds.
const FULL_METAGRAPH_ATTEMPT: Duration = Duration::from_mins(1);

/// Maximum size of a metagraph message in bytes. 65,536 neurons with several hundred weights each fit, but not with
/// full rows.
const METAGRAPH_LIMIT: usize = 256 << 20;

/// A client of the subtensor.
///
/// A request is retried while the subtensor is unreachable. A new client retries without limit: a node must not give
/// up, because the coordinator watches the subtensor, restarts it, and ends the run if that does not help.
/// [`with_deadline`](Self::with_deadline) bounds the time of a request where a person or the coordinator waits for it.
///
/// Clones share one connection. It is opened by the first request and reopened after it breaks.
#[derive(Debug, Clone)]
pub struct SubtensorClient {
    connection: Connection,
    address: watch::Receiver<SocketAddr>,
    deadline: Option<Duration>,
    /// The links on which faults disturb requests. `None` for a client without faults.
    links: Option<Arc<Links>>,
}

/// Level of detail of a requested metagraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// With weights and bonds.
    Full,
    /// Without weights and bonds.
    Lite,
}

impl SubtensorClient {
    /// Creates a client of the subtensor at the fixed `address`. Requests of the coordinator and of the barrier are
    /// answered only if the tracer has a certificate.
    pub fn new(tracer: Tracer, address: SocketAddr) -> Self {
        Self::following(tracer, watch::channel(address).1)
    }

    /// Creates a client of the subtensor whose address is read from `address` for each attempt.
    pub fn following(tracer: Tracer, address: watch::Receiver<SocketAddr>) -> Self {
        let connection = Connection::new(tracer, *address.borrow());
        Self {
            connection,
            address,
            deadline: None,
            links: None,
        }
    }

    /// Returns the client with faults on its requests.
    #[must_use]
    pub fn over(&self, links: Arc<Links>) -> Self {
        Self {
            links: Some(links),
            ..self.clone()
        }
    }

    /// Returns the client with a bound on the time of each request, including all its attempts.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            deadline: Some(deadline),
            ..self.clone()
        }
    }

    /// Returns the number of the last closed block.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn current_block(&self) -> Result<u64, RequestError> {
        let send = |channel, request| async move { grpc(channel).get_current_block(request).await };
        let request = CurrentBlockRequest {};
        let reply = self
            .request("GetCurrentBlock", Some(ATTEMPT), request, send)
            .await?;
        Ok(reply.block)
    }

    /// Submits a transaction. The reply contains the block that was open, in which the transaction applies, and the
    /// refusal, if any. Submitting a transaction again has no further effect and returns the same reply.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or, with a deadline, [`RequestError::DeadlineExceeded`].
    pub async fn submit(&self, transaction: SignedTransaction) -> Result<SubmitReply, RequestError> {
        let send = |channel, request| async move { grpc(channel).submit(request).await };
        self.request("Submit", Some(ATTEMPT), transaction, send).await
    }

    /// Returns the metagraph as of the closing of `block`, `None` for the last closed block.
    ///
    /// # Errors
    /// Returns [`RequestError::Metagraph`], [`RequestError::Refused`] or, with a deadline,
    /// [`RequestError::DeadlineExceeded`].
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

    /// Returns the nominators of `hotkey`, by coldkey, with their stakes in rao.
    ///
    /// # Errors
    /// Returns [`RequestError::Nominator`], [`RequestError::Refused`] or, with a deadline,
    /// [`RequestError::DeadlineExceeded`].
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

    /// Returns the block barrier for the validator `hotkey`.
    pub fn barrier(&self, hotkey: Hotkey) -> Barrier {
        Barrier::new(self.clone(), hotkey)
    }

    /// Sends a request until it is answered. `attempt` is the timeout of one attempt.
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
            let span = span(format!("subtensor.{name}")).kind(Kind::Client).start();
            let attempted = async {
                let answered = match self.pass(attempt).await {
                    Ok(()) => {
                        let started = Instant::now();
                        let answered = send(channel, request).await;
                        let code = answered.as_ref().map_or_else(Status::code, |_| Code::Ok);
                        metrics::chain_call(name, code, started.elapsed());
                        answered
                    }
                    Err(status) => Err(status),
                };
                if let Err(status) = &answered {
                    Span::current().record("rpc.response.status_code", metrics::code_name(status.code()));
                    Span::current().fail(status.message());
                }
                answered
            };
            if let Some(reply) = attempts.make(attempted.instrument(span)).await? {
                return Ok(reply.into_inner());
            }
        }
    }

    /// Delays an attempt at a request or lets it fail, as the faults of the links require. A lost request waits for the
    /// timeout of the attempt.
    pub(crate) async fn pass(&self, timeout: Option<Duration>) -> Result<(), Status> {
        match &self.links {
            Some(links) => links.pass_to_chain(timeout).await,
            None => Ok(()),
        }
    }

    pub(crate) fn attempts(&self, request: &'static str) -> Attempts {
        Attempts::new(request, &self.connection, &self.address, self.deadline)
    }
}

fn grpc(channel: Traced) -> GrpcClient<Traced> {
    GrpcClient::new(channel)
        .max_decoding_message_size(METAGRAPH_LIMIT)
        .max_encoding_message_size(server::MESSAGE_LIMIT)
}
