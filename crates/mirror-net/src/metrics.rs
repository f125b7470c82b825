//! The metrics of gRPC calls, by OpenTelemetry's conventions for RPC.

use std::time::Duration;

use mirror_proto::mirror::v1::subtensor_server;
use mirror_telemetry::metrics::{KeyValue, Value, instruments};
use tonic::Code;

/// Returns the name of a status code in the specification of gRPC, such as `DEADLINE_EXCEEDED`.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Counts a call of the method `name` of the chain's service.
pub fn chain_call(name: &str, code: Code, took: Duration) {
    let method = format!("{}/{name}", subtensor_server::SERVICE_NAME);
    instruments()
        .client_calls
        .record(took.as_secs_f64(), &conventional(method, code));
}

/// Counts a call that sent a reward to an axon.
pub fn reward_call(method: &'static str, code: Code, took: Duration) {
    instruments()
        .client_calls
        .record(took.as_secs_f64(), &conventional(method, code));
}

/// Counts a call that sent a prompt to an axon, with its outcome by this project's names.
pub fn forward_call(method: &'static str, code: Code, outcome: &'static str, took: Duration) {
    let [system, method, code] = conventional(method, code);
    let attributes = [system, method, code, KeyValue::new("mirror.code", outcome)];
    instruments().client_calls.record(took.as_secs_f64(), &attributes);
}

/// Counts a call that this process has served.
pub(crate) fn server_call(method: &'static str, code: Code, took: Duration) {
    instruments()
        .server_calls
        .record(took.as_secs_f64(), &conventional(method, code));
}

fn conventional(method: impl Into<Value>, code: Code) -> [KeyValue; 3] {
    [
        KeyValue::new("rpc.system.name", "grpc"),
        KeyValue::new("rpc.method", method),
        KeyValue::new("rpc.response.status_code", code_name(code)),
    ]
}
