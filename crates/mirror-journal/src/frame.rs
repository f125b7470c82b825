//! The frame around a record, and the head of a segment.

/// Maximum size of a record, in bytes.
pub const MAX_RECORD: usize = 64 << 20;

/// Size of the header before the payload, in bytes.
pub(crate) const HEADER: usize = 20;

/// Size of the header before the payload in segments of the former format, in bytes.
pub(crate) const FORMER_HEADER: usize = 8;

/// Size of the head of a segment, which consists of two equal copies, in bytes.
pub(crate) const HEAD: usize = 2 * COPY;

/// Size of one copy of the head, in bytes.
pub(crate) const COPY: usize = 20;

/// The first bytes of a copy of the head. As a length, which begins a segment of the former format, they exceed
/// [`MAX_RECORD`].
const MAGIC: [u8; 4] = *b"MNJ2";

/// The length of the mark at the end of a full segment. It exceeds [`MAX_RECORD`].
const END_OF_SEGMENT: u32 = u32::MAX;

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Random number from which all checksums of the frames begin. Without it, bytes in a payload cannot be made to
    /// look like a frame.
    pub(crate) salt: u32,
    /// Sequence number of the segment's first record.
    pub(crate) first: u64,
}

impl Head {
    pub(crate) fn append_to(self, bytes: &mut Vec<u8>) {
        for _ in 0..2 {
            let begin = bytes.len();
            bytes.extend_from_slice(&MAGIC);
            bytes.extend_from_slice(&self.salt.to_le_bytes());
            bytes.extend_from_slice(&self.first.to_le_bytes());
            let check = checksum(0, bytes.get(begin..).unwrap_or_default(), &[]);
            bytes.extend_from_slice(&check.to_le_bytes());
        }
    }

    /// Reads one copy. `None` if it is damaged.
    fn from_copy(copy: &[u8]) -> Option<Self> {
        let (content, check) = copy.split_last_chunk::<4>()?;
        let rest = content.strip_prefix(&MAGIC)?;
        let (salt, first) = rest.split_first_chunk::<4>()?;
        (u32::from_le_bytes(*check) == checksum(0, content, &[])).then_some(Self {
            salt: u32::from_le_bytes(*salt),
            first: u64::from_le_bytes(first.try_into().ok()?),
        })
    }
}

/// The format of a segment, from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Frames without sequence numbers, as earlier versions wrote them. An empty segment counts as one.
    Former,
    /// Numbered frames. `damaged` is the offset of a damaged copy of the head.
    Numbered { head: Head, damaged: Option<u64> },
    /// Numbered frames whose head is incomplete.
    Headless,
    /// Numbered frames whose head is damaged in both copies, so that none of them can be checked.
    Unreadable,
}

impl Format {
    /// Determines the format from at most [`HEAD`] first bytes of a segment.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let (one, other) = bytes.split_at(COPY.min(bytes.len()));
        match (Head::from_copy(one), Head::from_copy(other)) {
            (Some(head), Some(same)) if head == same => Self::Numbered { head, damaged: None },
            (Some(_), None) if bytes.len() < HEAD => Self::Headless,
            (Some(head), _) => Self::Numbered {
                head,
                damaged: Some(COPY as u64),
            },
            (None, Some(head)) => Self::Numbered {
                head,
                damaged: Some(0),
            },
            (None, None) if !one.starts_with(&MAGIC) && !other.starts_with(&MAGIC) => Self::Former,
            (None, None) if bytes.len() < HEAD => Self::Headless,
            (None, None) => Self::Unreadable,
        }
    }
}

/// The content of a frame, as its header states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A record of this size in bytes.
    Record(usize),
    /// The end of the segment, which was full. The next segment exists.
    End,
}

/// The decoded header of a numbered frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) content: Content,
    pub(crate) sequence: u64,
    payload_check: u32,
    salt: u32,
    start: [u8; 12],
}

impl Header {
    /// Appends the frame of a record.
    pub(crate) fn append_record(head: Head, sequence: u64, payload: &[u8], bytes: &mut Vec<u8>) {
        let length = u32::try_from(payload.len())
            .expect("a record is at most MAX_RECORD bytes, checked before it is framed");
        append_frame(head.salt, length, sequence, payload, bytes);
    }

    /// Appends the mark at the end of a segment. `sequence` is the number of the next record.
    pub(crate) fn append_end(head: Head, sequence: u64, bytes: &mut Vec<u8>) {
        append_frame(head.salt, END_OF_SEGMENT, sequence, &[], bytes);
    }

    /// Reads a header. `None` if its checksum or its length is wrong.
    pub(crate) fn read(salt: u32, bytes: [u8; HEADER]) -> Option<Self> {
        let (start, checks) = bytes.split_first_chunk::<12>()?;
        let (check, payload_check) = checks.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*check) != checksum(salt, start, &[]) {
            return None;
        }
        let (length, sequence) = start.split_first_chunk::<4>()?;
        let content = match u32::from_le_bytes(*length) {
            END_OF_SEGMENT => Content::End,
            length if length as usize <= MAX_RECORD => Content::Record(length as usize),
            _ => return None,
        };
        Some(Self {
            content,
            sequence: u64::from_le_bytes(sequence.try_into().ok()?),
            payload_check: u32::from_le_bytes(payload_check.try_into().ok()?),
            salt,
            start: *start,
        })
    }

    /// Returns the number of bytes after the header.
    pub(crate) fn payload_bytes(self) -> usize {
        match self.content {
            Content::Record(bytes) => bytes,
            Content::End => 0,
        }
    }

    /// Returns whether the checksum matches `payload`.
    pub(crate) fn matches(self, payload: &[u8]) -> bool {
        checksum(self.salt, &self.start, payload) == self.payload_check
    }
}

fn append_frame(salt: u32, length: u32, sequence: u64, payload: &[u8], bytes: &mut Vec<u8>) {
    let mut start = [0; 12];
    let (first, last) = start.split_at_mut(4);
    first.copy_from_slice(&length.to_le_bytes());
    last.copy_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&start);
    bytes.extend_from_slice(&checksum(salt, &start, &[]).to_le_bytes());
    bytes.extend_from_slice(&checksum(salt, &start, payload).to_le_bytes());
    bytes.extend_from_slice(payload);
}

/// The decoded header of a frame of the former format.
#[derive(Clone, Copy)]
pub(crate) struct FormerHeader {
    pub(crate) length: u32,
    check: u32,
}

impl FormerHeader {
    pub(crate) fn read(bytes: [u8; FORMER_HEADER]) -> Self {
        let [l0, l1, l2, l3, c0, c1, c2, c3] = bytes;
        Self {
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            check: u32::from_le_bytes([c0, c1, c2, c3]),
        }
    }

    /// Returns whether the checksum matches `payload`, which has `self.length` bytes.
    pub(crate) fn matches(self, payload: &[u8]) -> bool {
        checksum(0, &self.length.to_le_bytes(), payload) == self.check
    }
}

/// Returns the CRC-32 of `start` and `payload`, computed from the initial value `salt`.
fn checksum(salt: u32, start: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(start);
    hasher.update(payload);
    hasher.finalize()
}
