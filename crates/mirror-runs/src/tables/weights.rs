//! `weights`: one row per weight that a validator set.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{DispatchError, Record};

use super::{Row, columns};

columns! {
    /// The weight of one uid each time a validator sets weights.
    pub struct WeightRow {
        /// Name of the validator's node: `validator-0`.
        pub validator: String,
        /// Step of the query at which the weights were set or committed, from 0.
        pub step: u64,
        /// Block at which the weights were set or committed.
        pub block: u64,
        /// The uid of the weight.
        pub uid: u32,
        /// Weight after the chain's limits were applied. The weights that are set together sum to 1.
        pub weight: f32,
        /// Reason for which the chain refused the weights. `None` if they were accepted.
        pub refusal: Option<String>,
    }
}

impl Row for WeightRow {
    const TABLE: &'static str = "weights";
    const ABOUT: &'static str = "one row per weight that a validator set";
    const TIMING: &'static [&'static str] = &[];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        let Some(Kind::Weights(set)) = &record.kind else {
            return;
        };
        let refusal = DispatchError::from_field(set.refusal).map(|error| error.to_string());
        rows.extend(set.uids.iter().zip(&set.weights).map(|(uid, weight)| Self {
            validator: set.validator.clone(),
            step: set.step,
            block: set.block,
            uid: *uid,
            weight: *weight,
            refusal: refusal.clone(),
        }));
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.step.cmp(&other.step))
            .then_with(|| self.validator.cmp(&other.validator))
            .then_with(|| self.uid.cmp(&other.uid))
    }

    fn identity(&self) -> String {
        format!("{}, step {}, uid {}", self.validator, self.step, self.uid)
    }
}
