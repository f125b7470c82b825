//! Trace contexts for calls without an identity: those between our own services.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mirror_seed::Seed;
use mirror_telemetry::{TraceContext, spans};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::tls::Identity;
use crate::{channel, metadata};

/// A channel whose calls carry their trace context.
pub type Traced = InterceptedService<Channel, Tracer>;

/// Gives each call of one caller a separate span in one trace, and shows the certificate of the caller, if it has one.
#[derive(Debug, Clone)]
pub struct Tracer {
    spans: Arc<Spans>,
    identity: Option<Identity>,
}

#[derive(Debug)]
struct Spans {
    seed: Seed,
    trace: [u8; 16],
    next: AtomicU64,
}

impl Tracer {
    /// Creates the tracer of a caller. `incarnation` is the number of earlier starts of the node named `caller`.
    pub fn new(seed: &Seed, caller: &str, incarnation: u32) -> Self {
        Self {
            spans: Arc::new(Spans {
                seed: seed_of(seed, caller, incarnation),
                trace: own_trace(seed, caller, incarnation),
                next: AtomicU64::new(0),
            }),
            identity: None,
        }
    }

    /// Returns the tracer of the same caller with a certificate.
    #[must_use]
    pub fn identified(&self, identity: Identity) -> Self {
        Self {
            spans: self.spans.clone(),
            identity: Some(identity),
        }
    }

    /// Returns a channel to `address` that connects at its first call and reconnects after a break.
    pub fn channel(&self, address: SocketAddr) -> Traced {
        InterceptedService::new(channel::lazy(address), self.clone())
    }

    /// Returns a channel to the server called `server` at `address` that uses TLS, or none if the caller has no
    /// certificate. Only services that are open to every caller then answer.
    pub fn secure_channel(&self, address: SocketAddr, server: &str) -> Traced {
        match &self.identity {
            Some(identity) => {
                let channel = channel::secure(address, identity.connecting_to(server));
                InterceptedService::new(channel, self.clone())
            }
            None => self.channel(address),
        }
    }

    /// Returns the span in which the thread works. If it works in none, returns a new one that is not recorded.
    fn context(&self) -> TraceContext {
        if let Some(current) = mirror_telemetry::current() {
            return current;
        }
        let number = self.spans.next.fetch_add(1, Ordering::Relaxed);
        let mut span = [0; 8];
        span.copy_from_slice(&self.spans.seed.numbered_child("span", number).bytes()[..8]);
        TraceContext::new(self.spans.trace, span).unrecorded()
    }
}

/// Returns the trace of the work of a node that no step and no call causes.
pub fn own_trace(seed: &Seed, node: &str, incarnation: u32) -> [u8; 16] {
    let mut trace = [0; 16];
    trace.copy_from_slice(&seed_of(seed, node, incarnation).bytes()[..16]);
    trace
}

/// Returns the trace of a block of the chain and the root of this trace, by which the spans of validators are linked to
/// it. `seed` is that of the experiment.
pub fn block_span(seed: &Seed, block: u64) -> (u128, u64) {
    let mut trace = [0; 16];
    trace.copy_from_slice(&seed.numbered_child("trace of a block", block).bytes()[..16]);
    let trace = u128::from_be_bytes(trace);
    (trace, spans::derived(trace, 0, "block", 0))
}

fn seed_of(seed: &Seed, node: &str, incarnation: u32) -> Seed {
    seed.child("tracer").numbered_child(node, incarnation.into())
}

impl Interceptor for Tracer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        metadata::write_trace(request.metadata_mut(), &self.context());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_share_a_trace_and_have_separate_spans() {
        let tracer = Tracer::new(&Seed::root(1), "validator-0", 0);
        let sent = |tracer: &Tracer| {
            let request = tracer
                .clone()
                .call(Request::new(()))
                .expect("a tracer refuses no call");
            metadata::trace(request.metadata()).expect("written just now")
        };
        let (first, second) = (sent(&tracer), sent(&tracer));
        assert_eq!(first.trace, second.trace);
        assert_ne!(first.span, second.span);
        assert_ne!(
            sent(&Tracer::new(&Seed::root(1), "validator-0", 1)).trace,
            first.trace
        );
    }
}
