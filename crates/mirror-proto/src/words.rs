//! Readable names of enum values, for tables and messages.

use std::fmt;

use crate::mirror::v1::{DispatchError, IncidentKind, Outcome};

impl DispatchError {
    /// Returns the error in the field of a message, or `None` if the field is absent because the chain accepted the
    /// request. An unknown number becomes [`DispatchError::Unspecified`].
    pub fn from_field(field: Option<i32>) -> Option<Self> {
        field.map(|number| Self::try_from(number).unwrap_or_default())
    }
}

/// Writes the chain's name of the error, such as `NotRegistered`.
impl fmt::Display for DispatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for word in words(self.as_str_name(), "DISPATCH_ERROR_") {
            let (first, rest) = word.split_at(1);
            write!(f, "{first}{}", rest.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// Writes the kind as a word in lower case, such as `exited`.
impl fmt::Display for IncidentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for word in words(self.as_str_name(), "INCIDENT_KIND_") {
            f.write_str(&word.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// Returns the words of a value's protobuf name without the prefix of its enum.
fn words<'a>(name: &'a str, prefix: &str) -> impl Iterator<Item = &'a str> {
    let own = name.strip_prefix(prefix).unwrap_or(name);
    own.split('_').filter(|word| !word.is_empty())
}

impl Outcome {
    /// Returns the name of the outcome in tables and spans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Success => "success",
            Self::Empty => "empty",
            Self::TooShort => "too short",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Oversized => "oversized",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are those of Subtensor.
    #[test]
    fn an_error_is_displayed_with_the_name_that_the_chain_uses() {
        assert_eq!(DispatchError::NotRegistered.to_string(), "NotRegistered");
        assert_eq!(
            DispatchError::NonAssociatedColdKey.to_string(),
            "NonAssociatedColdKey"
        );
        assert_eq!(DispatchError::Overflow.to_string(), "Overflow");
    }

    #[test]
    fn an_incident_reads_as_a_word() {
        assert_eq!(IncidentKind::Exited.to_string(), "exited");
    }

    #[test]
    fn an_unknown_number_is_an_unspecified_error() {
        assert_eq!(DispatchError::from_field(None), None);
        assert_eq!(
            DispatchError::from_field(Some(12_345)),
            Some(DispatchError::Unspecified)
        );
        let known = DispatchError::InvalidUid;
        assert_eq!(DispatchError::from_field(Some(known.into())), Some(known));
    }
}
