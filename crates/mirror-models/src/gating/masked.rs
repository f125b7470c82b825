//! `MaskedGatingModel`: another gating model with some uids masked out. Masked uids have the score minus infinity, and
//! a uid with that score is never queried.

use std::ops::RangeInclusive;

use mirror_spec::Mask;

use super::{GatingModel, Question, ResponseLength, TrainingExample};
use crate::training::Trained;

pub(super) struct MaskedGatingModel {
    inner: Box<dyn GatingModel>,
    masked: Vec<RangeInclusive<u32>>,
}

impl MaskedGatingModel {
    pub(super) fn new(inner: Box<dyn GatingModel>, mask: &Mask) -> Self {
        Self {
            inner,
            masked: mask.ranges(),
        }
    }

    fn is_masked(&self, uid: u32) -> bool {
        self.masked.iter().any(|range| range.contains(&uid))
    }
}

impl GatingModel for MaskedGatingModel {
    fn scores(&mut self, question: &Question<'_>) -> Vec<f32> {
        let mut scores = self.inner.scores(question);
        for (uid, score) in (0u32..).zip(&mut scores) {
            if self.is_masked(uid) {
                *score = f32::NEG_INFINITY;
            }
        }
        scores
    }

    fn observe(&mut self, lengths: &[ResponseLength]) {
        self.inner.observe(lengths);
    }

    fn backward(&mut self, example: &TrainingExample<'_>) -> Option<f32> {
        self.inner.backward(example)
    }

    fn trained(&mut self) -> Option<&mut Trained> {
        self.inner.trained()
    }

    fn take_truncated(&mut self) -> u32 {
        self.inner.take_truncated()
    }
}
