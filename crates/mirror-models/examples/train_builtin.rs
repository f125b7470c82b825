//! Trains the builtin tokenizer and the builtin reward model on the builtin data set:
//!
//! ```sh
//! cargo run --release -p mirror-models --example train_builtin
//! ```
//!
//! The program writes `src/builtin/tokenizer.json`, then prints the accuracy of the reward model on held-out tables for
//! three different divisions into folds, and finally trains the model on every table and writes
//! `src/builtin/judge.safetensors`. It takes a few minutes on one core.

use std::collections::BTreeMap;
use std::fs;
use std::iter;
use std::path::Path;

use mirror_models::builtin::held_out::{self, HeldOutResult, Share};
use mirror_models::builtin::tokenizer;
use mirror_models::builtin::training::{self, Table};
use mirror_models::tokenizer::Tokenizer;
use mirror_models::torch;
use mirror_seed::Seed;

/// Number of random divisions of the topics into folds.
const DEALS: u64 = 3;
/// Number of folds in each division.
const FOLDS: usize = 5;

fn main() -> anyhow::Result<()> {
    torch::prepare("cpu", 1)?;
    let tables = tables();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/builtin"));
    fs::write(
        folder.join("tokenizer.json"),
        tokenizer::train(texts(&tables).into_iter())?,
    )?;
    let tokenizer = Tokenizer::read(folder)?;

    println!(
        "{:<30}{:>9}{:>11}{:>9}{:>11}",
        "held out", "questions", "same table", "longer", "any table"
    );
    let mut by_table: BTreeMap<(String, String), HeldOutResult> = BTreeMap::new();
    for deal in 0..DEALS {
        let seed = Seed::root(deal);
        let mut of_deal = Vec::new();
        for (number, topics) in held_out::folds(&tables, FOLDS, seed).iter().enumerate() {
            let judged = held_out::hold_out(topics, &tables, &tokenizer, seed)?;
            tell(
                &format!("deal {deal}, fold {number}: {} topics", topics.len()),
                &judged,
            );
            of_deal.extend(judged);
        }
        tell(&format!("deal {deal}, all topics"), &of_deal);
        for judged in of_deal {
            let key = (judged.topic.clone(), judged.table.clone());
            match by_table.get_mut(&key) {
                Some(known) => known.add(&judged),
                None => drop(by_table.insert(key, judged)),
            }
        }
    }
    println!("per table, all deals");
    for judged in by_table.values() {
        tell(&format!("  {}", judged.table), std::slice::from_ref(judged));
    }

    let all: Vec<&Table> = tables.iter().collect();
    let (_, learned) = training::train(&all, &tokenizer, Seed::root(0))?;
    training::write(&learned, &folder.join("judge.safetensors"))?;
    Ok(())
}

fn tables() -> Vec<Table> {
    let tables = mirror_dataset::builtin::tables().iter().map(|table| Table {
        topic: table.topic.to_owned(),
        name: table.name.to_owned(),
        questions: table
            .rows
            .iter()
            .map(|row| (row.question.clone(), row.answers.clone()))
            .collect(),
    });
    tables.collect()
}

fn texts(tables: &[Table]) -> Vec<&str> {
    let questions = tables.iter().flat_map(|table| &table.questions);
    questions
        .flat_map(|(question, answers)| iter::once(question).chain(answers))
        .map(String::as_str)
        .collect()
}

fn tell(what: &str, judged: &[HeldOutResult]) {
    let share =
        |of: fn(&HeldOutResult) -> Share| judged.iter().map(of).fold(Share::default(), Share::and).value();
    println!(
        "{what:<30}{:>9}{:>11.3}{:>9.3}{:>11.3}",
        judged.iter().map(|judged| judged.questions).sum::<usize>(),
        share(|judged| judged.alike),
        share(|judged| judged.longer),
        share(|judged| judged.anywhere),
    );
}
