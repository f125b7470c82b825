//! Compares models in libtorch with PyTorch's eager mode of the same version, one thread each: a training step of
//! `SequentialGatingModel`, and the rewards of a call by a random model of the smallest GPT-2 size. The measurements of
//! libtorch include the tokenizer, while PyTorch receives tokens.
//!
//! `MIRROR_BENCH_PYTHON` names a Python with torch. The default is `python3`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use mirror_benches::figures::{self, Pair};
use mirror_models::gating::{self, GatingModel, Question, TrainingExample};
use mirror_models::reward::{self, Candidate, RewardModel};
use mirror_models::tokenizer::Tokenizer;
use mirror_models::torch;
use mirror_models::training::{Gradients, SgdConfig};
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_spec::{
    CustomRewardArgs, GatingModel as GatingSpec, RewardModel as RewardSpec, SequentialGatingArgs,
};

/// Version of libtorch in this workspace.
const TORCH: &str = "2.13.0";

/// Number of tokens of a question.
const QUESTION: usize = 24;

/// Number of completions of a call.
const COMPLETIONS: usize = 10;

/// Number of uids, steps per measurement, and pairs.
const GATING: [(u32, u64, usize); 3] = [(16, 400, 15), (256, 400, 15), (4_096, 200, 15)];

/// Number of tokens of a completion, calls per measurement, and pairs.
const REWARD: [(usize, u64, usize); 2] = [(16, 4, 7), (128, 1, 7)];

fn main() -> anyhow::Result<()> {
    torch::prepare("cpu", 1)?;
    let tokenizer = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/models/tiny-gpt2");
    let texts = Texts(Tokenizer::read(Path::new(tokenizer))?);
    let python = Python::start();
    if let Err(reason) = &python {
        println!(
            "no comparison with PyTorch ({reason:#}): run `pip install torch=={TORCH}` in a separate environment, and \
             set MIRROR_BENCH_PYTHON to its python"
        );
    }
    let mut python = python.ok();
    if let Some(python) = &mut python {
        figures::head(
            "training step of SequentialGatingModel, compared with PyTorch",
            "steps/s",
        );
        for (uids, steps, pairs) in GATING {
            let mut model = gating_model(tokenizer, uids)?;
            let text = texts.of_tokens(QUESTION)?;
            let mut pair = || -> anyhow::Result<Pair> {
                let task = format!("gating {uids} {QUESTION} {steps}");
                Ok(Pair {
                    ours: steps as f64 / timed(steps, || step(&mut *model, &text)),
                    reference: steps as f64 / python.seconds(&task)?,
                })
            };
            pair()?;
            let measured: Vec<Pair> = (0..pairs).map(|_| pair()).collect::<anyhow::Result<_>>()?;
            figures::line(&format!("{uids} uids, {QUESTION} tokens"), &measured);
        }
    }
    let folder = tempfile::tempdir()?;
    let mut model = gpt2_small(tokenizer, folder.path())?;
    let mut alone = Vec::new();
    figures::head(
        "rewards of ten completions by GPT-2 small, compared with PyTorch",
        "calls/s",
    );
    for (tokens, calls, pairs) in REWARD {
        // The special token at the beginning of a text counts as a judged token. The one at its end does not.
        let text = texts.judged_tokens(tokens)?;
        let texts: Vec<&str> = vec![&text; COMPLETIONS];
        let mut together = || calls as f64 / timed(calls, || drop(model.rewards(&candidates(&texts))));
        let mut measured = Vec::new();
        together();
        if let Some(python) = &mut python {
            for _ in 0..pairs {
                let task = format!("reward {COMPLETIONS} {tokens} {calls}");
                let reference = calls as f64 / python.seconds(&task)?;
                measured.push(Pair {
                    ours: together(),
                    reference,
                });
            }
            figures::line(&format!("{tokens} tokens each, together"), &measured);
        }
        let pairs: Vec<Pair> = (0..pairs)
            .map(|_| Pair {
                ours: calls as f64 / timed(calls, || drop(model.rewards(&candidates(&texts)))),
                reference: calls as f64
                    / timed(calls, || {
                        for text in &texts {
                            model.rewards(&candidates(&[text]));
                        }
                    }),
            })
            .collect();
        alone.push((tokens, pairs));
    }
    figures::head(
        "rewards of ten completions, in one batch compared with one by one",
        "calls/s",
    );
    for (tokens, pairs) in alone {
        figures::line(&format!("{tokens} tokens each"), &pairs);
    }
    Ok(())
}

/// Runs `piece` once without measuring, then `times` times, and returns the seconds of the latter.
fn timed(times: u64, mut piece: impl FnMut()) -> f64 {
    piece();
    let began = Instant::now();
    for _ in 0..times {
        piece();
    }
    began.elapsed().as_secs_f64()
}

const CALL: CallId = CallId {
    caller: [0; 32],
    step: 0,
    forward_index: 0,
    uid: 0,
    call: CallNumber::QUERY,
};

fn gating_model(tokenizer: &str, uids: u32) -> anyhow::Result<Box<dyn GatingModel>> {
    let args = SequentialGatingArgs {
        tokenizer_name: tokenizer.to_owned(),
        hidden_size: vec![32],
        embedding_dim: 64,
        num_uids: Some(uids),
    };
    let context = gating::BuildContext {
        seed: Seed::root(1),
        num_nodes: uids,
        topk: 10,
        device: torch::prepare("cpu", 1)?,
        sgd: SgdConfig {
            learning_rate: 0.01,
            momentum: 0.9,
            gradients: Gradients::Zeroed,
        },
    };
    Ok(gating::build(&GatingSpec::SequentialGatingModel(args), &context)?)
}

/// Does the same as a validator in a forward: computes scores, and makes a training step with ten answers.
fn step(model: &mut dyn GatingModel, text: &str) {
    let question = Question { text, forward: CALL };
    let scores = model.scores(&question);
    let uids: Vec<u32> = (0..10).collect();
    let rewards: Vec<f32> = (0..10u8).map(|uid| f32::from(uid) / 10.0).collect();
    model.backward(&TrainingExample {
        question,
        uids: &uids,
        scores: &scores,
        rewards: &rewards,
    });
}

/// Builds a model of GPT-2's size with random parameters and a small tokenizer, because only the number of tokens
/// matters.
fn gpt2_small(tokenizer: &str, folder: &Path) -> anyhow::Result<Box<dyn RewardModel>> {
    fs::write(folder.join("config.json"), r#"{"model_type": "gpt2"}"#)?;
    let args = CustomRewardArgs {
        model_path: folder.display().to_string(),
        checkpoint: None,
        tokenizer_path: Some(tokenizer.to_owned()),
        half: false,
        device: None,
        random_init: true,
    };
    let context = reward::BuildContext {
        seed: Seed::root(1),
        device: torch::prepare("cpu", 1)?,
    };
    Ok(reward::build(&RewardSpec::CustomRewardModel(args), &context)?)
}

fn candidates<'a>(texts: &[&'a str]) -> Vec<Candidate<'a>> {
    let candidate = |text: &&'a str| Candidate {
        call: CALL,
        prompt: "",
        completion: text,
    };
    texts.iter().map(candidate).collect()
}

/// Generates texts of a given number of tokens.
struct Texts(Tokenizer);

impl Texts {
    fn of_tokens(&self, tokens: usize) -> anyhow::Result<String> {
        self.until(tokens, str::to_owned)
    }

    fn judged_tokens(&self, tokens: usize) -> anyhow::Result<String> {
        self.until(tokens, |text| format!("<|startoftext|>{text}"))
    }

    fn until(&self, tokens: usize, marked: impl Fn(&str) -> String) -> anyhow::Result<String> {
        let mut text = String::new();
        loop {
            let count = self.0.encode(&marked(&text))?.ids.len();
            ensure!(count <= tokens, "cannot make a text of {tokens} tokens");
            if count == tokens {
                return Ok(text);
            }
            text.push(if text.len().is_multiple_of(2) { 'q' } else { 'z' });
        }
    }
}

/// A Python process with PyTorch. It ends when its standard input closes.
struct Python {
    child: Child,
    tasks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> anyhow::Result<Self> {
        let program = std::env::var_os("MIRROR_BENCH_PYTHON").unwrap_or_else(|| "python3".into());
        let mut child = Command::new(&program)
            .args(["-W", "ignore"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/models.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let tasks = child.stdin.take();
        let answers = child.stdout.take().context("its output is a pipe")?;
        let mut python = Self {
            child,
            tasks,
            answers: BufReader::new(answers),
        };
        let version = python.line()?;
        ensure!(
            version == TORCH,
            "{} has {}",
            program.display(),
            if version.is_empty() { "no torch" } else { &version }
        );
        Ok(python)
    }

    fn seconds(&mut self, task: &str) -> anyhow::Result<f64> {
        let tasks = self.tasks.as_mut().context("its input is a pipe")?;
        writeln!(tasks, "{task}")?;
        tasks.flush()?;
        let answer = self.line()?;
        answer
            .parse()
            .with_context(|| format!("PyTorch replied `{answer}` to `{task}`"))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.tasks.take());
        if let Err(error) = self.child.wait() {
            eprintln!("cannot wait for PyTorch: {error}");
        }
    }
}
