//! Metadata of a call in addition to the protocol's entries: the numbers of an axon call, and the trace context.

use std::fmt::Debug;

use mirror_proto::protocol::CONTROL_TOKEN_KEY;
use mirror_seed::CallId;
use mirror_telemetry::TraceContext;
use subtle::ConstantTimeEq;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

/// Writes a call's numbers and its trace context.
pub fn write(metadata: &mut MetadataMap, call: &CallId, trace: &TraceContext) {
    metadata.insert(CallId::METADATA_KEY, ascii(call.numbers().to_string()));
    write_trace(metadata, trace);
}

/// Writes only a trace context.
pub fn write_trace(metadata: &mut MetadataMap, trace: &TraceContext) {
    metadata.insert(TraceContext::METADATA_KEY, ascii(trace.encoded().as_slice()));
}

/// Writes the token of a run, with which the sender identifies itself.
///
/// # Errors
/// Returns the token if it is not ASCII.
pub fn write_token<'a>(metadata: &mut MetadataMap, token: &'a str) -> Result<(), &'a str> {
    let mut value: MetadataValue<Ascii> = token.parse().map_err(|_| token)?;
    value.set_sensitive(true);
    metadata.insert(CONTROL_TOKEN_KEY, value);
    Ok(())
}

/// Checks that a request carries `token`, in a time that depends only on the lengths. An empty token refuses all.
///
/// # Errors
/// Returns a status with the code `PERMISSION_DENIED`.
#[allow(clippy::result_large_err, reason = "the error of a gRPC call is a status")]
pub fn check_token(metadata: &MetadataMap, token: &str) -> Result<(), Status> {
    let given = metadata.get(CONTROL_TOKEN_KEY);
    let is_equal = given.is_some_and(|given| token.as_bytes().ct_eq(given.as_bytes()).into());
    if is_equal && !token.is_empty() {
        Ok(())
    } else {
        Err(Status::permission_denied(format!(
            "the metadata entry `{CONTROL_TOKEN_KEY}` is not the token of this run"
        )))
    }
}

/// Returns the call numbers that the caller sent, if any.
pub fn call_numbers(metadata: &MetadataMap) -> Option<&str> {
    metadata.get(CallId::METADATA_KEY)?.to_str().ok()
}

/// Returns the trace context that the caller sent. An invalid one counts as absent, as the specification requires.
pub fn trace(metadata: &MetadataMap) -> Option<TraceContext> {
    metadata
        .get(TraceContext::METADATA_KEY)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Returns a per-call value. It is marked sensitive so that HPACK does not index it and evict the values that repeat
/// from call to call.
fn ascii<T>(text: T) -> MetadataValue<Ascii>
where
    T: TryInto<MetadataValue<Ascii>, Error: Debug>,
{
    let mut value = text.try_into().expect("digits, dots and dashes are ASCII");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use mirror_seed::CallNumber;

    use super::*;

    #[test]
    fn call_numbers_and_trace_context_round_trip() {
        let call = CallId {
            caller: [1; 32],
            step: 5,
            forward_index: 1,
            uid: 3,
            call: CallNumber::QUERY,
        };
        let context = TraceContext::new([2; 16], [3; 8]);
        let mut metadata = MetadataMap::new();
        write(&mut metadata, &call, &context);
        let numbers = call_numbers(&metadata).expect("written just now");
        assert_eq!(CallId::from_numbers([1; 32], 3, numbers), Ok(call));
        assert_eq!(trace(&metadata), Some(context));
    }

    #[test]
    fn only_the_token_of_the_run_is_accepted() {
        let mut metadata = MetadataMap::new();
        assert!(check_token(&metadata, "secret").is_err());
        write_token(&mut metadata, "secret").expect("it is ASCII");
        assert!(check_token(&metadata, "secret").is_ok());
        assert!(check_token(&metadata, "secre").is_err());
        assert!(check_token(&metadata, "").is_err());
        write_token(&mut metadata, "").expect("it is ASCII");
        assert!(check_token(&metadata, "").is_err());
    }

    #[test]
    fn absent_entries_are_none() {
        assert_eq!(call_numbers(&MetadataMap::new()), None);
        assert_eq!(trace(&MetadataMap::new()), None);
    }
}
