//! The network of the builtin reward model.
//!
//! The score of an answer is the sum of two parts. For the *kind*, question and answer are each a sum of learned token
//! vectors, and the product of both is large if the answer is of the kind that the question asks for: a year, a person,
//! a symbol. The *form* is the output of a small network over the features of [`relation`].

use tch::{Device, Kind, Tensor};

use super::relation::{self, FEATURES};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use crate::transformer::layers::{Linear, embed};
use crate::weights::{Init, Weights};

/// Width of the token vectors.
const WIDTH: i64 = 32;
/// Hidden width of the network over the features of [`relation`].
const HIDDEN: i64 = 32;

/// Maximum number of tokens of a text. Further tokens are ignored.
const MAX_TOKENS: usize = 96;

/// The network of the builtin reward model.
pub struct Judge {
    /// Token vectors of questions, then of answers: [vocabulary, width] each.
    questions: Tensor,
    answers: Tensor,
    first: Linear,
    second: Linear,
}

/// Questions with the same number of answers each, as input of the network.
pub struct Batch {
    questions: Texts,
    answers: Texts,
    /// Features of [`relation`]: [questions, answers, features].
    relations: Tensor,
}

/// Tokens of texts: [.., tokens], with padding where the mask is 0.
pub(super) struct Texts {
    tokens: Tensor,
    pub(super) mask: Tensor,
}

/// The two parts of the scores: [questions, answers] each.
pub(super) struct Scores {
    pub(super) kind: Tensor,
    pub(super) form: Tensor,
}

impl Batch {
    /// Encodes questions and their answers. `answers` contains a list for each question, all of the same length.
    ///
    /// # Errors
    /// Returns an error if the tokenizer cannot encode a text.
    pub fn of(tokenizer: &Tokenizer, questions: &[&str], answers: &[Vec<&str>]) -> Result<Self, ModelError> {
        let width = answers.first().map_or(0, Vec::len) as i64;
        let flat: Vec<&str> = answers.iter().flatten().copied().collect();
        let pairs = questions.iter().zip(answers);
        let relations: Vec<f32> = pairs
            .flat_map(|(question, answers)| {
                let asked = relation::QuestionWords::of(question);
                answers
                    .iter()
                    .flat_map(move |answer| asked.features(answer))
                    .collect::<Vec<f32>>()
            })
            .collect();
        Ok(Self {
            questions: Texts::of(tokenizer, questions, &[])?,
            answers: Texts::of(tokenizer, &flat, &[-1, width])?,
            relations: Tensor::from_slice(&relations).view([-1, width, FEATURES as i64]),
        })
    }

    /// Masks the tokens for which `is_kept` returns false, so that the network does not depend on a single token.
    pub(super) fn thinned(mut self, mut is_kept: impl FnMut() -> bool) -> Self {
        for texts in [&mut self.questions, &mut self.answers] {
            let kept: Vec<f32> = (0..texts.mask.numel())
                .map(|_| f32::from(u8::from(is_kept())))
                .collect();
            texts.mask *= Tensor::from_slice(&kept).view_as(&texts.mask);
        }
        self
    }
}

impl Texts {
    fn of(tokenizer: &Tokenizer, texts: &[&str], shape: &[i64]) -> Result<Self, ModelError> {
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            let mut ids = tokenizer.encode(text)?.ids;
            ids.truncate(MAX_TOKENS);
            all.push(ids);
        }
        let longest = all.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let mut tokens = Vec::with_capacity(longest * all.len());
        let mut mask = Vec::with_capacity(longest * all.len());
        for ids in &all {
            let fillings = longest - ids.len();
            tokens.extend(ids.iter().copied().chain(std::iter::repeat_n(0, fillings)));
            mask.extend(
                ids.iter()
                    .map(|_| 1.0f32)
                    .chain(std::iter::repeat_n(0.0, fillings)),
            );
        }
        let mut full = if shape.is_empty() {
            vec![-1]
        } else {
            shape.to_vec()
        };
        full.push(longest as i64);
        Ok(Self {
            tokens: Tensor::from_slice(&tokens).view(full.as_slice()),
            mask: Tensor::from_slice(&mask).view(full.as_slice()),
        })
    }

    /// Returns the sum of the token vectors, divided by the square root of their number: [.., width].
    fn vectors(&self, table: &Tensor) -> Tensor {
        let sum =
            (embed(table, &self.tokens) * self.mask.unsqueeze(-1)).sum_dim_intlist(-2, false, Kind::Float);
        sum / self
            .mask
            .sum_dim_intlist(-1, true, Kind::Float)
            .clamp_min(1.0)
            .sqrt()
    }
}

impl Judge {
    /// Takes the parameters of a network for `vocabulary` tokens.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or invalid.
    pub(crate) fn take(vocabulary: i64, weights: &mut Weights) -> Result<Self, ModelError> {
        let vectors = Init::Normal { deviation: 0.2 };
        let shape = [vocabulary, WIDTH];
        let features = FEATURES as i64;
        Ok(Self {
            questions: weights.take("questions.weight", &shape, vectors)?,
            answers: weights.take("answers.weight", &shape, vectors)?,
            first: Linear::with_bias(weights, "form.0", [features, HIDDEN], Init::linear(features))?,
            second: Linear::with_bias(weights, "form.1", [HIDDEN, 1], Init::linear(HIDDEN))?,
        })
    }

    pub(super) fn parts(&self, batch: &Batch) -> Scores {
        let questions = batch.questions.vectors(&self.questions);
        let answers = batch.answers.vectors(&self.answers);
        let hidden = self.first.forward(&batch.relations).relu();
        Scores {
            kind: answers.matmul(&questions.unsqueeze(-1)).squeeze_dim(-1),
            form: self.second.forward(&hidden).squeeze_dim(-1),
        }
    }

    /// Returns a score for each answer, question by question. Larger is better.
    pub fn scores(&self, batch: &Batch) -> Vec<f32> {
        let Scores { kind, form } = tch::no_grad(|| self.parts(batch));
        let scores = (kind + form).flatten(0, -1).to_device(Device::Cpu);
        crate::gating::numbers(&scores)
    }
}
