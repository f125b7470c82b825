//! The fields of a span.

use std::fmt::{self, Write};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tracing::field::{Field, Visit};
use tracing::span::Attributes;

use super::wire::{self, Value};

const TRACE: &str = "trace";
const SPAN: &str = "span";
const PARENT: &str = "parent";
const NTH: &str = "nth";
const RECORDED: &str = "recorded";
const NAME: &str = "otel.name";
const KIND: &str = "otel.kind";
const ERROR: &str = "otel.status_description";
const LINK_TRACE: &str = "link.trace";
const LINK_SPAN: &str = "link.span";

/// Maximum number of attributes of a span, the default of OpenTelemetry.
const MAX_ATTRIBUTES: u32 = 128;

/// Maximum length of the text of an attribute in bytes.
const MAX_TEXT: usize = 4_096;

/// The ids that a span states.
#[derive(Default)]
pub(super) struct Ids {
    pub(super) trace: Option<u128>,
    pub(super) id: Option<u64>,
    pub(super) parent: Option<u64>,
    pub(super) nth: Option<u64>,
    pub(super) is_recorded: Option<bool>,
}

impl Ids {
    pub(super) fn of(attributes: &Attributes<'_>) -> Self {
        let mut ids = Self::default();
        attributes.record(&mut ids);
        ids
    }
}

impl Visit for Ids {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            SPAN => self.id = Some(value),
            PARENT => self.parent = Some(value),
            NTH => self.nth = Some(value),
            _ => {}
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        if field.name() == TRACE {
            self.trace = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    fn record_str(&mut self, _: &Field, _: &str) {}
    fn record_i64(&mut self, _: &Field, _: i64) {}

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == RECORDED {
            self.is_recorded = Some(value);
        }
    }

    fn record_f64(&mut self, _: &Field, _: f64) {}
}

/// The fields of a span that are recorded.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) name: Option<String>,
    pub(super) kind: SpanKind,
    pub(super) error: Option<String>,
    pub(super) link: Option<(u128, u64)>,
    /// The attributes in the encoding of a span.
    pub(super) attributes: Vec<u8>,
    count: u32,
    /// Number of attributes beyond [`MAX_ATTRIBUTES`].
    pub(super) dropped: u32,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value<'_>) {
        if self.count >= MAX_ATTRIBUTES {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.count += 1;
        wire::attribute(&mut self.attributes, field.name(), value);
    }

    fn text(&mut self, field: &Field, text: &str) {
        let text = &text[..text.floor_char_boundary(MAX_TEXT)];
        match field.name() {
            NAME => self.name = Some(text.to_owned()),
            ERROR => self.error = Some(text.to_owned()),
            _ => self.add(field, Value::Text(text)),
        }
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            SPAN | PARENT | NTH => {}
            LINK_SPAN => self.link = Some((self.link.unwrap_or_default().0, value)),
            _ => self.add(field, Value::Int(i64::try_from(value).unwrap_or(i64::MAX))),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match field.name() {
            TRACE => {}
            LINK_TRACE => self.link = Some((value, self.link.unwrap_or_default().1)),
            _ => self.text(field, &value.to_string()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Int(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::Double(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() != RECORDED {
            self.add(field, Value::Bool(value));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == KIND {
            self.kind = match value {
                "client" => SpanKind::Client,
                "server" => SpanKind::Server,
                _ => SpanKind::Internal,
            };
            return;
        }
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded(String::new());
        // The text ends where it becomes too long, with an error.
        let _ = write!(text, "{value:?}");
        self.text(field, &text.0);
    }
}

/// A text that takes no more than [`MAX_TEXT`] bytes.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT.saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if room < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}
