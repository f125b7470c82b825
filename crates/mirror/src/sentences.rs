//! Sentence embeddings and token counts of texts. The validator's program computes them, because only it links
//! libtorch.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;

/// Returns the sentence embedding of each text by the model in `folder`, in the order of the texts. Each has the width
/// of the model.
///
/// # Errors
/// Returns an error if the program cannot be started or refuses the model; the error contains the program's message.
pub fn embeddings(validator: &Path, folder: &Path, texts: &[String]) -> anyhow::Result<Vec<Vec<f32>>> {
    ask(validator, "embed", folder, texts)
}

/// Returns the number of tokens of each text by the tokenizer in `folder`, in the order of the texts. The folder
/// `builtin` stands for the builtin tokenizer.
///
/// # Errors
/// As for [`embeddings`].
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
    let mut questions = child.stdin.take().expect("the input is a pipe");
    let answers = child.stdout.take().expect("the output is a pipe");
    let complaints = child.stderr.take().expect("the errors are a pipe");
    // Results are read while texts are still being written, so that no pipe fills up.
    let (results, complaint) = std::thread::scope(|scope| {
        scope.spawn(move || {
            for text in texts {
                let mut line = serde_json::Value::from(text.as_str()).to_string();
                line.push('\n');
                // The program has refused the model; its exit status reports that.
                if questions.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        });
        let complaint = scope.spawn(move || {
            let mut words = String::new();
            // Errors that cannot be read are left out; the exit status reports the failure.
            let _ = complaints.take(1 << 16).read_to_string(&mut words);
            words
        });
        let results: anyhow::Result<Vec<T>> = BufReader::new(answers)
            .lines()
            .map(|line| Ok(serde_json::from_str(&line?)?))
            .collect();
        (results, complaint.join().unwrap_or_default())
    });
    let status = child.wait().context("cannot wait for the validator's program")?;
    if !status.success() {
        bail!("{}", complaint.trim().trim_start_matches("error: "));
    }
    let results = results.context("the output of the validator's program is invalid")?;
    ensure!(
        results.len() == texts.len(),
        "the validator's program returned {} results for {} texts",
        results.len(),
        texts.len()
    );
    Ok(results)
}
