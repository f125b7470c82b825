//! W3C trace context (level 1): the `traceparent` entry of a call's metadata.

use std::fmt;
use std::str::FromStr;

use opentelemetry::trace::{SpanId, TraceId};

/// The trace and the span that a call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace of the call.
    pub trace: TraceId,
    /// Span of the caller.
    pub span: SpanId,
    /// Whether the caller may have recorded its span: the flag `sampled` of the specification.
    pub is_recorded: bool,
}

/// Error of an invalid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `00-<32 hexadecimal digits>-<16 hexadecimal digits>-<2 hexadecimal digits>`, not all zero")]
pub struct ParseTraceParentError;

/// The bit of the flags that states whether the caller may have recorded its span.
const SAMPLED: u8 = 1;

impl TraceContext {
    /// Name of the metadata entry.
    pub const METADATA_KEY: &str = "traceparent";

    /// Creates a context of these identifiers, with a span that is recorded.
    pub fn new(trace: [u8; 16], span: [u8; 8]) -> Self {
        Self {
            trace: TraceId::from_bytes(trace),
            span: SpanId::from_bytes(span),
            is_recorded: true,
        }
    }

    /// Returns the context of a caller that does not record its span.
    #[must_use]
    pub fn unrecorded(self) -> Self {
        Self {
            is_recorded: false,
            ..self
        }
    }

    /// Returns the text of the entry, in ASCII.
    pub fn encoded(&self) -> [u8; 55] {
        const FITS: &str = "two digits per byte";
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        hex::encode_to_slice(self.trace.to_bytes(), &mut text[3..35]).expect(FITS);
        hex::encode_to_slice(self.span.to_bytes(), &mut text[36..52]).expect(FITS);
        if !self.is_recorded {
            text[54] = b'0';
        }
        text
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.encoded()).expect("digits and dashes are UTF-8"))
    }
}

impl FromStr for TraceContext {
    type Err = ParseTraceParentError;

    fn from_str(text: &str) -> Result<Self, ParseTraceParentError> {
        let mut parts = text.splitn(5, '-');
        let mut part = |length: usize| {
            let part = parts.next().filter(|part| part.len() == length)?;
            part.bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
                .then_some(part)
        };
        let (Some(version), Some(trace), Some(span), Some(flags)) = (part(2), part(32), part(16), part(2))
        else {
            return Err(ParseTraceParentError);
        };
        let trace = TraceId::from_hex(trace).map_err(|_| ParseTraceParentError)?;
        let span = SpanId::from_hex(span).map_err(|_| ParseTraceParentError)?;
        if version != "00" || parts.next().is_some() || trace == TraceId::INVALID || span == SpanId::INVALID {
            return Err(ParseTraceParentError);
        }
        let flags = u8::from_str_radix(flags, 16).map_err(|_| ParseTraceParentError)?;
        Ok(Self {
            trace,
            span,
            is_recorded: flags & SAMPLED != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context: TraceContext = text.parse().expect("the specification's own example");
        assert_eq!(context.to_string(), text);
        assert_eq!(context.span.to_bytes()[0], 0xb7);
    }

    /// The second example of section 3.2.3 of the specification, whose flags are 00.
    #[test]
    fn the_flags_state_whether_the_caller_records() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let context: TraceContext = text.parse().expect("the specification's example");
        assert!(!context.is_recorded);
        assert_eq!(context.to_string(), text);
        let recorded: TraceContext = text.replace("b7-00", "b7-01").parse().expect("the first example");
        assert_eq!(recorded.unrecorded(), context);
    }

    #[test]
    fn an_invalid_traceparent_is_refused() {
        for text in [
            "",
            "00",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(ParseTraceParentError), "{text}");
        }
    }
}
