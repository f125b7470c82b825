//! Reads the fields of an encoded protobuf message one after the other, without allocation.

use prost::DecodeError;
use prost::encoding::{WireType, decode_key, decode_varint};

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Bytes that are not a message of the expected type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

impl From<DecodeError> for Invalid {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

/// The fields of a message, with their numbers, in the order of the encoding. Nothing follows an invalid field.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Result<(u32, Field<'a>), Invalid> {
        let (number, wire_type) = decode_key(&mut self.rest)?;
        let field = match wire_type {
            WireType::Varint => Field::Varint(decode_varint(&mut self.rest)?),
            WireType::SixtyFourBit => Field::Fixed64(u64::from_le_bytes(*self.chunk()?)),
            WireType::ThirtyTwoBit => Field::Fixed32(u32::from_le_bytes(*self.chunk()?)),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut self.rest)?).map_err(|_| Invalid)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Invalid)?;
                self.rest = rest;
                Field::Bytes(bytes)
            }
            // OTLP has no groups.
            WireType::StartGroup | WireType::EndGroup => return Err(Invalid),
        };
        Ok((number, field))
    }

    fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], Invalid> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(Invalid)?;
        self.rest = rest;
        Ok(chunk)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Returns the text of a field.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Invalid> {
    str::from_utf8(bytes).map_err(|_| Invalid)
}
