//! `incidents`: one row a thing that happened to a node.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns};

/// Of a validator that the block barrier goes on without.
const RETIRED: &str = "retired";

columns! {
    /// Something that happened to a node: it died, was started again, or the block barrier went on without it. In the
    /// order in which it became known.
    pub struct IncidentRow {
        /// the node's name, `miner-3`
        pub node: String,
        /// `exited`, `hung`, `unready`, `restarted`, `left`, `killed` or `failed`; at the block barrier `retired`
        pub what: String,
        /// the reason, in words
        pub detail: String,
        /// seconds since 1970; none at the block barrier, which counts in blocks
        pub at: Option<f64>,
        /// block at whose boundary it took effect; none for a process
        pub block: Option<u64>,
        /// how often the node had been started before; none at the block barrier
        pub incarnation: Option<u32>,
        /// the node's last log lines; none at the block barrier
        pub last_log: Option<String>,
    }
}

impl Row for IncidentRow {
    const TABLE: &'static str = "incidents";
    const ABOUT: &'static str = "one row a thing that happened to a node";
    const TIMING: &'static [&'static str] = &["at", "detail", "last_log"];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        match &record.kind {
            Some(Kind::Incident(incident)) => rows.push(Self {
                node: incident.node.clone(),
                what: incident.what().to_string(),
                detail: incident.detail.clone(),
                at: Some(incident.at),
                block: None,
                incarnation: Some(incident.incarnation),
                last_log: Some(incident.last_log.clone()),
            }),
            Some(Kind::Barrier(retirement)) => rows.push(Self {
                node: retirement.validator.clone(),
                what: RETIRED.to_owned(),
                detail: retirement.reason.clone(),
                at: None,
                block: Some(retirement.block),
                incarnation: None,
                last_log: None,
            }),
            Some(Kind::Event(_) | Kind::Weights(_) | Kind::Transactions(_) | Kind::Epoch(_)) | None => {}
        }
    }

    fn order(&self, _other: &Self) -> Ordering {
        Ordering::Equal
    }

    fn identity(&self) -> String {
        format!("{} {}", self.node, self.what)
    }
}
