//! Writes the records that a run's nodes report.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use mirror_journal::Writer;
use mirror_proto::mirror::v1::Record;
use prost::bytes::Bytes;
use prost::{DecodeError, Message};

use crate::close;
use crate::directory::RunDirectory;
use crate::error::RunError;
use crate::layout::Layout;
use crate::lock::RunLock;
use crate::manifest::{Ended, Manifest};
use crate::parts::Part;
use crate::seen::{Identity, SeenIds};

/// The only writer of a run. It is used by one thread. A second thread converts full segments of the journal to rows.
///
/// If it is dropped without [`Recorder::finish`], the run is interrupted and [`recover`](crate::recover) finishes it.
#[derive(Debug)]
pub struct Recorder {
    layout: Layout,
    manifest: Manifest,
    writer: Writer,
    seen: SeenIds,
    duplicates: u64,
    /// The oldest segment that was not passed to the converter.
    unconverted: u32,
    /// Stops before the lock is released, because fields are dropped in this order.
    converter: Converter,
    _lock: RunLock,
}

/// A record with its encoding, so that a record received over the network is not encoded again.
#[derive(Clone, Debug)]
pub struct Encoded {
    record: Record,
    bytes: Bytes,
}

impl Encoded {
    /// Decodes a received record. It will be written as exactly these bytes.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            record: Record::decode(bytes.clone())?,
            bytes,
        })
    }

    /// Returns the record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Returns the size of the record in the journal without its frame, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl From<&Record> for Encoded {
    fn from(record: &Record) -> Self {
        Self {
            record: record.clone(),
            bytes: record.encode_to_vec().into(),
        }
    }
}

/// The result of appending a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Number of records written.
    pub written: usize,
    /// Number of records that had already been written.
    pub duplicates: usize,
}

impl Recorder {
    /// Usual size of the journal's segments in bytes, which a busy run fills in a few seconds.
    pub const SEGMENT_BYTES: u64 = 2 << 20;

    /// Starts to record. A segment of the journal is full at `segment_bytes` and is then converted to rows.
    pub fn start(run: RunDirectory, segment_bytes: u64) -> Result<Self, RunError> {
        let (layout, manifest, lock) = run.into_parts();
        let writer = Writer::open(layout.journal(), segment_bytes)?.writer;
        let converter = Converter::start(&layout, &manifest.id)?;
        Ok(Self {
            layout,
            manifest,
            seen: SeenIds::default(),
            duplicates: 0,
            unconverted: writer.position().segment,
            writer,
            converter,
            _lock: lock,
        })
    }

    /// Returns the paths of the run's files.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the id of the run.
    pub fn run_id(&self) -> &str {
        &self.manifest.id
    }

    /// Writes `records` except those that were written before. When it returns, all of them may be acknowledged,
    /// because they were written to the operating system. After an error no record of the batch is written, and the
    /// batch may be retried.
    pub fn append(&mut self, records: impl IntoIterator<Item: Into<Encoded>>) -> Result<Appended, RunError> {
        let mut identities = Vec::new();
        let mut encoded = Vec::new();
        let mut duplicates = 0;
        for record in records {
            let record: Encoded = record.into();
            if let Some(identity) = Identity::of(&record.record) {
                if !self.seen.note(&identity) {
                    duplicates += 1;
                    continue;
                }
                identities.push(identity);
            }
            encoded.push(record.bytes);
        }
        if let Err(error) = self.writer.append_batch(&encoded) {
            for identity in &identities {
                self.seen.take_back(identity);
            }
            return Err(error.into());
        }
        self.seen.settle(&identities);
        while self.unconverted < self.writer.position().segment {
            self.converter.convert(self.unconverted);
            self.unconverted += 1;
        }
        let appended = Appended {
            written: encoded.len(),
            duplicates,
        };
        self.duplicates += appended.duplicates as u64;
        Ok(appended)
    }

    /// Syncs the journal, so that all appended records survive a power failure. It should be called about once per
    /// second.
    pub fn sync(&mut self) -> Result<(), RunError> {
        Ok(self.writer.sync()?)
    }

    /// Finishes the run: the journal is converted to tables, and the manifest records how the run ended. After an error
    /// the run is interrupted, and [`recover`](crate::recover) may be called when the cause is fixed.
    pub fn finish(mut self, ended: Ended) -> Result<Manifest, RunError> {
        self.writer.sync()?;
        // If the tables cannot be written now, the recovery knows by this number whether the journal is complete.
        self.manifest.records = Some(self.writer.next_sequence());
        self.manifest.write(&self.layout)?;
        self.converter.stop();
        close::finish(&self.layout, self.manifest.clone(), ended, self.duplicates)
    }
}

/// The thread that converts sealed segments to parts.
#[derive(Debug)]
struct Converter {
    /// Channel to the thread. `None` after [`Converter::stop`].
    sealed: Option<mpsc::Sender<u32>>,
    thread: Option<JoinHandle<()>>,
}

impl Converter {
    fn start(layout: &Layout, run_id: &str) -> Result<Self, RunError> {
        let (sealed, segments) = mpsc::channel::<u32>();
        let its_layout = layout.clone();
        let run_id = run_id.to_owned();
        let convert_all = move || {
            for segment in segments {
                if let Err(error) = Part::publish(&its_layout, segment, &run_id) {
                    // The journal still contains the segment, and the end of the run creates every missing part.
                    tracing::warn!(segment, %error, "cannot convert a segment now; it is converted when the run ends");
                }
            }
        };
        let thread = thread::Builder::new()
            .name("journal to rows".to_owned())
            .spawn(convert_all)
            .map_err(|source| RunError::Io {
                action: "start the thread that converts the journal of",
                path: layout.root().to_owned(),
                source,
            })?;
        Ok(Self {
            sealed: Some(sealed),
            thread: Some(thread),
        })
    }

    fn convert(&self, segment: u32) {
        let sent = self.sealed.as_ref().map(|sealed| sealed.send(segment));
        if let Some(Err(_)) = sent {
            tracing::warn!(
                segment,
                "the converter thread has exited; the segment is converted when the run ends"
            );
        }
    }

    /// Waits until the thread has converted all pending segments.
    fn stop(&mut self) {
        self.sealed = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!(
                "the converter thread panicked; the remaining segments are converted when the run ends"
            );
        }
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        self.stop();
    }
}
