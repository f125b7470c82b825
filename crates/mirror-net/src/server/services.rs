//! The services of a server, each with the callers that it admits.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request as HttpRequest, Response as HttpResponse};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tonic::codegen::{Bytes, StdError};
use tonic::server::NamedService;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Interceptor, Routes};
use tonic::{Request, Status};
use tower::Service;

use super::budget::Peer;
use super::counters::Bound;
use crate::tls::{Identity, PeerName, WITHOUT_CERTIFICATE};

/// The services of a server. A service is added with its callers, so that no service can be served without a decision.
#[derive(Debug, Default)]
pub struct Services {
    pub(super) routes: Routes,
    pub(super) identity: Option<Identity>,
}

/// The callers that a service admits, by the names in their certificates.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Every caller with a certificate. The service itself reads the [`PeerName`].
    Certified,
    /// The callers with these names.
    Named(&'static [&'static str]),
}

impl Services {
    /// Creates the services of a server that shows `identity` to clients that use TLS. `None` for a server that has no
    /// certificate. It can have open services only, because it refuses the calls of all others.
    pub fn new(identity: Option<Identity>) -> Self {
        Self {
            routes: Routes::default(),
            identity,
        }
    }

    /// Adds a service that admits every caller, with or without TLS.
    #[must_use]
    pub fn open<S, B>(mut self, service: S) -> Self
    where
        S: Service<HttpRequest<Body>, Response = HttpResponse<B>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self
    }

    /// Adds a service that admits only `callers`.
    #[must_use]
    pub fn only<S>(self, callers: Callers, service: S) -> Self
    where
        S: Service<HttpRequest<Body>, Response = HttpResponse<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.open(InterceptedService::new(service, Gate(callers)))
    }
}

/// Refuses the requests of callers that a service does not admit.
#[derive(Debug, Clone)]
struct Gate(Callers);

impl Interceptor for Gate {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let Some(name) = peer.as_ref().and_then(|peer| peer.name()) else {
            note(peer.as_deref(), Bound::NoCertificate);
            return Err(Status::unauthenticated(WITHOUT_CERTIFICATE));
        };
        let is_admitted = match self.0 {
            Callers::Certified => true,
            Callers::Named(names) => names.contains(&&*name.0),
        };
        if !is_admitted {
            note(peer.as_deref(), Bound::Callers);
            return Err(Status::permission_denied(format!(
                "this service does not admit `{}`, which is the name in the certificate of the caller",
                name.as_str()
            )));
        }
        request.extensions_mut().insert::<PeerName>(name);
        Ok(request)
    }
}

/// Counts a refusal.
fn note(peer: Option<&Peer>, bound: Bound) {
    if let Some(peer) = peer {
        peer.note(bound);
    }
}
