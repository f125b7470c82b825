//! The part of `mirror models embed` and `mirror models tokens` that needs libtorch. Reads texts from standard input,
//! one JSON string per line, and writes a line of JSON for each to standard output: an array of numbers, or a number.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use mirror_models::sentences::{SentenceModel, count_tokens};
use mirror_models::torch;
use mirror_output::message;
use serde::Serialize;

/// Number of texts in a batch.
const BATCH: usize = 1_024;

/// Maximum length of a line in bytes.
const LONGEST: u64 = 16 << 20;

/// The output for each text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextReport {
    /// The sentence embedding.
    Embedding,
    /// The number of tokens.
    Tokens,
}

impl TextReport {
    /// Returns the output that the first word of the command line names. `None` for any other word.
    pub fn named(word: &std::ffi::OsStr) -> Option<Self> {
        match word.to_str()? {
            "embed" => Some(Self::Embedding),
            "tokens" => Some(Self::Tokens),
            _ => None,
        }
    }
}

/// Processes all texts with the model or tokenizer in the directory that the next argument names. `builtin` stands for
/// the builtin tokenizer.
pub fn main(report: TextReport, mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(folder) = words.next().map(PathBuf::from) else {
        message!("error: expected the directory of a model as the argument");
        return ExitCode::from(2);
    };
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let done = match report {
        TextReport::Embedding => torch::prepare("cpu", 1)
            .context("libtorch")
            .and_then(|_| Ok(SentenceModel::read(&folder)?))
            .and_then(|model| each(&mut input, &mut output, |texts| Ok(model.embed(texts)?))),
        TextReport::Tokens => each(&mut input, &mut output, |texts| Ok(count_tokens(&folder, texts)?)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            message!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn each<T: Serialize>(
    input: &mut impl BufRead,
    output: &mut impl Write,
    tell: impl Fn(&[String]) -> anyhow::Result<Vec<T>>,
) -> anyhow::Result<()> {
    let mut number = 0_u64;
    loop {
        let mut texts: Vec<String> = Vec::new();
        while texts.len() < BATCH {
            let mut line = Vec::new();
            let read = std::io::Read::take(&mut *input, LONGEST).read_until(b'\n', &mut line);
            if read.context("cannot read the texts")? == 0 {
                break;
            }
            number += 1;
            let text = serde_json::from_slice(&line);
            texts.push(text.with_context(|| format!("line {number} is not a JSON string"))?);
        }
        if texts.is_empty() {
            return Ok(output.flush()?);
        }
        for report in tell(&texts)? {
            serde_json::to_writer(&mut *output, &report)?;
            output.write_all(b"\n")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(input: &str) -> anyhow::Result<String> {
        let mut output = Vec::new();
        let tell = |texts: &[String]| Ok(texts.iter().map(String::len).collect());
        each(&mut input.as_bytes(), &mut output, tell)?;
        Ok(String::from_utf8(output)?)
    }

    #[test]
    fn each_text_gives_one_line() {
        assert_eq!(lengths("").expect("no texts"), "");
        assert_eq!(lengths("\"ab\"\n\"\"\n\"a\\nb\"").expect("three"), "2\n0\n3\n");
        let many = "\"x\"\n".repeat(3 * BATCH + 1);
        assert_eq!(lengths(&many).expect("many").lines().count(), 3 * BATCH + 1);
    }

    #[test]
    fn an_invalid_text_is_reported_with_its_line() {
        let refused = lengths("\"ab\"\n7\n").expect_err("a number");
        assert!(refused.to_string().contains("line 2"), "{refused}");
    }
}
