//! `weights`: one row a weight that a validator set.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{DispatchError, Record};

use super::{Row, columns};

columns! {
    /// One uid's weight in one setting of weights.
    pub struct WeightRow {
        /// the validator's node name, `validator-0`
        pub validator: String,
        /// step of the query at which they were set, or committed to, from 0
        pub step: u64,
        /// block at which they were set, or committed to
        pub block: u64,
        /// whose weight
        pub uid: u32,
        /// processed by the chain's limits; those of one setting sum to 1
        pub weight: f32,
        /// the chain's own word when it refused this setting
        pub refusal: Option<String>,
    }
}

impl Row for WeightRow {
    const TABLE: &'static str = "weights";
    const ABOUT: &'static str = "one row a weight that a validator set";
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
