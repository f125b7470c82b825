//! Training of the builtin reward model. Each question has one right answer and several wrong ones, and training
//! increases the share of the right answer in the softmax over their scores.
//!
//! There are two sorts of wrong answers. Some are from the same table, with a length as close as possible to the right
//! one, and train only the form. The others are from any table, as from a miner that answers at random, and train form
//! and kind together. The part of the network that reads tokens is never trained to distinguish answers of one table,
//! so it cannot memorise them.

use std::path::Path;

use mirror_seed::Seed;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::judge::{Batch, Judge};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use crate::training::Learning;
use crate::weights::{Precision, Weights};

/// Questions that ask for one kind of answer.
#[derive(Debug, Clone)]
pub struct Table {
    /// Topic: the facts that the table is made from. Several tables can share a topic.
    pub topic: String,
    /// Name of the table.
    pub name: String,
    /// Questions with their right answers.
    pub questions: Vec<(String, Vec<String>)>,
}

/// Number of passes over all questions.
const PASSES: u32 = 10;
/// Questions in one training step.
const QUESTIONS: usize = 64;
/// Wrong answers of each sort per right answer.
const WRONG: usize = 4;
/// Share of tokens that are kept during training.
const SEEN: f64 = 0.7;
/// Initial learning rate, which decreases linearly to 0.
const STEP: f64 = 0.01;

/// Number of wrong answers of the same table, nearest in length to the right one, that are sampled from.
const NEAREST: usize = 12;

impl Table {
    /// Returns the answers to other questions of the table that are wrong for this one, the nearest in length first.
    /// Ties keep the order of the table.
    pub fn wrong_answers(&self, question: usize) -> Vec<&str> {
        let Some((_, right)) = self.questions.get(question) else {
            return Vec::new();
        };
        let length = right.first().map_or(0, |right| right.chars().count());
        let mut wrong: Vec<&str> = Vec::new();
        for (_, answers) in &self.questions {
            if let Some(answer) = answers.first()
                && !right.contains(answer)
                && !wrong.contains(&answer.as_str())
            {
                wrong.push(answer);
            }
        }
        wrong.sort_by_key(|answer| answer.chars().count().abs_diff(length));
        wrong
    }
}

/// Trains the network on all questions of the tables. The same tables and random seed give the same network on one
/// machine.
///
/// # Errors
/// Returns an error if the tokenizer cannot encode a text.
pub fn train(tables: &[&Table], tokenizer: &Tokenizer, seed: Seed) -> Result<(Judge, Learning), ModelError> {
    let mut weights = Weights::drawn(seed.child("parameters"), Precision::single(Device::Cpu)).learning();
    let judge = Judge::take(tokenizer.vocabulary(), &mut weights)?;
    let learning = weights.take_learning();
    let mut descent = Adam::of(&learning);
    let mut draws = seed.child("lessons").generator();
    let mut lessons: Vec<QuestionAnswers<'_>> = tables.iter().flat_map(|table| lessons(table)).collect();
    let all: Vec<&str> = lessons
        .iter()
        .filter_map(|lesson| lesson.right.first().map(String::as_str))
        .collect();
    let steps = f64::from(PASSES) * lessons.len().div_ceil(QUESTIONS) as f64;
    let mut step = 0.0;
    for _ in 0..PASSES {
        lessons.shuffle(&mut draws);
        for some in lessons.chunks(QUESTIONS) {
            let questions: Vec<&str> = some.iter().map(|lesson| lesson.question).collect();
            let answers: Vec<Vec<&str>> = some
                .iter()
                .map(|lesson| lesson.answers(&all, &mut draws))
                .collect();
            let batch = Batch::of(tokenizer, &questions, &answers)?.thinned(|| draws.random_bool(SEEN));
            descent.step(&loss(&judge, &batch), STEP * (1.0 - step / steps));
            step += 1.0;
        }
    }
    Ok((judge, learning))
}

/// Writes the parameters from [`train`] to a safetensors file in half precision.
///
/// # Errors
/// Returns [`ModelError::Unwritten`] if the file cannot be written.
pub fn write(learning: &Learning, path: &Path) -> Result<(), ModelError> {
    let half = |(name, value): &(String, Tensor)| (name.clone(), value.detach().to_kind(Kind::Half));
    let tensors: Vec<(String, Tensor)> = learning.iter().map(half).collect();
    Tensor::write_safetensors(&tensors, path).map_err(|source| ModelError::Unwritten {
        path: path.to_owned(),
        source,
    })
}

/// A question with its right answers and wrong answers of the same table.
struct QuestionAnswers<'a> {
    question: &'a str,
    right: &'a [String],
    /// Wrong answers of the same table, at least one.
    alike: Vec<&'a str>,
}

fn lessons(table: &Table) -> impl Iterator<Item = QuestionAnswers<'_>> {
    table
        .questions
        .iter()
        .enumerate()
        .filter_map(|(number, (question, right))| {
            let mut alike = table.wrong_answers(number);
            alike.truncate(NEAREST);
            (!alike.is_empty() && !right.is_empty()).then_some(QuestionAnswers {
                question,
                right,
                alike,
            })
        })
}

impl<'a> QuestionAnswers<'a> {
    /// Returns a right answer, then wrong ones of the same table, then wrong ones of any table.
    fn answers(&self, all: &[&'a str], draws: &mut ChaCha8Rng) -> Vec<&'a str> {
        let mut answers: Vec<&str> = self.right.choose(draws).map(String::as_str).into_iter().collect();
        answers.extend((0..WRONG).filter_map(|_| self.alike.choose(draws)));
        while answers.len() < 1 + 2 * WRONG {
            let Some(other) = all.choose(draws) else { break };
            if !self.right.iter().any(|right| right == other) {
                answers.push(other);
            }
        }
        answers
    }
}

fn loss(judge: &Judge, batch: &Batch) -> Tensor {
    let wrong = WRONG as i64;
    let scores = judge.parts(batch);
    let alike = scores.form.narrow(1, 0, 1 + wrong);
    let sum = &scores.kind + &scores.form;
    let anywhere = Tensor::cat(&[sum.narrow(1, 0, 1), sum.narrow(1, 1 + wrong, wrong)], 1);
    [alike, anywhere]
        .map(|scores| -scores.log_softmax(1, Kind::Float).select(1, 0).mean(Kind::Float))
        .iter()
        .sum()
}

/// The Adam optimiser of Kingma and Ba (2015), with their constants.
struct Adam {
    parameters: Vec<(Tensor, Tensor, Tensor)>,
    steps: i32,
}

impl Adam {
    const MEAN: f64 = 0.9;
    const SQUARE: f64 = 0.999;

    fn of(learning: &Learning) -> Self {
        let parameter = |(_, value): &(String, Tensor)| {
            tch::no_grad(|| (value.shallow_clone(), value.zeros_like(), value.zeros_like()))
        };
        Self {
            parameters: learning.iter().map(parameter).collect(),
            steps: 0,
        }
    }

    fn step(&mut self, loss: &Tensor, rate: f64) {
        let values: Vec<&Tensor> = self.parameters.iter().map(|(value, _, _)| value).collect();
        let gradients = Tensor::run_backward(&[loss], &values, false, false);
        self.steps += 1;
        let mean_bias = 1.0 - Self::MEAN.powi(self.steps);
        let square_bias = 1.0 - Self::SQUARE.powi(self.steps);
        tch::no_grad(|| {
            for ((value, mean, square), gradient) in self.parameters.iter_mut().zip(gradients) {
                *mean *= Self::MEAN;
                *mean += &gradient * (1.0 - Self::MEAN);
                *square *= Self::SQUARE;
                *square += gradient.square() * (1.0 - Self::SQUARE);
                let root = (&*square / square_bias).sqrt() + 1e-8;
                *value -= &*mean / root * (rate / mean_bias);
            }
        });
    }
}
