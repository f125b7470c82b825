//! `spans`: one row per span of a trace.

use std::cmp::Ordering;

use super::{Row, columns};

/// The service of an axon.
const TEXT_PROMPTING: &str = "TextPrompting";

columns! {
    /// One span: a piece of work of one process, with its place in a trace.
    ///
    /// The first columns are those by which spans are joined with other tables. Attributes that have no column are in
    /// `attributes`. `docs/traces.md` lists the names and attributes of all spans.
    #[derive(Default)]
    pub struct SpanRow {
        /// Trace of the span, 32 hexadecimal digits. It is the `trace_id` of the events of its step.
        pub trace_id: String,
        /// The span, 16 hexadecimal digits.
        pub span_id: String,
        /// The span that caused this one. `None` for the root of a trace.
        pub parent_id: Option<String>,
        /// Name of the span, such as `dendrite.forward`.
        pub name: String,
        /// `internal`, `client` or `server`.
        pub kind: String,
        /// Name of the node that recorded the span, according to its certificate.
        pub node: String,
        /// Number of earlier starts of the node.
        pub incarnation: u32,
        /// Start in nanoseconds since 1970, by the clock of the node.
        pub started_ns: u64,
        /// Duration in nanoseconds, by the monotonic clock of the node.
        pub duration_ns: u64,
        /// Step of the query.
        pub step: Option<u64>,
        /// Forward index within the step.
        pub forward_index: Option<u32>,
        /// The uid of the called or answering axon, or of the caller of the chain.
        pub uid: Option<u32>,
        /// Block of the chain.
        pub block: Option<u64>,
        /// Outcome of a call as in `responses`, or the return code of an axon.
        pub code: Option<String>,
        /// Description of the error. `None` if the span did not fail.
        pub error: Option<String>,
        /// The effects of faults on a call, as in `responses`: `slow/latency, slow/drop`.
        pub rules: Option<String>,
        /// Spans of other traces that this one is linked to, as `<trace>-<span>`, separated by commas.
        pub links: Option<String>,
        /// The other attributes, as a JSON object.
        pub attributes: Option<String>,
        /// Number of attributes that exceeded the limits and were dropped.
        pub dropped_attributes: u32,
    }
}

impl SpanRow {
    /// Returns the attributes by OpenTelemetry's semantic conventions for RPC and for generative models that follow
    /// from the name of the span. They are the same for all spans of a name, so they are not stored.
    pub fn conventional_attributes(&self) -> Vec<(&'static str, String)> {
        let (of_axon, method) = match self.name.split_once('.') {
            Some(("axon" | "dendrite", "forward" | "relay")) => (true, format!("{TEXT_PROMPTING}/Forward")),
            Some(("axon" | "dendrite", "backward")) => (true, format!("{TEXT_PROMPTING}/Backward")),
            Some(("subtensor", method)) => (false, format!("mirror.v1.Subtensor/{method}")),
            _ => return Vec::new(),
        };
        let mut attributes = vec![("rpc.system.name", "grpc".to_owned()), ("rpc.method", method)];
        if of_axon {
            attributes.push(("gen_ai.operation.name", "chat".to_owned()));
        }
        attributes
    }

    /// Returns the end in nanoseconds since 1970, by the clock of the node.
    pub fn ended_ns(&self) -> u64 {
        self.started_ns.saturating_add(self.duration_ns)
    }
}

/// Spans come over OTLP and are no records of the journal.
impl Row for SpanRow {
    const TABLE: &'static str = "spans";
    const ABOUT: &'static str = "one row per span of a trace";
    const TIMING: &'static [&'static str] = &["started_ns", "duration_ns"];
    const DISTINCT: &'static [&'static str] = &["span_id", "parent_id", "started_ns", "duration_ns"];

    fn order(&self, other: &Self) -> Ordering {
        (self.trace_id.cmp(&other.trace_id))
            .then_with(|| self.started_ns.cmp(&other.started_ns))
            .then_with(|| self.span_id.cmp(&other.span_id))
    }

    fn identity(&self) -> String {
        format!("trace {}, span {} ({})", self.trace_id, self.span_id, self.name)
    }
}
