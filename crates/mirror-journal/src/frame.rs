//! The frame around a record: its length and its checksum.

/// Maximum size of a record, in bytes.
pub const MAX_RECORD: usize = 64 << 20;

/// Size of the header before the payload, in bytes.
pub(crate) const HEADER: usize = 8;

/// The decoded header of a frame.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) length: u32,
    checksum: u32,
}

impl Header {
    pub(crate) fn of(payload: &[u8]) -> Self {
        let length = u32::try_from(payload.len())
            .expect("a record is at most MAX_RECORD bytes, checked before it is framed");
        Self {
            length,
            checksum: checksum(length, payload),
        }
    }

    pub(crate) fn from_bytes(bytes: [u8; HEADER]) -> Self {
        let [l0, l1, l2, l3, c0, c1, c2, c3] = bytes;
        Self {
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
        }
    }

    pub(crate) fn append_to(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.length.to_le_bytes());
        bytes.extend_from_slice(&self.checksum.to_le_bytes());
    }

    /// Returns whether the checksum matches `payload`, which has `self.length` bytes.
    pub(crate) fn matches(self, payload: &[u8]) -> bool {
        checksum(self.length, payload) == self.checksum
    }
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}
