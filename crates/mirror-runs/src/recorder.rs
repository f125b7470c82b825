//! Writes what a run's nodes report.

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

/// The one writer of a run. It belongs to one thread; converting full segments of the journal to rows happens on
/// another.
///
/// Dropped without [`Recorder::finish`], it leaves an interrupted run, which [`recover`](crate::recover) ends.
#[derive(Debug)]
pub struct Recorder {
    layout: Layout,
    manifest: Manifest,
    writer: Writer,
    seen: SeenIds,
    duplicates: u64,
    /// The oldest segment that the converter was not told of.
    unconverted: u32,
    /// Comes to its end before the lock falls.
    converter: Converter,
    _lock: RunLock,
}

/// A record and how it is written, so that what came over a wire is not encoded again.
#[derive(Clone, Debug)]
pub struct Encoded {
    record: Record,
    bytes: Bytes,
}

impl Encoded {
    /// Reads a record as it came. It is written as these very bytes.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            record: Record::decode(bytes.clone())?,
            bytes,
        })
    }

    /// Bytes of it in the journal, without the frame.
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

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// records written
    pub written: usize,
    /// records that had been written before
    pub duplicates: usize,
}

impl Recorder {
    /// A usual size of the journal's segments, bytes: some seconds of a busy run.
    pub const SEGMENT_BYTES: u64 = 2 << 20;

    /// Begins to record. A segment of the journal is full, and becomes rows, at `segment_bytes`.
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

    /// Where the run's files lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Writes `records`, but not those that were written before. When it returns, all of them may be acknowledged: they
    /// are with the operating system. After an error none of the batch is written, and it may be tried again.
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

    /// Returns when all that was appended would survive a power cut. Due about once a second.
    pub fn sync(&mut self) -> Result<(), RunError> {
        Ok(self.writer.sync()?)
    }

    /// Ends the run: its journal becomes tables, its manifest says how it ended. After an error the run is as one that
    /// was interrupted, and [`recover`](crate::recover) may be called when the cause is gone.
    pub fn finish(mut self, ended: Ended) -> Result<Manifest, RunError> {
        self.writer.sync()?;
        self.converter.stop();
        close::finish(&self.layout, self.manifest.clone(), ended, self.duplicates)
    }
}

/// The thread that makes parts of sealed segments.
#[derive(Debug)]
struct Converter {
    /// None once it was told to stop.
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
                    // The journal still holds it, and the end of the run makes every part that is missing.
                    tracing::warn!(segment, %error, "a segment of the journal is converted later");
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
        let told = self.sealed.as_ref().map(|sealed| sealed.send(segment));
        if let Some(Err(_)) = told {
            tracing::warn!(
                segment,
                "the converting thread is gone: the segment is converted later"
            );
        }
    }

    /// Returns when the thread has done all that it was told.
    fn stop(&mut self) {
        self.sealed = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!("the converting thread panicked: the end of the run converts what it left");
        }
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        self.stop();
    }
}
