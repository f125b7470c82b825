//! `losses`: one row a training step of the gating model.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns, purpose_name};

columns! {
    /// The gating model's loss in one forward that trained it. The first four columns name the forward in `events`.
    pub struct LossRow {
        /// the validator's node name, `validator-0`
        pub validator: String,
        /// `query` or `manual`
        pub purpose: String,
        /// step of the query, from 0
        pub step: u64,
        /// train: 0 the question, 1 the answer; forward: position in the chunk
        pub forward_index: u32,
        /// before the step was taken, in the gating model's own measure
        pub loss: f32,
    }
}

impl Row for LossRow {
    const TABLE: &'static str = "losses";
    const ABOUT: &'static str = "one row a training step of the gating model";
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
