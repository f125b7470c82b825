//! What a validator reports to the coordinator, and what it keeps of that once it is acknowledged.

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

/// Where records go.
#[derive(Clone)]
pub struct Reporter(reporter::Reporter<AckPayload>);

/// What the reporting task owns.
pub type ReportStream = reporter::ReportStream<AckLog>;

/// What is written down once a record is acknowledged.
pub struct AckPayload {
    identity: Option<String>,
    learned: Option<LearningRecord>,
}

/// Where a validator writes down what was acknowledged.
pub struct AckLog {
    /// The subtensor's address, as the coordinator tells it.
    subtensor: watch::Sender<SocketAddr>,
    /// Takes what was learned from acknowledged events.
    memory: Writer,
    /// Takes the identities of acknowledged events, a line each.
    acknowledged: Option<File>,
}

/// A reporter and the desk that it reports to; its `work` is to be run beside it.
///
/// # Errors
/// The file for acknowledged identities cannot be opened.
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
    /// Reports a record; waits while too many are unacknowledged. `learned` is remembered once it is acknowledged.
    ///
    /// # Errors
    /// The desk works no more.
    pub async fn report(&self, kind: record::Kind, learned: Option<LearningRecord>) -> anyhow::Result<()> {
        let identity = identity(&kind);
        self.0.report(kind, AckPayload { identity, learned }).await
    }

    /// Waits until everything reported so far is acknowledged.
    ///
    /// # Errors
    /// The desk works no more.
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
                .context("cannot write down what was acknowledged")?;
        }
        let learned = notes.iter().filter_map(|note| note.learned.as_ref());
        let learned: Vec<Vec<u8>> = learned.map(Message::encode_to_vec).collect();
        self.memory
            .append_batch(&learned)
            .context("cannot remember what was learned")?;
        Ok(())
    }

    fn subtensor_moved(&mut self, address: SocketAddr) {
        self.subtensor.send_replace(address);
    }
}

/// An event's identity in words: validator, purpose, step, forward.
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
