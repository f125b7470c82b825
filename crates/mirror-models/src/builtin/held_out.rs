//! Cross-validation of the builtin reward model on tables that it was not trained on.
//!
//! Topics are divided into folds. Each fold is scored by a network that was trained on the other folds, so every fact
//! is held out once, together with all questions made from it. Each right answer is paired with wrong answers *of the
//! same table whose length differs by at most two characters*, and the network should prefer the right one. For
//! comparison, the result also contains the share that length alone would find.

use std::collections::BTreeSet;

use mirror_seed::Seed;
use rand::seq::{IndexedRandom, SliceRandom};

use super::judge::Batch;
use super::training::{self, Table};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;

/// Largest difference in length, in characters.
const LENGTHS_APART: usize = 2;
/// Maximum number of wrong answers that are paired with a right one.
const WRONG: usize = 4;
/// Questions in one batch.
const QUESTIONS: usize = 64;

/// The result for one table.
#[derive(Debug, Clone)]
pub struct HeldOutResult {
    /// Topic of the table.
    pub topic: String,
    /// Name of the table.
    pub table: String,
    /// Number of questions that have a wrong answer of similar length.
    pub questions: usize,
    /// Share of pairs of the same table and similar length in which the network prefers the right answer.
    pub alike: Share,
    /// Share of the same pairs in which the right answer is the longer one.
    pub longer: Share,
    /// Share of pairs with an answer from any table, as a miner that answers at random gives, in which the network
    /// prefers the right answer.
    pub anywhere: Share,
}

impl HeldOutResult {
    /// Adds the shares of another result for the same table. The number of questions does not change.
    pub fn add(&mut self, other: &Self) {
        self.alike = self.alike.and(other.alike);
        self.longer = self.longer.and(other.longer);
        self.anywhere = self.anywhere.and(other.anywhere);
    }
}

/// A share of pairs. A tie counts half.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share {
    found: f64,
    pairs: f64,
}

impl Share {
    fn add(&mut self, right: f64, wrong: f64) {
        self.pairs += 1.0;
        self.found += if right > wrong {
            1.0
        } else if right < wrong {
            0.0
        } else {
            0.5
        };
    }

    /// Returns the share over the pairs of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            found: self.found + other.found,
            pairs: self.pairs + other.pairs,
        }
    }

    /// Returns the share, from 0 to 1, or NaN if there are no pairs.
    pub fn value(self) -> f64 {
        self.found / self.pairs
    }
}

/// Divides the topics of the tables into `count` folds at random.
pub fn folds(tables: &[Table], count: usize, seed: Seed) -> Vec<BTreeSet<String>> {
    let topics: BTreeSet<&str> = tables.iter().map(|table| table.topic.as_str()).collect();
    let mut topics: Vec<&str> = topics.into_iter().collect();
    topics.shuffle(&mut seed.child("folds").generator());
    let mut folds = vec![BTreeSet::new(); count];
    for (fold, topic) in (0..count).cycle().zip(topics) {
        folds[fold].insert(topic.to_owned());
    }
    folds
}

/// Trains a network on all topics except `topics`, and returns its results on the tables of `topics`.
///
/// # Errors
/// Returns an error if the tokenizer cannot encode a text.
pub fn hold_out(
    topics: &BTreeSet<String>,
    tables: &[Table],
    tokenizer: &Tokenizer,
    seed: Seed,
) -> Result<Vec<HeldOutResult>, ModelError> {
    let (held_out, others): (Vec<&Table>, Vec<&Table>) =
        tables.iter().partition(|table| topics.contains(&table.topic));
    let (judge, _) = training::train(&others, tokenizer, seed)?;
    let all: Vec<&str> = tables
        .iter()
        .flat_map(|table| table.questions.iter().filter_map(|(_, right)| right.first()))
        .map(String::as_str)
        .collect();
    let mut draws = seed.child("wrong answers").generator();
    let mut judged = Vec::new();
    for table in held_out {
        let mut of_table = HeldOutResult {
            topic: table.topic.clone(),
            table: table.name.clone(),
            questions: 0,
            alike: Share::default(),
            longer: Share::default(),
            anywhere: Share::default(),
        };
        let mut pairs: Vec<(&str, Vec<&str>)> = Vec::new();
        for (number, (question, answers)) in table.questions.iter().enumerate() {
            let Some(right) = answers.first() else { continue };
            let length = right.chars().count();
            let mut wrong = table.wrong_answers(number);
            wrong.retain(|wrong| wrong.chars().count().abs_diff(length) <= LENGTHS_APART);
            wrong.truncate(WRONG);
            of_table.questions += usize::from(!wrong.is_empty());
            for wrong in wrong {
                of_table.longer.add(length as f64, wrong.chars().count() as f64);
                let anywhere = all
                    .choose(&mut draws)
                    .filter(|any| !answers.iter().any(|right| right == *any));
                pairs.push((question, vec![right, wrong, anywhere.unwrap_or(&wrong)]));
            }
        }
        for some in pairs.chunks(QUESTIONS) {
            let questions: Vec<&str> = some.iter().map(|(question, _)| *question).collect();
            let answers: Vec<Vec<&str>> = some.iter().map(|(_, answers)| answers.clone()).collect();
            let scores = judge.scores(&Batch::of(tokenizer, &questions, &answers)?);
            for scores in scores.chunks_exact(3) {
                of_table.alike.add(scores[0].into(), scores[1].into());
                of_table.anywhere.add(scores[0].into(), scores[2].into());
            }
        }
        judged.push(of_table);
    }
    Ok(judged)
}
