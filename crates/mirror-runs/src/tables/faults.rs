//! `faults`: one row per fault that was applied, and one per fault that was lifted.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns};

/// Value of `change` for a fault that begins.
pub const APPLIED: &str = "applied";

/// Value of `change` for a fault that ends.
pub const LIFTED: &str = "lifted";

/// Beginning of `detail` for a fault that was due and has no effect.
pub const NOT_IN_EFFECT: &str = "not put into effect";

columns! {
    /// A fault that was applied to nodes or links, or lifted from them. The rows are in the order in which this
    /// happened.
    pub struct FaultRow {
        /// Name of the fault.
        pub fault: String,
        /// Number of the occurrence, from 0.
        pub occurrence: u64,
        /// Kind of the fault: `link`, `kill`.
        pub kind: String,
        /// The nodes that the fault names: `uid 5`.
        pub who: String,
        /// `applied` or `lifted`.
        pub change: String,
        /// Planned time of the beginning: `step 50`. `None` for a change that was not planned, or that lifts a fault.
        pub planned: Option<String>,
        /// Planned time of the end. `None` if there is none, and for a change that lifts a fault.
        pub planned_end: Option<String>,
        /// Time in seconds since 1970.
        pub occurred_at: f64,
        /// The first step whose calls the change can affect. `None` after the queries.
        pub step: Option<u64>,
        /// The last closed block. `None` if the chain did not answer.
        pub block: Option<u64>,
        /// Whether a person made the fault while the network was running.
        pub manual: bool,
        /// Parts of the fault that did not take effect, such as a node that was not running. Empty if nothing.
        pub detail: String,
        /// The fault as in an experiment file, in JSON. `None` for a change that lifts a fault.
        pub definition: Option<String>,
    }
}

impl FaultRow {
    /// Returns whether the change lifts the fault.
    pub fn is_lifted(&self) -> bool {
        self.change == LIFTED
    }

    /// Returns whether the change puts the fault into effect.
    pub fn takes_effect(&self) -> bool {
        self.change == APPLIED && !self.detail.starts_with(NOT_IN_EFFECT)
    }
}

impl Row for FaultRow {
    const TABLE: &'static str = "faults";
    const ABOUT: &'static str = "one row per fault applied or lifted";
    const TIMING: &'static [&'static str] = &["occurred_at", "detail"];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        let Some(Kind::Fault(change)) = &record.kind else {
            return;
        };
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        rows.push(Self {
            fault: change.id.clone(),
            occurrence: change.occurrence,
            kind: change.kind.clone(),
            who: change.who.clone(),
            change: if change.lifted { LIFTED } else { APPLIED }.to_owned(),
            planned: given(&change.planned),
            planned_end: change.planned_end.clone(),
            occurred_at: change.at,
            step: change.step,
            block: change.block,
            manual: change.manual,
            detail: change.detail.clone(),
            definition: given(&change.fault),
        });
    }

    fn order(&self, _other: &Self) -> Ordering {
        Ordering::Equal
    }

    fn identity(&self) -> String {
        format!("{} ({}), {}", self.fault, self.occurrence, self.change)
    }
}
