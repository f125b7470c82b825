//! Reports to the coordinator, and the log of acknowledged records.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use mirror_journal::Writer;
use mirror_net::tracer::Tracer;
use mirror_node::reporter::{self, AckHandler};
use mirror_proto::mirror::v1::{Hello, Purpose, record};
use prost::Message;
use tokio::sync::watch;

use crate::learned::LearningRecord;

/// Sends the validator's records to the coordinator.
#[derive(Clone)]
pub struct Reporter(reporter::Reporter<AckPayload>);

/// The task that sends the records.
pub type ReportStream = reporter::ReportStream<AckLog>;

/// Data that is logged when a record is acknowledged.
pub struct AckPayload {
    identity: Option<String>,
    learned: Option<LearningRecord>,
}

/// Logs acknowledged records.
pub struct AckLog {
    /// Address of the subtensor, as reported by the coordinator.
    subtensor: watch::Sender<SocketAddr>,
    /// Journal of what was learned from acknowledged events.
    memory: Writer,
    /// File with the identities of acknowledged events, one per line. `None` if it is not written.
    acknowledged: Option<File>,
}

/// Creates a reporter and its report stream, whose `work` must run concurrently.
///
/// # Errors
/// Returns an error if the file for acknowledged identities cannot be opened.
pub fn reporter(
    coordinator: SocketAddr,
    tracer: Tracer,
    hello: Hello,
    subtensor: watch::Sender<SocketAddr>,
    memory: Writer,
    acknowledged: Option<&Path>,
) -> anyhow::Result<(Reporter, ReportStream)> {
    let acknowledged = acknowledged.map(|path| {
        let file = File::options().create(true).append(true).open(path);
        file.with_context(|| format!("cannot open {}", path.display()))
    });
    let ack_log = AckLog {
        subtensor,
        memory,
        acknowledged: acknowledged.transpose()?,
    };
    let (reporter, report_stream) = reporter::reporter(coordinator, tracer, hello, ack_log);
    Ok((Reporter(reporter), report_stream))
}

impl Reporter {
    /// Reports a record. Waits while too many records are unacknowledged. `learned` is written to the journal when the
    /// record is acknowledged.
    ///
    /// # Errors
    /// Returns an error if the report stream has ended.
    pub async fn report(&self, kind: record::Kind, learned: Option<LearningRecord>) -> anyhow::Result<()> {
        let identity = identity(&kind);
        self.0.report(kind, AckPayload { identity, learned }).await
    }

    /// Waits until all reported records are acknowledged.
    ///
    /// # Errors
    /// Returns an error if the report stream has ended.
    pub async fn drained(&self) -> anyhow::Result<()> {
        self.0.drained().await
    }
}

impl AckHandler for AckLog {
    type AckPayload = AckPayload;

    fn acknowledged(&mut self, notes: Vec<AckPayload>) -> anyhow::Result<()> {
        let identities = notes.iter().filter_map(|note| note.identity.as_deref());
        if let Some(file) = &mut self.acknowledged {
            let lines: String = identities.flat_map(|identity| [identity, "\n"]).collect();
            file.write_all(lines.as_bytes())
                .context("cannot write the identities of acknowledged events")?;
        }
        let learned = notes.iter().filter_map(|note| note.learned.as_ref());
        let learned: Vec<Vec<u8>> = learned.map(Message::encode_to_vec).collect();
        self.memory
            .append_batch(&learned)
            .context("cannot write the learning records")?;
        Ok(())
    }

    fn subtensor_moved(&mut self, address: SocketAddr) {
        self.subtensor.send_replace(address);
    }
}

/// Returns the identity of an event as text: validator, purpose, step and forward index. `None` for other records.
fn identity(kind: &record::Kind) -> Option<String> {
    match kind {
        record::Kind::Event(event) => {
            let purpose = if event.purpose() == Purpose::Manual {
                "manual"
            } else {
                "query"
            };
            Some(format!(
                "{} {purpose} {} {}",
                event.validator, event.step, event.forward_index
            ))
        }
        _ => None,
    }
}
