//! What travels in the metadata of a call besides the protocol's own entries: an axon call's numbers, and the trace.

use std::fmt::Debug;

use mirror_seed::CallId;
use mirror_telemetry::TraceContext;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

/// Writes a call's numbers and its trace context.
pub fn write(metadata: &mut MetadataMap, call: &CallId, trace: &TraceContext) {
    metadata.insert(CallId::METADATA_KEY, ascii(call.numbers().to_string()));
    write_trace(metadata, trace);
}

/// Writes a trace context alone.
pub fn write_trace(metadata: &mut MetadataMap, trace: &TraceContext) {
    metadata.insert(TraceContext::METADATA_KEY, ascii(trace.encoded().as_slice()));
}

/// The call numbers that a caller sent, if it sent any.
pub fn call_numbers(metadata: &MetadataMap) -> Option<&str> {
    metadata.get(CallId::METADATA_KEY)?.to_str().ok()
}

/// The trace context that a caller sent; what is not one counts as none, as the specification asks.
pub fn trace(metadata: &MetadataMap) -> Option<TraceContext> {
    metadata
        .get(TraceContext::METADATA_KEY)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// A value that no two calls share. It is marked so that HTTP/2 spells it out: in the connection's table of recent
/// values it would only push out those that every call repeats.
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
    fn what_is_written_is_read() {
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
    fn a_stranger_sends_neither() {
        assert_eq!(call_numbers(&MetadataMap::new()), None);
        assert_eq!(trace(&MetadataMap::new()), None);
    }
}
