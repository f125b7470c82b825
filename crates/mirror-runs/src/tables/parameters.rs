//! `parameters`: one row per parameter of the gating model and observation.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns, purpose_name};

columns! {
    /// A trainable parameter of the gating model after the training step of a forward. The first four columns identify
    /// the forward in `events`.
    pub struct ParameterRow {
        /// Name of the validator's node: `validator-0`.
        pub validator: String,
        /// `query` or `manual`.
        pub purpose: String,
        /// Step of the query, from 0.
        pub step: u64,
        /// In `train`: 0 for the question, 1 for the answer. In `forward`: the position in the chunk.
        pub forward_index: u32,
        /// Name of the parameter as in a checkpoint: `linear.weight`.
        pub parameter: String,
        /// Euclidean norm of the step's gradient.
        pub gradient_norm: f32,
        /// Smallest value of the parameter.
        pub minimum: f32,
        /// Largest value of the parameter.
        pub maximum: f32,
        /// Number of values in each of 64 bins of equal width from `minimum` to `maximum`. Empty if a value is not
        /// finite.
        pub histogram: Vec<u64>,
    }
}

impl Row for ParameterRow {
    const TABLE: &'static str = "parameters";
    const ABOUT: &'static str = "one row per parameter of the gating model and observation";
    const TIMING: &'static [&'static str] = &[];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        let Some(Kind::Event(event)) = &record.kind else {
            return;
        };
        rows.extend(event.parameters.iter().map(|state| Self {
            validator: event.validator.clone(),
            purpose: purpose_name(event.purpose),
            step: event.step,
            forward_index: event.forward_index,
            parameter: state.name.clone(),
            gradient_norm: state.gradient_norm,
            minimum: state.minimum,
            maximum: state.maximum,
            histogram: state.histogram.clone(),
        }));
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.step.cmp(&other.step))
            .then_with(|| self.validator.cmp(&other.validator))
            .then_with(|| self.purpose.cmp(&other.purpose))
            .then_with(|| self.forward_index.cmp(&other.forward_index))
            .then_with(|| self.parameter.cmp(&other.parameter))
    }

    fn identity(&self) -> String {
        format!(
            "{} ({}), step {}, forward {}, {}",
            self.validator, self.purpose, self.step, self.forward_index, self.parameter
        )
    }
}
