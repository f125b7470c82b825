//! A tokenizer and a reward model that are compiled into the program, so that an experiment with training needs no
//! download.
//!
//! Both are trained on the builtin data set by `cargo run --release -p mirror-models --example train_builtin`, and
//! training is reproducible to the last bit on one machine. [`tokenizer`] trains the tokenizer. The reward model adds
//! two scores of an answer: whether it is of the kind that the question asks for ([`judge`]), and how its letters
//! relate to those of the question ([`relation`]). It knows no facts, because it learns to distinguish two answers of
//! one kind only by their form, not by their content. [`training`] trains the reward model, and [`held_out`] measures
//! its accuracy on tables that it was not trained on.

pub mod held_out;
pub mod judge;
pub mod relation;
pub mod tokenizer;
pub mod training;

/// Name of the builtin tokenizer in an experiment file.
pub const NAME: &str = "builtin";

/// The `tokenizer.json` of the builtin tokenizer.
pub const TOKENIZER: &[u8] = include_bytes!("tokenizer.json");

/// The parameters of the builtin reward model: safetensors in half precision.
pub const JUDGE: &[u8] = include_bytes!("judge.safetensors");
