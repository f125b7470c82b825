//! Sends malformed replies.

use mirror_proto::bittensor::ReturnCode;
use mirror_spec::Malformation;
use tonic::async_trait;

use super::{Answer, Behaviour, Call, Next};
use crate::wire::Wire;

/// Length of an oversized completion in bytes, above the 256 KiB that a caller accepts.
const OVERSIZED: usize = 300 << 10;

/// Number of spaces in a blank completion, long enough to count.
const SPACES: usize = 40;

/// Protobuf: the field `response`, a string of two bytes that are not valid UTF-8.
const INVALID_UTF8: [u8; 4] = [0x1a, 2, 0xc3, 0x28];

/// Protobuf: the field `response` with a length beyond the end of the message.
const WRONG_PROTOBUF: [u8; 3] = [0x1a, 100, b'a'];

pub(super) struct Malformed(pub(super) Malformation);

#[async_trait]
impl Behaviour for Malformed {
    async fn answer(&self, _call: &Call, _next: Next<'_>) -> Answer {
        match self.0 {
            Malformation::Empty => Answer::Coded(String::new(), ReturnCode::Success),
            Malformation::Spaces => Answer::Completion(" ".repeat(SPACES)),
            Malformation::Oversized => Answer::Completion("x".repeat(OVERSIZED)),
            Malformation::InvalidUtf8 => Answer::Wire(Wire::Message(&INVALID_UTF8)),
            Malformation::ControlCharacters => Answer::Completion(('\0'..' ').collect()),
            Malformation::WrongProtobuf => Answer::Wire(Wire::Message(&WRONG_PROTOBUF)),
            Malformation::WrongCode => Answer::Coded(
                "An answer that says of itself that there is none.".to_owned(),
                ReturnCode::UnknownException,
            ),
            Malformation::Drip => Answer::Wire(Wire::Drip),
        }
    }
}
