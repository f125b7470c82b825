//! Measures the report of long runs: time and peak memory of the report with every plot that needs no model, for two
//! numbers of events with ten answers each, beside pandas, which computes the same statistics from the same tables, and
//! apart from it the report with principal components and estimators, which take a sample. `MIRROR_PYTHON` names a
//! Python with pandas; without it, only the report is measured.
//!
//! The runs are generated: rewards that depend on the uid, scores that approach the rewards, failures, prompts that
//! repeat, and completions of which some are shared.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{
    AxonCall, EpochFindings, EpochNeuron, ForwardEvent, Outcome, Purpose, Record, WeightsSet,
};
use mirror_runs::{Ended, NewRun, Recorder, RunDirectory};

/// Number of events of the two runs.
const EVENTS: [u64; 2] = [250_000, 1_000_000];

/// Number of miners, and of answers of each event.
const UIDS: u32 = 64;
const ANSWERS: u32 = 10;

/// Events that are recorded together.
const BATCH: u64 = 1_000;

fn main() -> anyhow::Result<()> {
    let mirror = programs().join("mirror");
    ensure!(
        mirror.exists(),
        "{} does not exist: build it first",
        mirror.display()
    );
    let python = std::env::var_os("MIRROR_PYTHON");
    println!("report of a run with {ANSWERS} answers for each event, {UIDS} uids");
    let mut times = Vec::new();
    for events in EVENTS {
        let folder = tempfile::tempdir()?;
        let run = generate(folder.path(), events)?;
        let plots = analysis(folder.path(), "plots", &run, PLOTS)?;
        let (seconds, peak) = measured(Command::new(&mirror).arg("run").arg(&plots))?;
        let page = run.join("report.html").metadata()?.len();
        println!(
            "{events:>9} events: {seconds:.1} s, peak memory {} MiB, page {:.1} MB",
            peak >> 20,
            page as f64 / 1e6
        );
        times.push(seconds);
        let estimators = analysis(folder.path(), "estimators", &run, ESTIMATORS)?;
        let (with_estimators, peak) = measured(Command::new(&mirror).arg("run").arg(&estimators))?;
        println!(
            "{:>16}  with principal components, boosting and a forest {with_estimators:.1} s, peak memory {} MiB",
            "",
            peak >> 20
        );
        let Some(python) = &python else {
            println!("skipped: MIRROR_PYTHON is not set, so pandas is not measured");
            continue;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/report.py");
        let (reference, reference_peak) = measured(Command::new(python).arg(script).arg(&run))?;
        println!(
            "{:>16}  pandas {reference:.1} s, peak memory {} MiB; {:.1} times as long",
            "",
            reference_peak >> 20,
            reference / seconds
        );
    }
    let growth = times[1] / times[0];
    let events = EVENTS[1] / EVENTS[0];
    println!("{events} times as many events take {growth:.2} times as long");
    Ok(())
}

/// Plots that need no model and no estimator.
const PLOTS: &str = "
  create_features:
    message: [question_length, num_words, avg_word_length, median_word_length]
    completion: [num_words]
  plot:
    rewards: [question_length, num_words, avg_word_length, median_word_length]
    scores: [question_length, avg_word_length]
";

/// The same with principal components and estimators, which take a sample.
const ESTIMATORS: &str = "
  create_features:
    message: [question_length, num_words, avg_word_length, median_word_length]
    completion: [num_words]
  pca: {columns: [question_length, avg_word_length, median_word_length, call_time], n_components: 2}
  estimators:
    boosting: {name: GradientBoostingRegressor, args: {n_estimators: 100}}
    forest: {name: RandomForestRegressor, args: {n_estimators: 100}}
  predict:
    rewards: {x: question_length, estimator: boosting}
    call_time: {x: avg_word_length, estimator: forest}
";

/// Writes an experiment file that analyses the run, and returns its path.
fn analysis(folder: &Path, id: &str, run: &Path, keys: &str) -> anyhow::Result<PathBuf> {
    let file = folder.join(format!("{id}.yml"));
    let text = format!("analysis:\n  id: {id}\n  requires: [{}]{keys}", run.display());
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Returns the folder of the programs that were built together with this one.
fn programs() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    let deps = this.parent().unwrap_or(Path::new("."));
    deps.parent().unwrap_or(deps).to_owned()
}

/// Runs a program to its end and returns its time in seconds and its peak memory in bytes.
fn measured(command: &mut Command) -> anyhow::Result<(f64, u64)> {
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start a program")?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // The kernel keeps the peak, so the last reading before the end misses only the end.
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = kibibytes.map_or(peak, |kibibytes| peak.max(kibibytes << 10));
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    ensure!(ended.success(), "the program failed: {ended}");
    Ok((started.elapsed().as_secs_f64(), peak))
}

/// Records a run of `events` events and returns its directory.
fn generate(folder: &Path, events: u64) -> anyhow::Result<PathBuf> {
    let new = NewRun {
        experiment: "generated".to_owned(),
        seed: 1,
        ..NewRun::default()
    };
    let directory = RunDirectory::create(folder, &new)?;
    let path = directory.layout().root().to_owned();
    let mut recorder = Recorder::start(directory, Recorder::SEGMENT_BYTES)?;
    let mut draws = Draws(1);
    for first in (0..events).step_by(BATCH as usize) {
        let mut records = Vec::new();
        for number in first..(first + BATCH).min(events) {
            records.push(event(number, events, &mut draws));
        }
        let step = first / 2;
        records.push(weights(step, &mut draws));
        records.push(epoch(first / BATCH + 1, step));
        recorder.append(&records)?;
    }
    recorder.finish(Ended::Done)?;
    Ok(path)
}

/// A sequence of numbers that look random (`SplitMix64`).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn share(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Mean reward of a uid.
fn quality(uid: u32) -> f32 {
    uid as f32 / UIDS as f32
}

fn event(number: u64, events: u64, draws: &mut Draws) -> Record {
    let trained = number as f32 / events as f32;
    let scores = (0..UIDS)
        .map(|uid| trained * quality(uid) + (1.0 - trained) * draws.share())
        .collect();
    let first = draws.below(u64::from(UIDS)) as u32;
    let calls: Vec<AxonCall> = (0..ANSWERS)
        .map(|call| self::call((first + call * 7) % UIDS, draws))
        .collect();
    let best = (0..).zip(&calls).filter(|(_, call)| call.reward.is_some());
    let best = best.max_by(|one, other| {
        one.1
            .reward
            .partial_cmp(&other.1.reward)
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let best = best.map(|(position, _): (u32, _)| position);
    Record {
        kind: Some(Kind::Event(ForwardEvent {
            validator: "validator-0".to_owned(),
            purpose: Purpose::Query.into(),
            step: number / 2,
            forward_index: (number % 2) as u32,
            block: number / 2,
            metagraph_version: 1,
            method: "train".to_owned(),
            is_question: number.is_multiple_of(2),
            message: format!("What is the answer to question number {}?", draws.below(3_600)),
            scores,
            calls,
            best,
            gating_loss: Some(1.0 - trained),
            started_at: 1_800_000_000.0 + number as f64 * 0.01,
            call_time: 0.005 + f64::from(draws.share()) * 0.01,
            trace_id: number.to_be_bytes().repeat(2),
            ..ForwardEvent::default()
        })),
    }
}

fn call(uid: u32, draws: &mut Draws) -> AxonCall {
    let answers = draws.share() > 0.1;
    let shared = draws.share() < 0.3;
    let completion = match (answers, shared) {
        (false, _) => String::new(),
        (true, true) => format!(
            "A common answer that many miners give, number {}.",
            draws.below(500)
        ),
        (true, false) => format!(
            "An answer of the miner {uid} that no other gives, number {}.",
            draws.next()
        ),
    };
    AxonCall {
        uid,
        outcome: if answers { Outcome::Success } else { Outcome::Empty }.into(),
        return_code: 1,
        latency: 0.002 + draws.share() * 0.01,
        size: completion.len() as u64,
        reward: answers.then(|| quality(uid) + draws.share() - 0.5),
        completion,
        ..AxonCall::default()
    }
}

fn weights(step: u64, draws: &mut Draws) -> Record {
    Record {
        kind: Some(Kind::Weights(WeightsSet {
            validator: "validator-0".to_owned(),
            step,
            block: step,
            uids: (0..UIDS).collect(),
            weights: (0..UIDS).map(|_| draws.share()).collect(),
            refusal: None,
        })),
    }
}

fn epoch(epoch: u64, block: u64) -> Record {
    let miner = |uid: u32| EpochNeuron {
        incentive: uid * 16,
        server_emission: u64::from(uid) * 1_000_000,
        ..EpochNeuron::default()
    };
    Record {
        kind: Some(Kind::Epoch(EpochFindings {
            epoch,
            block,
            first_uid: 0,
            neurons: (0..UIDS).map(miner).collect(),
        })),
    }
}
