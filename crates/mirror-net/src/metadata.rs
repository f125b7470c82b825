//! Metadata of a call in addition to the protocol's entries: the numbers of an axon call, and the trace context.

use std::fmt::Debug;

use http::HeaderMap;
use mirror_seed::CallId;
use mirror_telemetry::TraceContext;
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

/// Returns the call numbers that the caller sent, if any.
pub fn call_numbers(metadata: &MetadataMap) -> Option<&str> {
    metadata.get(CallId::METADATA_KEY)?.to_str().ok()
}

/// Returns the trace context that the caller sent. An invalid one counts as absent, as the specification requires.
pub fn trace(metadata: &MetadataMap) -> Option<TraceContext> {
    trace_of(metadata.as_ref())
}

/// Returns the trace context in the headers of a call.
pub(crate) fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    headers
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
    fn absent_entries_are_none() {
        assert_eq!(call_numbers(&MetadataMap::new()), None);
        assert_eq!(trace(&MetadataMap::new()), None);
    }
}
