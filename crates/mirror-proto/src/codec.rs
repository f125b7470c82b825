//! The codec of messages: protobuf, with buffers of the size that most messages have.
//!
//! A status that this process creates because of a bad message from the peer has a [`BadMessage`] as its source. With
//! [`BadMessage::of`], a caller can distinguish the causes by type.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, EncodeBuf, Encoder};
use tonic_prost::ProstEncoder;

pub use bad_message::BadMessage;
pub use reply::{CheckedReply, only_message};

mod bad_message;
mod reply;

/// Initial size of a buffer in bytes. A buffer grows with its message. Tonic's buffers begin with 8 KiB, two for each
/// call at either end, which is more than an allocator caches.
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

/// The codec of a caller whose message is already encoded, such as one that sends the same message to many servers.
pub struct Encoded<U>(PhantomData<U>);

/// The encoder of [`Encoded`], which sends bytes unchanged.
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

/// The codec of a server that reads a message later and in parts. `T` is the reply.
pub struct Undecoded<T>(PhantomData<T>);

/// The decoder of [`Undecoded`], which returns the bytes of a message.
#[derive(Debug, Clone, Copy)]
pub struct Bytewise;

impl<T> Default for Undecoded<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> tonic::codec::Codec for Undecoded<T>
where
    T: Message + Send + 'static,
{
    type Encode = T;
    type Decode = Bytes;
    type Encoder = ProstEncoder<T>;
    type Decoder = Bytewise;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(buffers())
    }

    fn decoder(&mut self) -> Bytewise {
        Bytewise
    }
}

impl tonic::codec::Decoder for Bytewise {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Decodes one message.
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
