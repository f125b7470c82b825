//! Complete runs: `mirror run` on a generated experiment file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::{network, process};

/// Environment variable that marks all processes of a run.
const MARK: &str = "MIRROR_BENCHMARK_RUN";

/// An experiment in which validators train on dummy miners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experiment {
    /// Number of validators.
    pub validators: u32,
    /// Number of miners.
    pub miners: u32,
    /// Number of axons per process.
    pub axons_per_process: u32,
    /// Number of axons that a forward asks.
    pub topk: u32,
    /// Number of training steps.
    pub steps: u64,
    /// The gating model and the reward model.
    pub models: Models,
    /// The traces that are kept: `all` or `off`.
    pub traces: &'static str,
}

/// The models of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Models {
    /// Constant random scores, and random rewards.
    Random,
    /// A `SequentialGatingModel` of upstream's size that learns, and random rewards.
    Sequential,
    /// A small random transformer that learns, and random rewards.
    TransformerGating,
    /// Constant random scores, and rewards by a small random transformer.
    TransformerReward,
}

impl Models {
    /// All variants.
    pub const ALL: [Self; 4] = [
        Self::Random,
        Self::Sequential,
        Self::TransformerGating,
        Self::TransformerReward,
    ];

    /// Returns a short description.
    pub fn words(self) -> &'static str {
        match self {
            Self::Random => "random scores and rewards",
            Self::Sequential => "SequentialGatingModel",
            Self::TransformerGating => "HuggingFaceGatingModel, small",
            Self::TransformerReward => "HuggingFaceRewardModel, small",
        }
    }

    fn gating(self, miners: u32) -> String {
        match self {
            Self::Random | Self::TransformerReward => {
                "{ name: RandomGatingModel, args: { frozen: true, distribution: uniform } }".to_owned()
            }
            Self::Sequential => format!(
                "{{ name: SequentialGatingModel, args: {{ tokenizer_name: ./{WORDS}, hidden_size: 32, \
                 embedding_dim: 64, num_uids: {miners} }} }}"
            ),
            Self::TransformerGating => format!(
                "{{ name: HuggingFaceGatingModel, args: {{ model_name: '{SMALL}', num_uids: {miners} }} }}"
            ),
        }
    }

    fn reward(self) -> String {
        match self {
            Self::Random | Self::Sequential | Self::TransformerGating => "RandomRewardModel".to_owned(),
            Self::TransformerReward => format!(
                "{{ name: HuggingFaceRewardModel, args: {{ model_path: '{SMALL}', tokenizer_path: '{SMALL}', \
                 random_init: true }} }}"
            ),
        }
    }
}

/// Folder, next to the experiment, of a tokenizer that replaces a real one: one token per word, as in the measurements
/// of upstream.
const WORDS: &str = "words";

/// A tokenizer without known words, which does not affect the number of tokens.
const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}}"#;

/// A transformer of two blocks, with its tokenizer.
const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/models/tiny-gpt2");

/// A run in progress. If it is dropped before it ends, it is killed together with its nodes.
pub struct Run {
    experiment: Experiment,
    folder: tempfile::TempDir,
    child: Child,
    mark: String,
}

/// The result of a run that succeeded and left no process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Output {
    /// Steps per second, from the first step to the last.
    pub steps_per_second: f64,
}

impl Experiment {
    /// Returns the experiment file. All settings that are not in it have their defaults.
    fn yaml(&self) -> String {
        let Self {
            validators,
            miners,
            axons_per_process,
            topk,
            steps,
            models,
            traces,
        } = self;
        let (gating, reward) = (models.gating(*miners), models.reward());
        format!(
            "model:
  id: dummy
  dendrite_pool: {{ name: DummyDendritePool, args: {{ data_path: builtin, fail_rate: 0 }} }}
  gating_model: {gating}
  reward_model: {reward}
  subtensor: {{ name: DummySubtensor, args: {{ epoch_length: 10 }} }}
  metagraph: {{ name: DummyMetagraph, args: {{ num_nodes: {miners} }} }}
  neuron: {{ training_topk: {topk} }}
query:
  id: steps
  method: {{ name: train, args: {{ max_iter: {steps} }} }}
network:
  validators: {validators}
  axons_per_process: {axons_per_process}
  record_acknowledged: true
telemetry:
  traces: {traces}
"
        )
    }

    /// Starts a run of the experiment.
    pub fn start(self) -> anyhow::Result<Run> {
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let file = folder.path().join("benchmark.yml");
        std::fs::write(&file, self.yaml())?;
        let words = folder.path().join(WORDS);
        std::fs::create_dir(&words)?;
        std::fs::write(words.join("tokenizer.json"), TOKENIZER)?;
        let mark = format!("{}-{}", std::process::id(), folder.path().display());
        let mirror = network::release_folder()?.join("mirror");
        let child = Command::new(&mirror)
            .arg("run")
            .arg(file)
            .arg("--runs-dir")
            .arg(folder.path().join("runs"))
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("stderr"))?)
            .spawn()
            .with_context(|| format!("cannot start {}", mirror.display()))?;
        Ok(Run {
            experiment: self,
            folder,
            child,
            mark,
        })
    }
}

impl Run {
    /// Returns the process id of the coordinator.
    pub fn coordinator(&self) -> u32 {
        self.child.id()
    }

    /// Returns the file in which the validator records acknowledged events, one per line. `None` if it does not exist
    /// yet.
    pub fn acknowledged(&self) -> Option<PathBuf> {
        let mut runs = self.folder.path().join("runs").read_dir().ok()?;
        let file = runs.next()?.ok()?.path().join("logs/validator-0.acknowledged");
        file.exists().then_some(file)
    }

    /// Returns whether the coordinator is still running.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for the end of the run: within `limit`, with exit status 0, with every step done, and without remaining
    /// processes.
    pub fn end(mut self, limit: Duration) -> anyhow::Result<Output> {
        let deadline = Instant::now() + limit;
        while self.is_running()? {
            ensure!(Instant::now() < deadline, "the run did not end within {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!(
                "the run ended with {status}: {}",
                last_line(&self.folder.path().join("stderr"))?
            );
        }
        let left = process::with_environment(&format!("{MARK}={}", self.mark))?;
        ensure!(left.is_empty(), "the run left processes: {left:?}");
        let mut said = String::new();
        let mut stdout = self.child.stdout.take().context("standard output is a pipe")?;
        stdout.read_to_string(&mut said)?;
        let steps = self.experiment.steps;
        let rate = said
            .lines()
            .find_map(|line| {
                line.strip_prefix(&format!("{steps} steps, "))?
                    .strip_suffix(" steps a second")
            })
            .and_then(|line| line.rsplit(' ').next())
            .with_context(|| format!("the run did not print the rate of its {steps} steps"))?;
        Ok(Output {
            steps_per_second: rate.parse()?,
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // The nodes end with the coordinator. An error means that the coordinator has already ended.
        let _ = self.child.kill();
        if let Err(error) = self.child.wait() {
            eprintln!("cannot wait for a run: {error}");
        }
    }
}

/// A reader of the validator's file of acknowledged events.
#[derive(Debug, Default)]
pub struct Acknowledged {
    file: Option<BufReader<File>>,
    events: usize,
}

impl Acknowledged {
    /// Returns the number of acknowledged events so far.
    pub fn count(&mut self, run: &Run) -> anyhow::Result<usize> {
        if self.file.is_none() {
            self.file = run
                .acknowledged()
                .map(File::open)
                .transpose()?
                .map(BufReader::new);
        }
        if let Some(file) = &mut self.file {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            self.events += text.matches('\n').count();
        }
        Ok(self.events)
    }
}

fn last_line(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().next_back().unwrap_or("no output").to_owned())
}
