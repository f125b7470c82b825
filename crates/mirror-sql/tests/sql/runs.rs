//! The DuckDB executable and recorded runs for the tests.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{AxonCall, ForwardEvent, Outcome, Purpose, Record};
use mirror_runs::{Ended, Neuron, NeuronKind, NewRun, Recorder, RunDirectory, neurons};
use mirror_sql::{Engine, Format, SqlError};

/// Returns the executable that `cargo xtask test` downloads. Without an executable, returns `None` and prints that the
/// test is skipped, but panics in CI.
pub(crate) fn engine() -> Option<Engine> {
    match Engine::find() {
        Ok(engine) => Some(engine),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// Returns the printed answer of a query.
pub(crate) fn answer(
    engine: &Engine,
    runs: &[&Path],
    sql: &str,
    format: Format,
) -> Result<Vec<u8>, SqlError> {
    let runs: Vec<PathBuf> = runs.iter().map(|run| run.to_path_buf()).collect();
    let mut printed = tempfile::tempfile().expect("a file for the answer");
    let answer = engine.answer(&runs, sql, format)?;
    answer.write(printed.try_clone().expect("a second handle"))?;
    let mut read = Vec::new();
    printed.rewind().expect("the file can be rewound");
    printed.read_to_end(&mut read).expect("the answer can be read");
    Ok(read)
}

/// Returns the printed answer of a query as text.
#[track_caller]
pub(crate) fn text(engine: &Engine, runs: &[&Path], sql: &str, format: Format) -> String {
    let printed = answer(engine, runs, sql, format).unwrap_or_else(|error| panic!("{sql}: {error}"));
    String::from_utf8(printed).expect("the answer is text")
}

/// Records a run of two steps in which uid 0 answers and receives `rewards`, and uid 1 times out.
pub(crate) fn run(folder: &Path, seed: u64, rewards: [f32; 2]) -> PathBuf {
    let new = NewRun {
        experiment: "asked".to_owned(),
        seed,
        tags: vec!["a".to_owned()],
        ..NewRun::default()
    };
    let directory = RunDirectory::create(folder, &new).unwrap();
    let layout = directory.layout().clone();
    let mut recorder = Recorder::start(directory, Recorder::SEGMENT_BYTES).unwrap();
    let records: Vec<Record> = (0..)
        .zip(rewards)
        .map(|(step, reward)| event(step, reward))
        .collect();
    recorder.append(&records).unwrap();
    recorder.finish(Ended::Done).unwrap();
    let miner = |uid, role: &str| Neuron {
        uid,
        kind: NeuronKind::Miner,
        role: role.to_owned(),
        label: role.to_owned(),
        control: None,
        node: None,
    };
    neurons::save(&[miner(0, "honest"), miner(1, "silent")], &layout).unwrap();
    layout.root().to_owned()
}

fn event(step: u64, reward: f32) -> Record {
    let call = |uid, outcome: Outcome, reward| AxonCall {
        uid,
        outcome: outcome.into(),
        reward,
        completion: "a, \"b\"".to_owned(),
        latency: 0.25,
        ..AxonCall::default()
    };
    Record {
        kind: Some(Kind::Event(ForwardEvent {
            validator: "validator-0".to_owned(),
            purpose: Purpose::Query.into(),
            step,
            scores: vec![0.5, 0.25],
            message: "what?".to_owned(),
            calls: vec![
                call(0, Outcome::Success, Some(reward)),
                call(1, Outcome::Timeout, None),
            ],
            best: Some(0),
            ..ForwardEvent::default()
        })),
    }
}
