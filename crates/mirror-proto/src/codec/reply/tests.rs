use http_body_util::StreamBody;
use prost::Message;
use tonic::Code;

use super::*;
use crate::bittensor::ForwardTextPromptingResponse;
use crate::codec::Decoder;

const LIMIT: usize = 64;

fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

fn completion(text: &str) -> Vec<u8> {
    let reply = ForwardTextPromptingResponse {
        response: text.to_owned(),
        ..Default::default()
    };
    framed(&reply.encode_to_vec())
}

fn trailers(name: &'static str, value: i32) -> Frame<Bytes> {
    Frame::trailers(
        [(http::HeaderName::from_static(name), value.into())]
            .into_iter()
            .collect(),
    )
}

/// Reads a response of HTTP status 200 whose body consists of these frames.
async fn read(frames: Vec<Frame<Bytes>>) -> Result<String, Status> {
    let frames = frames.into_iter().map(Ok::<_, Status>);
    let body = StreamBody::new(tokio_stream::iter(frames));
    let body = CheckedReply::of(Response::new(body), LIMIT).into_body();
    let decoder = Decoder::<ForwardTextPromptingResponse>::default();
    let messages = Streaming::new_response(decoder, body, StatusCode::OK, None, None);
    only_message(messages).await.map(|reply| reply.response)
}

/// Reads bytes in pieces of `size` bytes, followed by the status OK.
async fn read_in_pieces(bytes: &[u8], size: usize) -> Result<String, Status> {
    let pieces = bytes
        .chunks(size)
        .map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
    read(pieces.chain([trailers(STATUS, 0)]).collect()).await
}

#[tokio::test]
async fn a_message_is_read_regardless_of_how_its_bytes_are_split() {
    let bytes = completion("The Loire is the longest river of France.");
    for size in 1..=bytes.len() {
        let read = read_in_pieces(&bytes, size).await.expect("a valid reply");
        assert_eq!(
            read, "The Loire is the longest river of France.",
            "pieces of {size}"
        );
    }
}

#[tokio::test]
async fn the_limit_is_the_longest_message() {
    let framing = ForwardTextPromptingResponse::default().encode_to_vec().len() + 2;
    let longest = "x".repeat(LIMIT - framing);
    assert_eq!(
        read_in_pieces(&completion(&longest), 1_000)
            .await
            .expect("at the limit"),
        longest
    );

    let status = read_in_pieces(&completion(&format!("{longest}x")), 1_000)
        .await
        .expect_err("above it");
    assert_eq!(status.code(), Code::OutOfRange);
    let cause = BadMessage::Oversized {
        length: LIMIT + 1,
        limit: LIMIT,
    };
    assert_eq!(BadMessage::of(&status), Some(&cause));
}

/// The head announces 4 GiB, but none of it is sent.
#[tokio::test]
async fn an_announced_length_is_rejected_based_on_the_head_alone() {
    for size in 1..=HEAD {
        let status = read_in_pieces(&[0, 0xff, 0xff, 0xff, 0xff], size)
            .await
            .expect_err("too long");
        let cause = BadMessage::Oversized {
            length: u32::MAX as usize,
            limit: LIMIT,
        };
        assert_eq!(BadMessage::of(&status), Some(&cause), "pieces of {size}");
    }
}

#[tokio::test]
async fn each_message_of_a_body_is_checked() {
    let mut bytes = completion("A valid reply.");
    bytes.extend([0, 0, 1, 0, 0]);
    for size in 1..=bytes.len() {
        let status = read_in_pieces(&bytes, size)
            .await
            .expect_err("the second is too long");
        assert!(
            matches!(
                BadMessage::of(&status),
                Some(BadMessage::Oversized { length: 65_536, .. })
            ),
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn bad_messages_have_their_cause_and_code() {
    let data = |bytes: &[u8]| Frame::data(Bytes::copy_from_slice(bytes));
    let sound = || data(&completion("A valid reply."));

    let bodies: [(&str, Vec<Frame<Bytes>>, Code, BadMessage); 7] = [
        (
            "text",
            vec![data(b"<html>hello</html>")],
            Code::Internal,
            BadMessage::InvalidFlag { flag: b'<' },
        ),
        (
            "a compressed message",
            vec![data(&[1, 0, 0, 0, 0])],
            Code::Internal,
            BadMessage::InvalidFlag { flag: 1 },
        ),
        (
            "half a head",
            vec![data(&[0, 0])],
            Code::Internal,
            BadMessage::CutOff,
        ),
        (
            "half a message",
            vec![data(&[0, 0, 0, 0, 9, 1])],
            Code::Internal,
            BadMessage::CutOff,
        ),
        ("nothing", vec![], Code::Unknown, BadMessage::NoStatus),
        (
            "a message without a status",
            vec![sound()],
            Code::Unknown,
            BadMessage::NoStatus,
        ),
        (
            "a status without a message",
            vec![trailers(STATUS, 0)],
            Code::Internal,
            BadMessage::NoMessage,
        ),
    ];
    for (what, frames, code, cause) in bodies {
        let status = read(frames).await.expect_err(what);
        assert_eq!(
            (status.code(), BadMessage::of(&status)),
            (code, Some(&cause)),
            "{what}"
        );
    }

    let other_trailers = read(vec![sound(), trailers("unrelated", 0)])
        .await
        .expect_err("no status");
    assert_eq!(BadMessage::of(&other_trailers), Some(&BadMessage::NoStatus));
}

#[tokio::test]
async fn bytes_that_are_not_protobuf_are_undecodable() {
    // Field 3 as a string of invalid UTF-8, as a number, and longer than the message.
    for message in [&[0x1a, 2, 0xc3, 0x28][..], &[0x18, 1], &[0x1a, 100, b'a']] {
        let status = read_in_pieces(&framed(message), 1_000)
            .await
            .expect_err("no message");
        assert_eq!(status.code(), Code::Internal, "{message:?}");
        assert!(
            matches!(BadMessage::of(&status), Some(BadMessage::Undecodable(_))),
            "{status:?}"
        );
    }
}

/// The peer can send any text, but no type.
#[tokio::test]
async fn a_status_that_was_sent_has_no_cause() {
    for code in 1..=16 {
        let status = read(vec![trailers(STATUS, code)]).await.expect_err("a failure");
        assert_eq!(status.code(), Code::from_i32(code));
        assert_eq!(BadMessage::of(&status), None);
    }
    let words = Status::internal(BadMessage::CutOff.to_string());
    assert_eq!(BadMessage::of(&words), None);
}
