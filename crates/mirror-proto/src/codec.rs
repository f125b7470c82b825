//! How messages travel: as protobuf, through buffers of the size that most messages have.

use std::marker::PhantomData;

use bytes::{BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, EncodeBuf, Encoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

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
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(buffers())
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
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> AsTheyAre {
        AsTheyAre
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(buffers())
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

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER, GATHERED)
}
