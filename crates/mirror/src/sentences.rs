//! What models make of texts: sentence embeddings, and numbers of tokens. The validator's program does the work, since
//! it alone links libtorch.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;

/// The sentence embedding of each text by the model in `folder`, in their order: all of the model's width.
///
/// # Errors
/// The program cannot be started, or refuses the model; the error has its words.
pub fn embeddings(validator: &Path, folder: &Path, texts: &[String]) -> anyhow::Result<Vec<Vec<f32>>> {
    ask(validator, "embed", folder, texts)
}

/// How many tokens each text has by the tokenizer in `folder`, in their order.
///
/// # Errors
/// As of [`embeddings`].
pub fn token_counts(validator: &Path, folder: &Path, texts: &[String]) -> anyhow::Result<Vec<u32>> {
    ask(validator, "tokens", folder, texts)
}

fn ask<T: DeserializeOwned + Send>(
    validator: &Path,
    what: &str,
    folder: &Path,
    texts: &[String],
) -> anyhow::Result<Vec<T>> {
    let mut child = Command::new(validator)
        .arg(what)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", validator.display()))?;
    let mut questions = child.stdin.take().context("its input is a pipe")?;
    let answers = child.stdout.take().context("its output is a pipe")?;
    let complaints = child.stderr.take().context("its errors are a pipe")?;
    // It answers while it is still being told, so that no pipe fills up.
    let (told, complaint) = std::thread::scope(|scope| {
        scope.spawn(move || {
            for text in texts {
                let mut line = serde_json::Value::from(text.as_str()).to_string();
                line.push('\n');
                // It has refused the model, and says so by its exit status.
                if questions.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        });
        let complaint = scope.spawn(move || {
            let mut words = String::new();
            // What cannot be read is not told; the exit status is.
            let _ = complaints.take(1 << 16).read_to_string(&mut words);
            words
        });
        let told: anyhow::Result<Vec<T>> = BufReader::new(answers)
            .lines()
            .map(|line| Ok(serde_json::from_str(&line?)?))
            .collect();
        (told, complaint.join().unwrap_or_default())
    });
    let status = child.wait().context("cannot wait for the validator's program")?;
    if !status.success() {
        bail!("{}", complaint.trim().trim_start_matches("error: "));
    }
    let told = told.context("the validator's program cannot be understood")?;
    ensure!(
        told.len() == texts.len(),
        "{} answers to {} texts",
        told.len(),
        texts.len()
    );
    Ok(told)
}
