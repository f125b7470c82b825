//! A tokenizer and a reward model of our own, inside the program, so that an experiment that learns needs no download.
//!
//! Both come from the builtin data set, by `cargo run --release -p mirror-models --example train_builtin`, and both
//! repeat to the last bit on one machine. The tokenizer is [`tokenizer`]. The reward model adds two judgements of an
//! answer: whether it is of the kind that is asked for ([`judge`]), and how its letters lie in the question's
//! ([`relation`]). It knows no facts: it was never taught to tell two answers of one kind apart by what they say, only
//! by their form. [`training`] is how it learns, [`held_out`] how well it does where it learned nothing.

pub mod held_out;
pub mod judge;
pub mod relation;
pub mod tokenizer;
pub mod training;

/// What an experiment file calls the tokenizer inside the program.
pub const NAME: &str = "builtin";

/// The tokenizer, a `tokenizer.json`.
pub const TOKENIZER: &[u8] = include_bytes!("tokenizer.json");

/// The reward model's parameters, safetensors in half precision.
pub const JUDGE: &[u8] = include_bytes!("judge.safetensors");
