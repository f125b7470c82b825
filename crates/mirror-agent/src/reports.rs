//! The reports of an agent to its coordinator: the state of each node, and its log.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use mirror_cluster::{EndedBy, Exit, NodeView, Placement, ProcessState};
use mirror_proto::mirror::v1::agent_report::Report;
use mirror_proto::mirror::v1::node_reported::State;
use mirror_proto::mirror::v1::{
    AgentReport, Attached, LogPart, NodeEnded, NodeListening, NodeReported, NodeStarting,
};
use tokio::sync::mpsc;
use tonic::Status;

use crate::files::Files;
use crate::nodes::{Nodes, Session, Started};

/// Time after which the use of resources is reported again.
const INTERVAL: Duration = Duration::from_secs(1);

/// Maximum size of a part of a log in bytes.
const LOG_PART: u64 = 64 << 10;

/// Maximum number of parts of one log between two reports of states.
const PARTS_AT_ONCE: usize = 16;

/// Sends reports until the coordinator stops to receive them, or another session begins.
pub(crate) struct Reports {
    pub(crate) nodes: Nodes,
    pub(crate) files: Files,
    /// Number of bytes of each log that the coordinator has.
    pub(crate) positions: HashMap<String, u64>,
    pub(crate) receiver: mpsc::Sender<Result<AgentReport, Status>>,
}

/// The coordinator receives no more.
struct Gone;

impl Reports {
    pub(crate) async fn send(mut self, attached: Attached, session: Session) {
        let receiver = self.receiver.clone();
        tokio::select! {
            Err(Gone) | Ok(()) = self.send_all(attached) => {}
            () = session.replaced() => {}
            () = receiver.closed() => {}
        }
    }

    async fn send_all(&mut self, attached: Attached) -> Result<(), Gone> {
        self.report(Report::Attached(attached)).await?;
        let mut changes = self.nodes.changes();
        let mut sent = BTreeMap::new();
        loop {
            changes.borrow_and_update();
            let mut is_behind = false;
            for (node, started) in self.nodes.all() {
                let has_more_log = self.send_log(&node).await?;
                is_behind |= has_more_log;
                let Some(reported) = self.reported(&node, &started) else {
                    continue;
                };
                // The log of a node is complete before its end is reported.
                if has_more_log && started.exit.is_some() {
                    continue;
                }
                let reported = (started.requests, reported);
                if sent.get(&node) != Some(&reported) {
                    sent.insert(node, reported.clone());
                    self.report(Report::Node(reported.1)).await?;
                }
            }
            if !is_behind {
                let _either = tokio::time::timeout(INTERVAL, changes.changed()).await;
            }
        }
    }

    async fn report(&self, report: Report) -> Result<(), Gone> {
        let report = AgentReport { report: Some(report) };
        self.receiver.send(Ok(report)).await.map_err(|_| Gone)
    }

    /// Sends the next parts of a log. Returns whether there is more.
    async fn send_log(&mut self, node: &str) -> Result<bool, Gone> {
        let path = self.files.log(node);
        for _ in 0..PARTS_AT_ONCE {
            let position = self.positions.get(node).copied().unwrap_or_default();
            let content = match part_of(&path, position) {
                Ok(content) if content.is_empty() => return Ok(false),
                Ok(content) => content,
                Err(error) => {
                    tracing::warn!(%error, node, "cannot read the log of a node");
                    return Ok(false);
                }
            };
            let length = content.len() as u64;
            self.report(Report::Log(LogPart {
                node: node.to_owned(),
                position,
                content,
            }))
            .await?;
            self.positions.insert(node.to_owned(), position + length);
        }
        Ok(true)
    }

    /// Returns the report of a node. `None` if it has ended and its exit is not known yet.
    fn reported(&self, node: &str, started: &Started) -> Option<NodeReported> {
        let placement = self.nodes.placement();
        let state = placement.watch(node)?;
        let state = match (&*state.borrow(), &started.exit) {
            (_, Some(exit)) => State::Ended(ended(exit)),
            (ProcessState::Ended(_), None) => return None,
            (ProcessState::Starting, None) => State::Starting(NodeStarting {}),
            (ProcessState::BadHandshake(written), None) => State::BadHandshake(written.clone()),
            (ProcessState::Listening(listening), None) => State::Listening(NodeListening {
                address: listening.address.to_string(),
                liveness: listening.liveness.to_string(),
            }),
        };
        let view = placement.inspect(node).filter(|_| started.exit.is_none());
        let used = |of: fn(&NodeView) -> u64| view.as_ref().map_or(0, of);
        Some(NodeReported {
            node: node.to_owned(),
            incarnation: started.incarnation,
            state: Some(state),
            pid: view.as_ref().and_then(|view| view.pid).unwrap_or_default(),
            memory: used(|view| view.memory),
            cpu_time: used(|view| u64::try_from(view.cpu_time.as_nanos()).unwrap_or(u64::MAX)),
        })
    }
}

fn ended(exit: &Exit) -> NodeEnded {
    NodeEnded {
        status: Some(exit.status.into()),
        by_coordinator: exit.ended_by == EndedBy::Placement,
        last_log: exit.last_log.0.clone(),
    }
}

/// Returns the bytes of a log from `position` on, at most [`LOG_PART`]. There are none beyond its end.
fn part_of(path: &Path, position: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(position))?;
    let mut part = Vec::new();
    file.take(LOG_PART).read_to_end(&mut part)?;
    Ok(part)
}
