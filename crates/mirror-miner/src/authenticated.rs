//! A service that answers only calls with a valid signature, which is checked before the body is read.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use mirror_auth::Verifier;
use mirror_telemetry::Span;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tower::Service;

use crate::refusals::{Cause, Refusals};

/// Refuses calls without a valid signature with the status UNAUTHENTICATED. Those that `service` answers have a
/// [`Sender`](mirror_auth::Sender) among their extensions.
#[derive(Clone)]
pub struct Authenticated<S> {
    pub(crate) service: S,
    pub(crate) verifier: Verifier,
    pub(crate) refusals: Arc<Refusals>,
}

impl<S> Service<http::Request<Body>> for Authenticated<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The clone may not be ready, so it is left for the next call.
        let next = self.clone();
        let Self {
            mut service,
            verifier,
            refusals,
        } = std::mem::replace(self, next);
        async move {
            let metadata = MetadataMap::from_headers(std::mem::take(request.headers_mut()));
            let checking = Span::current().stage("axon.signature");
            let checked = verifier.check_together(&metadata).await;
            drop(checking);
            *request.headers_mut() = metadata.into_headers();
            match checked {
                Ok(sender) => {
                    request.extensions_mut().insert(sender);
                    service.call(request).await
                }
                Err(refusal) => {
                    refusals.note(Cause::Signature, None, &refusal);
                    Ok(Status::unauthenticated(refusal.to_string()).into_http())
                }
            }
        }
        .boxed()
    }
}

impl<S: NamedService> NamedService for Authenticated<S> {
    const NAME: &'static str = S::NAME;
}
