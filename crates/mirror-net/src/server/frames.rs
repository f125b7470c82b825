//! Reads the HTTP/2 frames that a server sends, to find out which bounds its HTTP/2 library has enforced.

use super::counters::Bound;

/// Size of the head of a frame in bytes (RFC 9113, section 4.1): 3 of length, 1 of type, 1 of flags, 4 of stream.
const HEAD: usize = 9;

/// Types of frames and error codes (RFC 9113, sections 6 and 7).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];

/// First byte of a header block that begins with a status without an entry in the static table (RFC 7541, section
/// 6.2.1). The statuses of gRPC have entries, but that of a header list that is too large, 431, has none. The library
/// adds it to the dynamic table, so that the later ones of the connection begin with another byte.
const UNUSUAL_STATUS: u8 = 0x48;

/// The position in a stream of frames.
#[derive(Debug, Default)]
pub(super) struct SentFrames {
    /// The bytes of the current frame that must be known, of which `filled` are known.
    start: [u8; HEAD + 8],
    filled: usize,
    /// Number of bytes of the current frame that are skipped.
    skipped: usize,
}

impl SentFrames {
    /// Reads the next bytes that were sent, and calls `note` for each frame that reports a bound.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut note: impl FnMut(Bound)) {
        loop {
            let skipped = self.skipped.min(bytes.len());
            self.skipped -= skipped;
            bytes = &bytes[skipped..];
            let wanted = self.wanted();
            let taken = (wanted - self.filled).min(bytes.len());
            self.start[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < wanted {
                return;
            }
            // The type of the frame may have become known, so that more bytes are needed.
            if self.filled == self.wanted() {
                if let Some(bound) = self.bound() {
                    note(bound);
                }
                self.skipped = (HEAD + self.length()).saturating_sub(self.filled);
                self.filled = 0;
            }
        }
    }

    /// Returns the length of the frame without its head, in bytes.
    fn length(&self) -> usize {
        let [high, middle, low, ..] = self.start;
        u32::from_be_bytes([0, high, middle, low]) as usize
    }

    /// Returns the number of bytes of the current frame that must be known.
    fn wanted(&self) -> usize {
        match self.start[3] {
            HEADERS if self.filled >= HEAD => HEAD + self.length().min(1),
            RST_STREAM if self.filled >= HEAD => HEAD + 4,
            GOAWAY if self.filled >= HEAD => HEAD + 8,
            _ => HEAD,
        }
    }

    fn bound(&self) -> Option<Bound> {
        let code = self
            .filled
            .checked_sub(4)
            .map(|start| &self.start[start..self.filled])?;
        match self.start[3] {
            HEADERS if self.filled > HEAD && self.start[HEAD] == UNUSUAL_STATUS => Some(Bound::HeaderLists),
            RST_STREAM if code == REFUSED_STREAM => Some(Bound::Streams),
            RST_STREAM | GOAWAY if code == ENHANCE_YOUR_CALM => Some(Bound::Floods),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_and_ends_of_connections_are_found_in_pieces_of_any_size() {
        let mut bytes = Vec::new();
        let mut frame = |kind: u8, payload: &[u8]| {
            bytes.extend(&(payload.len() as u32).to_be_bytes()[1..]);
            bytes.extend([kind, 0, 0, 0, 0, 1]);
            bytes.extend(payload);
        };
        frame(4, &[]);
        // Data that look like a frame.
        frame(0, &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7]);
        frame(RST_STREAM, &REFUSED_STREAM);
        frame(HEADERS, &[UNUSUAL_STATUS, 3, b'4', b'3', b'1']);
        frame(HEADERS, &[0x88]);
        frame(RST_STREAM, &[0, 0, 0, 8]);
        frame(GOAWAY, &[0, 0, 0, 7, 0, 0, 0, 0]);
        frame(GOAWAY, &[0, 0, 0, 7, 0, 0, 0, 11, b'c', b'a', b'l', b'm']);
        frame(RST_STREAM, &REFUSED_STREAM);
        for size in 1..=bytes.len() {
            let mut frames = SentFrames::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                frames.read(piece, |bound| found.push(bound));
            }
            let expected = [Bound::Streams, Bound::HeaderLists, Bound::Floods, Bound::Streams];
            assert_eq!(found, expected, "{size}");
        }
    }
}
