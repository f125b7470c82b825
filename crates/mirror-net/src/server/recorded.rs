//! The calls that are recorded as spans and metrics: those of axons and of the chain. Calls of the services that every
//! node has for its coordinator are not.

use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use http::HeaderMap;
use mirror_proto::bittensor::text_prompting_server;
use mirror_proto::mirror::v1::subtensor_server;
use mirror_telemetry::spans::{self, Kind};
use mirror_telemetry::{Span, span};
use tonic::{Code, Status};

use crate::{metadata, metrics};

/// The paths of the methods that are recorded, with the names of their spans.
const METHODS: [(&str, &str); 8] = [
    ("/TextPrompting/Forward", "axon.forward"),
    ("/TextPrompting/MultiForward", "axon.forward"),
    ("/TextPrompting/Backward", "axon.backward"),
    ("/mirror.v1.Subtensor/Submit", "subtensor.Submit"),
    (
        "/mirror.v1.Subtensor/GetCurrentBlock",
        "subtensor.GetCurrentBlock",
    ),
    ("/mirror.v1.Subtensor/GetMetagraph", "subtensor.GetMetagraph"),
    ("/mirror.v1.Subtensor/WatchMetagraph", "subtensor.WatchMetagraph"),
    ("/mirror.v1.Subtensor/GetNominators", "subtensor.GetNominators"),
];

/// The method of a call to a method that its service does not have, as OpenTelemetry's conventions require. A caller
/// can invent any number of names.
const OTHER: &str = "_OTHER";

/// A call that is recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recorded {
    /// The method as `service/method`, or [`OTHER`].
    method: &'static str,
    /// The name of the span. `None` for methods that do not exist.
    span: Option<&'static str>,
}

impl Recorded {
    /// Returns how a call of the method at `path` is recorded.
    pub(super) fn of(path: &str) -> Option<Self> {
        if let Some((path, span)) = METHODS.iter().find(|(known, _)| *known == path) {
            return Some(Self {
                method: path.trim_start_matches('/'),
                span: Some(span),
            });
        }
        let (service, _) = path.trim_start_matches('/').split_once('/')?;
        let is_recorded = [
            text_prompting_server::SERVICE_NAME,
            subtensor_server::SERVICE_NAME,
        ]
        .contains(&service);
        is_recorded.then_some(Self {
            method: OTHER,
            span: None,
        })
    }

    /// Returns the span of an incoming call, whose parent is the span that the caller sent.
    fn span(self, headers: &HeaderMap) -> Span {
        let Some(name) = self.span else {
            return Span::none();
        };
        let (trace, parent, is_recorded) = match metadata::trace_of(headers) {
            Some(caller) => (
                u128::from_be_bytes(caller.trace.to_bytes()),
                u64::from_be_bytes(caller.span.to_bytes()),
                caller.is_recorded,
            ),
            // Each call of a program that has no traces is a trace of its own.
            None => (random_trace(), 0, true),
        };
        span(name)
            .in_trace(trace, parent)
            .id(spans::derived(trace, parent, "server", 0))
            .called_by_recorded(is_recorded)
            .kind(Kind::Server)
            .start()
    }
}

/// A call in progress. If it is dropped before [`end`](Self::end), the caller cancelled it, or its deadline passed.
#[derive(Debug)]
pub(super) struct Recording {
    started: Instant,
    /// `None` if the call is not recorded, or has ended.
    call: Option<(Recorded, Span)>,
}

impl Recording {
    /// Begins to record a call.
    pub(super) fn start<B>(request: &http::Request<B>) -> Self {
        let recorded = Recorded::of(request.uri().path());
        Self {
            started: Instant::now(),
            call: recorded.map(|recorded| (recorded, recorded.span(request.headers()))),
        }
    }

    /// Returns the span of the call.
    pub(super) fn span(&self) -> Span {
        self.call
            .as_ref()
            .map_or_else(Span::none, |(_, span)| span.clone())
    }

    /// Records the end of the call. `headers` are those of the response, which contain the status of a call that
    /// failed.
    pub(super) fn end(mut self, headers: &HeaderMap) {
        let status = Status::from_header_map(headers);
        self.record(&status.unwrap_or_else(|| Status::ok("")));
    }

    fn record(&mut self, status: &Status) {
        let Some((recorded, span)) = self.call.take() else {
            return;
        };
        metrics::server_call(recorded.method, status.code(), self.started.elapsed());
        span.record("rpc.response.status_code", metrics::code_name(status.code()));
        if status.code() != Code::Ok {
            span.fail(status.message());
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.record(&Status::cancelled(
            "the caller cancelled the call, or its deadline passed",
        ));
    }
}

/// Returns the id of a new trace. The standard library has random numbers only as the keys of its hash function.
fn random_trace() -> u128 {
    let random = || RandomState::new().hash_one(());
    u128::from(random()) << 64 | u128::from(random()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the paths of the methods of a service in a file of definitions.
    fn methods(proto: &str, service: &str, path: &str) -> Vec<String> {
        let (_, definition) = proto
            .split_once(&format!("service {service} {{"))
            .expect("the file defines the service");
        let (definition, _) = definition.split_once("\n}").expect("the definition ends");
        let names = definition
            .lines()
            .filter_map(|line| line.trim().strip_prefix("rpc ")?.split_once('('));
        names
            .map(|(name, _)| format!("/{path}/{}", name.trim()))
            .collect()
    }

    #[test]
    fn every_method_of_axons_and_of_the_chain_is_recorded() {
        let mut expected = methods(
            include_str!("../../../../proto/bittensor/text_prompting.proto"),
            "TextPrompting",
            text_prompting_server::SERVICE_NAME,
        );
        expected.extend(methods(
            include_str!("../../../../proto/mirror/v1/subtensor.proto"),
            "Subtensor",
            subtensor_server::SERVICE_NAME,
        ));
        assert_eq!(METHODS.map(|(path, _)| path.to_owned()).to_vec(), expected);
    }

    #[test]
    fn invented_methods_have_one_name() {
        for path in [
            "/TextPrompting/Xyz",
            "/mirror.v1.Subtensor/",
            "/TextPrompting/Forward/",
        ] {
            let recorded = Recorded::of(path).expect("the service is recorded");
            assert_eq!((recorded.method, recorded.span), (OTHER, None), "{path}");
        }
        for path in ["", "/", "/grpc.health.v1.Health/Check", "TextPrompting"] {
            assert!(Recorded::of(path).is_none(), "{path}");
        }
    }

    #[test]
    fn two_calls_without_traces_have_two_traces() {
        assert_ne!(random_trace(), random_trace());
    }
}
