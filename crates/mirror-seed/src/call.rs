//! The identity of an axon call.

use std::fmt;
use std::str::FromStr;

use crate::CallNumber;

/// The identity of one axon call. The caller assigns the numbers and sends them in the call's metadata, so that both
/// ends derive the same draws for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    /// The caller's public hotkey.
    pub caller: [u8; 32],
    /// The caller's step.
    pub step: u64,
    /// Index of the forward within its step, from 0.
    pub forward_index: u32,
    /// The uid of the called axon.
    pub uid: u32,
    /// Number of the call among those of this forward to this uid.
    pub call: CallNumber,
}

/// The error returned when the numbers of a call cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid call number `{0}`: expected step.forward_index.call, three whole numbers")]
pub struct ParseCallIdError(String);

/// The part of a call's identity that is sent in the metadata, as `step.forward_index.call`. Both ends already know the
/// caller and the uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    step: u64,
    forward_index: u32,
    call: CallNumber,
}

impl CallId {
    /// Returns the value of the metadata entry [`CallId::METADATA_KEY`].
    pub fn numbers(&self) -> impl fmt::Display {
        Numbers {
            step: self.step,
            forward_index: self.forward_index,
            call: self.call,
        }
    }

    /// Builds the identity at the called end from the caller of the request, the axon's uid and the numbers in the
    /// metadata.
    ///
    /// # Errors
    /// Returns [`ParseCallIdError`] if `numbers` is not `step.forward_index.call`.
    pub fn from_numbers(caller: [u8; 32], uid: u32, numbers: &str) -> Result<Self, ParseCallIdError> {
        let Numbers {
            step,
            forward_index,
            call,
        } = numbers.parse()?;
        Ok(Self {
            caller,
            step,
            forward_index,
            uid,
            call,
        })
    }

    /// Name of the metadata entry.
    pub const METADATA_KEY: &str = "mirror-call";

    pub(crate) fn bytes(&self) -> [u8; 52] {
        let mut bytes = [0; 52];
        bytes[..32].copy_from_slice(&self.caller);
        bytes[32..40].copy_from_slice(&self.step.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.forward_index.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.uid.to_le_bytes());
        bytes[48..].copy_from_slice(&self.call.bytes());
        bytes
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.step, self.forward_index, self.call)
    }
}

impl FromStr for Numbers {
    type Err = ParseCallIdError;

    fn from_str(text: &str) -> Result<Self, ParseCallIdError> {
        let mut parts = text.split('.');
        let numbers = (|| {
            Some(Self {
                step: parts.next()?.parse().ok()?,
                forward_index: parts.next()?.parse().ok()?,
                call: parts.next()?.parse().ok()?,
            })
        })();
        match (numbers, parts.next()) {
            (Some(numbers), None) => Ok(numbers),
            _ => Err(ParseCallIdError(text.chars().take(64).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_have_the_same_identity() {
        let sent = CallId {
            caller: [9; 32],
            step: 41,
            forward_index: 1,
            uid: 12,
            call: CallNumber::QUERY,
        };
        let received = CallId::from_numbers([9; 32], 12, &sent.numbers().to_string());
        assert_eq!(received, Ok(sent));
    }

    #[test]
    fn invalid_call_numbers_are_refused() {
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "a.b.c",
            "1.2.-3",
            "99999999999999999999.0.0",
        ] {
            assert!(CallId::from_numbers([0; 32], 0, text).is_err(), "{text}");
        }
    }
}
