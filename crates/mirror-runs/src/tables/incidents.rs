//! `incidents`: one row per incident of a node.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns};

/// Value of `what` for a validator that the block barrier no longer waits for.
const RETIRED: &str = "retired";

/// Value of `detail` for a node that a fault killed.
pub const BY_FAULT: &str = "by a fault";

/// Value of `detail` for a node that was restarted because a fault was lifted.
pub const AFTER_FAULT: &str = "after a fault";

columns! {
    /// An incident of a node: it exited, was restarted, or the block barrier stopped waiting for it. The rows are in
    /// the order in which the incidents became known.
    pub struct IncidentRow {
        /// Name of the node: `miner-3`.
        pub node: String,
        /// `exited`, `hung`, `unready`, `restarted`, `left`, `killed` or `failed`; at the block barrier `retired`.
        pub what: String,
        /// Description of the reason.
        pub detail: String,
        /// Time in seconds since 1970. `None` at the block barrier, which counts in blocks.
        pub occurred_at: Option<f64>,
        /// Block at whose boundary it took effect. `None` for a process.
        pub block: Option<u64>,
        /// Number of earlier starts of the node. `None` at the block barrier.
        pub incarnation: Option<u32>,
        /// The node's last log lines. `None` at the block barrier.
        pub last_log: Option<String>,
    }
}

impl IncidentRow {
    /// Returns whether a fault caused the incident, so that the table `faults` has it too.
    pub fn is_caused_by_fault(&self) -> bool {
        [BY_FAULT, AFTER_FAULT].contains(&self.detail.as_str())
    }
}

impl Row for IncidentRow {
    const TABLE: &'static str = "incidents";
    const ABOUT: &'static str = "one row per incident of a node";
    const TIMING: &'static [&'static str] = &["occurred_at", "detail", "last_log"];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        match &record.kind {
            Some(Kind::Incident(incident)) => rows.push(Self {
                node: incident.node.clone(),
                what: incident.what().to_string(),
                detail: incident.detail.clone(),
                occurred_at: Some(incident.at),
                block: None,
                incarnation: Some(incident.incarnation),
                last_log: Some(incident.last_log.clone()),
            }),
            Some(Kind::Barrier(retirement)) => rows.push(Self {
                node: retirement.validator.clone(),
                what: RETIRED.to_owned(),
                detail: retirement.reason.clone(),
                occurred_at: None,
                block: Some(retirement.block),
                incarnation: None,
                last_log: None,
            }),
            Some(
                Kind::Event(_) | Kind::Weights(_) | Kind::Transactions(_) | Kind::Epoch(_) | Kind::Fault(_),
            )
            | None => {}
        }
    }

    fn order(&self, _other: &Self) -> Ordering {
        Ordering::Equal
    }

    fn identity(&self) -> String {
        format!("{} {}", self.node, self.what)
    }
}
