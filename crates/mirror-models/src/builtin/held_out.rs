//! How well the builtin reward model does on tables that it has learned nothing of.
//!
//! Topics are dealt into folds; each fold is judged by a network that was trained on the others, so that every fact is
//! held out once with all that is made of it. An answer is held against wrong ones *of the same table whose length
//! differs by two characters at most*: pairs, of which the network is to find the right one. Beside that, what length
//! alone would find.

use std::collections::BTreeSet;

use mirror_seed::Seed;
use rand::seq::{IndexedRandom, SliceRandom};

use super::judge::Batch;
use super::training::{self, Table};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;

/// How far lengths may differ, in characters.
const LENGTHS_APART: usize = 2;
/// Wrong answers that a right one is held against, at most.
const WRONG: usize = 4;
/// Questions that are judged at a time.
const QUESTIONS: usize = 64;

/// What became of a table.
#[derive(Debug, Clone)]
pub struct HeldOutResult {
    /// Its topic.
    pub topic: String,
    /// Its name.
    pub table: String,
    /// Questions with a wrong answer of that length.
    pub questions: usize,
    /// Of answers of the same table and length: share of pairs in which the network finds the right one.
    pub alike: Share,
    /// In which the longer answer is the right one.
    pub longer: Share,
    /// Of answers from any table, as a miner gives that answers at random.
    pub anywhere: Share,
}

impl HeldOutResult {
    /// Takes in what became of the same table another time.
    pub fn add(&mut self, other: &Self) {
        self.alike = self.alike.and(other.alike);
        self.longer = self.longer.and(other.longer);
        self.anywhere = self.anywhere.and(other.anywhere);
    }
}

/// A share of pairs; those that are equal count half.
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

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            found: self.found + other.found,
            pairs: self.pairs + other.pairs,
        }
    }

    /// 0 … 1; NaN of no pair.
    pub fn value(self) -> f64 {
        self.found / self.pairs
    }
}

/// Deals the topics of the tables into folds, at random.
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

/// Trains a network on all topics but these, and judges their tables by it.
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
