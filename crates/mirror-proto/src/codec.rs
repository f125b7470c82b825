//! How messages travel: as protobuf, through buffers of the size that most messages have.
//!
//! A status that is made here because of what the other end sent carries a [`BadMessage`] as its source, so that a
//! caller tells the causes apart by their type: [`BadMessage::of`].

use std::marker::PhantomData;

use bytes::{BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, EncodeBuf, Encoder};
use tonic_prost::ProstEncoder;

pub use bad_message::BadMessage;
pub use reply::{CheckedReply, only_message};

mod bad_message;
mod reply;

/// Bytes that a buffer begins with; it grows with its message. Tonic's own begin with 8 KiB, two of them a call at
/// either end, which is more than an allocator keeps at hand.
const BUFFER: usize = 1_024;

/// Bytes of a stream that are gathered before they are sent, as in tonic.
const GATHERED: usize = 32 * 1_024;

/// The codec of all services.
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder::default()
    }
}

/// The codec of a caller that has its message encoded already, as one who sends the same to many has.
pub struct Encoded<U>(PhantomData<U>);

/// Sends bytes as they are.
#[derive(Debug, Clone, Copy)]
pub struct AsTheyAre;

impl<U> Default for Encoded<U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<U> tonic::codec::Codec for Encoded<U>
where
    U: Message + Default + Send + 'static,
{
    type Encode = Bytes;
    type Decode = U;
    type Encoder = AsTheyAre;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> AsTheyAre {
        AsTheyAre
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder::default()
    }
}

impl Encoder for AsTheyAre {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Reads one message.
#[derive(Debug)]
pub struct Decoder<U>(PhantomData<U>);

impl<U> Default for Decoder<U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<U: Message + Default> tonic::codec::Decoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let message = U::decode(buffer).map_err(BadMessage::Undecodable)?;
        Ok(Some(message))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER, GATHERED)
}
