//! The retry policy of all requests to the subtensor.
//!
//! An attempt with a transient failure ([`is_passing`]) is retried after a pause, which doubles from attempt to
//! attempt. Any other failure ends the request. The subtensor handles requests idempotently, so a retry has no further
//! effect.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mirror_net::channel::is_passing;
use mirror_net::tracer::{Traced, Tracer};
use mirror_proto::protocol::SUBTENSOR;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use crate::RequestError;

/// Pause after the first failed attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Maximum pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Connection to the subtensor, shared by all clones of a client.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    tracer: Tracer,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    address: SocketAddr,
    channel: Traced,
    /// Time of the first unanswered attempt since the last answer. `None` while the subtensor is reachable.
    unanswered_since: Option<Instant>,
}

/// Attempts at one request.
pub(crate) struct Attempts {
    request: &'static str,
    connection: Connection,
    address: watch::Receiver<SocketAddr>,
    deadline: Option<Deadline>,
    pause: Duration,
    last: Option<Box<Status>>,
}

/// Deadline of a request.
struct Deadline {
    allowed: Duration,
    end: Instant,
}

impl Connection {
    pub(crate) fn new(tracer: Tracer, address: SocketAddr) -> Self {
        let state = State {
            address,
            channel: tracer.secure_channel(address, SUBTENSOR),
            unanswered_since: None,
        };
        Self {
            tracer,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Returns the channel to the subtensor at `address`.
    fn channel(&self, address: SocketAddr) -> Traced {
        let mut state = self.state();
        if state.address != address {
            state.address = address;
            state.channel = self.tracer.secure_channel(address, SUBTENSOR);
        }
        state.channel.clone()
    }

    /// Records an answer, and logs it if the previous attempt was not answered.
    fn answered(&self, request: &str) {
        if let Some(since) = self.state().unanswered_since.take() {
            tracing::info!(request, waited = ?since.elapsed(), "the subtensor answers again");
        }
    }

    /// Records a failed attempt, and logs it if the previous attempt was answered.
    fn not_answered(&self, request: &str, status: &Status) {
        let mut state = self.state();
        if state.unanswered_since.is_none() {
            state.unanswered_since = Some(Instant::now());
            tracing::warn!(
                request,
                address = %state.address,
                %status,
                "the subtensor does not answer; retrying until it does"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempts {
    /// Starts the time of a request. Without `allowed`, the number of attempts is unlimited.
    pub(crate) fn new(
        request: &'static str,
        connection: &Connection,
        address: &watch::Receiver<SocketAddr>,
        allowed: Option<Duration>,
    ) -> Self {
        Self {
            request,
            connection: connection.clone(),
            address: address.clone(),
            deadline: allowed.map(|allowed| Deadline {
                allowed,
                end: Instant::now() + allowed,
            }),
            pause: FIRST_PAUSE,
            last: None,
        }
    }

    /// Returns the channel for the next attempt, to the current address.
    pub(crate) fn channel(&mut self) -> Traced {
        let address = *self.address.borrow_and_update();
        self.connection.channel(address)
    }

    /// Makes one attempt. After a transient failure, waits for the pause and returns `None`.
    ///
    /// # Errors
    /// Returns [`RequestError::Refused`] or [`RequestError::DeadlineExceeded`].
    pub(crate) async fn make<T>(
        &mut self,
        attempt: impl Future<Output = Result<T, Status>>,
    ) -> Result<Option<T>, RequestError> {
        match self.before_deadline(attempt).await? {
            Ok(reply) => {
                self.connection.answered(self.request);
                Ok(Some(reply))
            }
            Err(status) if is_passing(&status) => {
                self.connection.not_answered(self.request, &status);
                self.last = Some(Box::new(status));
                self.wait().await?;
                Ok(None)
            }
            Err(status) => {
                self.connection.answered(self.request);
                Err(RequestError::Refused {
                    request: self.request,
                    status: Box::new(status),
                })
            }
        }
    }

    /// Waits for the pause to elapse or the address to change.
    async fn wait(&mut self) -> Result<(), RequestError> {
        let mut address = self.address.clone();
        let pause = self.pause;
        self.pause = (pause * 2).min(MAX_PAUSE);
        let moved = async {
            if address.changed().await.is_err() {
                // The address is fixed.
                std::future::pending::<()>().await;
            }
        };
        self.before_deadline(tokio::time::timeout(pause, moved))
            .await?
            .ok();
        Ok(())
    }

    async fn before_deadline<T>(&mut self, future: impl Future<Output = T>) -> Result<T, RequestError> {
        let Some(Deadline { allowed, end }) = self.deadline else {
            return Ok(future.await);
        };
        tokio::time::timeout_at(end, future)
            .await
            .map_err(|_| RequestError::DeadlineExceeded {
                request: self.request,
                deadline: allowed,
                last: self.last.take(),
            })
    }
}
