//! `BuiltinRewardModel`: a small network, compiled into the program, that prefers answers of the kind and form that the
//! question asks for.

use tch::Device;

use super::{Candidate, RewardModel};
use crate::builtin::{JUDGE, NAME, judge::Batch, judge::Judge};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use crate::weights::{Precision, Weights};

/// The network with its tokenizer. It always runs on the CPU, because it is too small to benefit from another device.
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
    /// Scores the candidates of one call, which all have the same question.
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
                tracing::warn!(%error, "cannot encode the completions; their rewards are NaN");
                vec![f32::NAN; candidates.len()]
            }
        }
    }
}
