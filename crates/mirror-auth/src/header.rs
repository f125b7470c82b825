//! The entry with the signature, and the message that is signed.

use mirror_identity::Signature;

/// Maximum length of a signature entry in bytes. That of a real dendrite has about 240.
const MAX_LENGTH: usize = 512;

/// Maximum length of the identifier of a dendrite in bytes. A UUID has 36.
const MAX_DENDRITE: usize = 64;

/// The parts of a signature entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) nonce: i128,
    /// The ss58 address of the sender.
    pub(crate) sender: &'a str,
    /// The signature as it was sent.
    pub(crate) signature: &'a str,
    /// The identifier of the dendrite.
    pub(crate) dendrite: &'a str,
}

impl<'a> Header<'a> {
    /// Splits an entry into its parts. `None` if it does not have four, if the nonce is not an integer of 128 bits, or
    /// if it is too long.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let mut parts = text.split('.');
        let header = Self {
            nonce: python_integer(parts.next()?)?,
            sender: parts.next()?,
            signature: parts.next()?,
            dendrite: parts.next()?,
        };
        let is_complete = parts.next().is_none() && header.dendrite.len() <= MAX_DENDRITE;
        is_complete.then_some(header)
    }

    /// Returns the signature. `None` if it is not `0x` and 128 hexadecimal digits.
    pub(crate) fn signature(&self) -> Option<Signature> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(self.signature.strip_prefix("0x")?, &mut bytes).ok()?;
        Some(Signature::from_bytes(bytes))
    }
}

/// Returns the message that a dendrite signs for a call to the axon of `receiver`, an ss58 address.
pub(crate) fn message(nonce: i128, sender: &str, receiver: &str, dendrite: &str) -> String {
    format!("{nonce}.{sender}.{receiver}.{dendrite}")
}

/// Parses an integer as Python's `int` does: with spaces around it, a sign, and single underscores between digits.
/// `None` if it is not an integer, or needs more than 128 bits.
pub(crate) fn python_integer(text: &str) -> Option<i128> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut number: i128 = 0;
    for group in digits.split('_') {
        if group.is_empty() {
            return None;
        }
        for digit in group.bytes() {
            let digit = digit.is_ascii_digit().then(|| i128::from(digit - b'0'))?;
            number = number.checked_mul(10)?.checked_add(digit)?;
        }
    }
    Some(if is_negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_python() {
        for (text, number) in [
            ("500", 500),
            (" +5_0_0\n", 500),
            ("-7", -7),
            ("007", 7),
            ("170141183460469231731687303715884105727", i128::MAX),
        ] {
            assert_eq!(python_integer(text), Some(number), "{text:?}");
        }
        for text in [
            "",
            " ",
            "x",
            "5.0",
            "_5",
            "5_",
            "5__0",
            "+-5",
            "- 5",
            "0x10",
            "٣",
            "5 0",
            "170141183460469231731687303715884105728",
        ] {
            assert_eq!(python_integer(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_entry_has_four_parts() {
        let header = Header::parse("12.5abc.0xff.id-1").expect("it has four parts");
        let expected = Header {
            nonce: 12,
            sender: "5abc",
            signature: "0xff",
            dendrite: "id-1",
        };
        assert_eq!(header, expected);
        assert_eq!(header.signature(), None);
        for text in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "a.b.c.d",
            &format!("1.b.c.{}", "d".repeat(65)),
        ] {
            assert_eq!(Header::parse(text), None, "{text}");
        }
        assert_eq!(Header::parse(&format!("1.{}.c.d", "b".repeat(600))), None);
    }
}
