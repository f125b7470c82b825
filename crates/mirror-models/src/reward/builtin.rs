//! `BuiltinRewardModel`: a small network of our own, inside the program, that prefers answers of the kind and form that
//! the question asks for.

use tch::Device;

use super::{Candidate, RewardModel};
use crate::builtin::{JUDGE, NAME, judge::Batch, judge::Judge};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use crate::weights::{Precision, Weights};

/// The network with its tokenizer. It is too small to gain by another device than the processor.
pub(super) struct BuiltinRewardModel {
    tokenizer: Tokenizer,
    judge: Judge,
}

impl BuiltinRewardModel {
    pub(super) fn read() -> Result<Self, ModelError> {
        let tokenizer = Tokenizer::builtin()?;
        let mut weights = Weights::read_bytes(NAME, JUDGE, Precision::single(Device::Cpu))?;
        Ok(Self {
            judge: Judge::take(tokenizer.vocabulary(), &mut weights)?,
            tokenizer,
        })
    }
}

impl RewardModel for BuiltinRewardModel {
    /// All candidates of a call have one question.
    fn rewards(&mut self, candidates: &[Candidate<'_>]) -> Vec<f32> {
        let Some(first) = candidates.first() else {
            return Vec::new();
        };
        let answers = candidates
            .iter()
            .map(|candidate| candidate.completion.trim())
            .collect();
        match Batch::of(&self.tokenizer, &[first.prompt.trim()], &[answers]) {
            Ok(batch) => self.judge.scores(&batch),
            Err(error) => {
                tracing::warn!(%error, "completions without tokens");
                vec![f32::NAN; candidates.len()]
            }
        }
    }
}
