//! How messages travel: as protobuf, through buffers of the size that most messages have.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::BufferSettings;
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
        ProstEncoder::new(BufferSettings::new(BUFFER, GATHERED))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(BUFFER, GATHERED))
    }
}
