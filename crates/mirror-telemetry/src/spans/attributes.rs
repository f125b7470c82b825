//! The attributes of a span, in the encoding of spans.

use super::wire;
pub use super::wire::Value;

/// Maximum number of attributes of a span, the default of OpenTelemetry.
const MAX_ATTRIBUTES: u32 = 128;

/// Maximum length of the text of an attribute in bytes.
const MAX_TEXT: usize = 4_096;

/// Capacity for the attributes of a call, in bytes.
const CAPACITY: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) encoded: Vec<u8>,
    count: u32,
    /// Number of attributes beyond [`MAX_ATTRIBUTES`].
    pub(super) dropped: u32,
}

impl Attributes {
    pub(super) fn add(&mut self, key: &str, value: Value<'_>) {
        if self.count >= MAX_ATTRIBUTES {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        if self.count == 0 {
            self.encoded.reserve(CAPACITY);
        }
        self.count += 1;
        let value = match value {
            Value::Text(text) => Value::Text(cut(text)),
            value => value,
        };
        wire::attribute(&mut self.encoded, key, value);
    }
}

/// Cuts a text to [`MAX_TEXT`] bytes.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

/// A type whose values can be those of an attribute.
pub trait Attribute {
    /// Returns the value. `None` if the attribute is left out.
    fn value(&self) -> Option<Value<'_>>;
}

impl Attribute for str {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Text(self))
    }
}

impl Attribute for String {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Text(self))
    }
}

impl Attribute for bool {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Bool(*self))
    }
}

impl Attribute for u16 {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Int((*self).into()))
    }
}

impl Attribute for u32 {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Int((*self).into()))
    }
}

/// Numbers above `i64::MAX` become that.
impl Attribute for u64 {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Int(i64::try_from(*self).unwrap_or(i64::MAX)))
    }
}

impl Attribute for f64 {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Double(*self))
    }
}

impl<T: Attribute + ?Sized> Attribute for &T {
    fn value(&self) -> Option<Value<'_>> {
        (**self).value()
    }
}

impl<T: Attribute> Attribute for Option<T> {
    fn value(&self) -> Option<Value<'_>> {
        self.as_ref()?.value()
    }
}
