//! `losses`: one row per training step of the gating model.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns, purpose_name};

columns! {
    /// The loss of the gating model in one forward that trained it. The first four columns identify the forward in
    /// `events`.
    pub struct LossRow {
        /// Name of the validator's node: `validator-0`.
        pub validator: String,
        /// `query` or `manual`.
        pub purpose: String,
        /// Step of the query, from 0.
        pub step: u64,
        /// In `train`: 0 for the question, 1 for the answer. In `forward`: the position in the chunk.
        pub forward_index: u32,
        /// Loss before the training step, as defined by the gating model.
        pub loss: f32,
    }
}

impl Row for LossRow {
    const TABLE: &'static str = "losses";
    const ABOUT: &'static str = "one row per training step of the gating model";
    const TIMING: &'static [&'static str] = &[];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        let Some(Kind::Event(event)) = &record.kind else {
            return;
        };
        rows.extend(event.gating_loss.map(|loss| Self {
            validator: event.validator.clone(),
            purpose: purpose_name(event.purpose),
            step: event.step,
            forward_index: event.forward_index,
            loss,
        }));
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.step.cmp(&other.step))
            .then_with(|| self.validator.cmp(&other.validator))
            .then_with(|| self.purpose.cmp(&other.purpose))
            .then_with(|| self.forward_index.cmp(&other.forward_index))
    }

    fn identity(&self) -> String {
        format!(
            "{} ({}), step {}, forward {}",
            self.validator, self.purpose, self.step, self.forward_index
        )
    }
}
