//! Tests of gating models that learn: what a run saves of them, and how another run resumes from it.

use std::fs;

use mirror_runs::Run;
use mirror_runs::tables::{EventRow, LossRow, ParameterRow, ResponseRow, Row, SUCCESS};
use mirror_tests::{TestEnv, eventually, rows};
use rustix::process::Signal;

use crate::experiment::TRAINING;

const NAMES: [&str; 6] = [
    "linear.bias",
    "linear.weight",
    "lstm.bias_hh_l0",
    "lstm.bias_ih_l0",
    "lstm.weight_hh_l0",
    "lstm.weight_ih_l0",
];

/// Returns [`TRAINING`] with a gating model that learns and a checkpoint every twenty steps.
fn sequential() -> String {
    let random = "gating_model: {name: RandomGatingModel, args: {distribution: uniform}}";
    let tokenizer = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/sequential");
    let sequential = format!(
        "gating_model: {{name: SequentialGatingModel, args: {{tokenizer_name: '{tokenizer}', hidden_size: 8, \
         embedding_dim: 12, num_uids: 8}}}}"
    );
    assert!(TRAINING.contains(random));
    TRAINING
        .replace(random, &sequential)
        .replace("neuron: {", "neuron: {checkpoint_every: 20, learning_rate: 1, ")
}

fn newest(env: &TestEnv) -> Run {
    let path = mirror_runs::find(env.runs_dir(), "last").expect("there is a run");
    Run::open(path).expect("the run opens")
}

fn checkpoint(run: &Run, name: &str) -> std::path::PathBuf {
    run.layout().checkpoints("validator-0").join(name)
}

fn table<R: Row>(run: &Run) -> Vec<R> {
    rows(run)
}

/// Returns the scores of the first forward of a step, whose prompt is always the same.
fn first_scores(run: &Run, step: u64) -> Vec<f32> {
    let events: Vec<EventRow> = table(run);
    let event = events
        .into_iter()
        .find(|event| (event.step, event.forward_index) == (step, 0));
    event.expect("a step has a first forward").scores
}

#[test]
fn losses_and_parameters_are_tables() {
    let env = TestEnv::new();
    let file = env.file("sequential.yml", sequential());
    let run = env.done(file, &[]);
    let losses: Vec<LossRow> = table(&run);
    let parameters: Vec<ParameterRow> = table(&run);
    let looked = losses.iter().filter(|loss| loss.step % 10 == 0);
    let expected: Vec<(u64, u32, &str)> = looked
        .flat_map(|loss| NAMES.map(|name| (loss.step, loss.forward_index, name)))
        .collect();
    let found: Vec<(u64, u32, &str)> = parameters
        .iter()
        .map(|row| (row.step, row.forward_index, row.parameter.as_str()))
        .collect();
    assert!(!found.is_empty());
    assert_eq!(
        found, expected,
        "every ten steps, for both forwards that were trained on"
    );
    assert!(parameters.iter().all(|row| row.gradient_norm > 0.0));
    assert!(parameters.iter().all(|row| row.histogram.len() == 64));

    let never = env.done(file, &["model.neuron.watch_every=0"]);
    assert_eq!(table::<ParameterRow>(&never), []);
}

#[test]
fn a_validator_killed_in_training_ends_with_the_same_events_and_the_same_model() {
    let env = TestEnv::new();
    let file = env.file("sequential.yml", sequential());
    let long = ["query.method.args.max_iter=300"];
    let undisturbed = env.done(file, &long);
    let mut running = env.start_run(file, &long);
    let folder = running.folder();
    for events in [30, 250] {
        running.until_acknowledged("validator-0", events);
        let node = running.node("validator-0");
        node.send(Signal::KILL);
        eventually("a killed node has ended", || (!node.is_alive()).then_some(()));
    }
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let printed = fs::read_to_string(folder.join("logs/validator-0.log")).expect("a log");
    assert!(printed.contains("resuming from a checkpoint"), "{printed}");
    let disturbed = Run::open(folder).expect("the run opens");
    let same = env.diff(&undisturbed, &disturbed);
    assert_eq!(same.status, Some(0), "{same:?}");
    let left = |run| fs::read(checkpoint(run, "00000300.safetensors")).expect("the last checkpoint");
    assert!(left(&undisturbed) == left(&disturbed), "the models differ");
}

#[test]
fn a_run_resumes_from_the_checkpoint_of_another() {
    let env = TestEnv::new();
    let file = env.file("sequential.yml", sequential());
    let first = env.done(file, &[]);
    assert_ne!(first_scores(&first, 20), first_scores(&first, 0), "it learned");
    let middle = checkpoint(&first, "00000020.safetensors");
    let middle = middle.to_str().expect("a path in UTF-8");
    let frozen = "model.neuron.learning_rate=0";

    // With another random seed, the parameters are still those of the checkpoint.
    let ended = env.mirror(&[
        "run", file, "--set", "seed=8", "--set", frozen, "--resume", middle,
    ]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let second = newest(&env);
    assert_eq!(first_scores(&second, 0), first_scores(&first, 20));
    assert_eq!(
        first_scores(&second, 39),
        first_scores(&first, 20),
        "the learning rate is 0"
    );

    // A run provides its last checkpoint.
    let id = first.layout().root().file_name().expect("a run has an id");
    let id = id.to_str().expect("ids are UTF-8");
    let ended = env.mirror(&["run", file, "--set", frozen, "--resume", id]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let third = newest(&env);
    let last = |run: &Run| fs::read(checkpoint(run, "00000040.safetensors")).expect("a checkpoint");
    assert_ne!(first_scores(&third, 0), first_scores(&second, 0));
    assert_eq!(last(&third).len(), last(&first).len());
}

#[test]
fn unusable_checkpoints_are_rejected_before_the_first_step() {
    let env = TestEnv::new();
    let file = env.file("sequential.yml", sequential());
    let first = env.done(file, &[]);
    let last = checkpoint(&first, "00000040.safetensors");
    let last = last.to_str().expect("a path in UTF-8");

    let narrower = "model.gating_model.args.embedding_dim=8";
    let refused = env.mirror(&["run", file, "--set", narrower, "--resume", last]);
    assert_eq!(refused.status, Some(1), "{refused:?}");
    for word in ["00000040.safetensors", "`embedding.weight`", "12]", "8]"] {
        assert!(refused.err.contains(word), "{refused:?}");
    }
    assert_eq!(table::<EventRow>(&newest(&env)), []);

    let constant = env.file("random.yml", TRAINING);
    let refused = env.mirror(&["run", constant, "--resume", last]);
    assert_eq!(refused.status, Some(1), "{refused:?}");
    assert!(refused.err.contains("no trainable parameters"), "{refused:?}");

    let two = "network.validators=2";
    let root = first.layout().root().to_str().expect("a path in UTF-8");
    let refused = env.mirror(&["run", file, "--set", two, "--resume", root]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(
        refused.err.contains("no checkpoint of validator-1"),
        "{refused:?}"
    );
    let refused = env.mirror(&["run", file, "--resume", "nowhere"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
}

#[test]
fn rewards_are_sent_to_the_miners_that_answered() {
    let env = TestEnv::new();
    let file = env.file("training.yml", TRAINING);
    let run = env.done(file, &["query.method.args.train_network=true"]);
    let calls: Vec<ResponseRow> = table(&run);
    assert!(
        calls.iter().any(|call| call.outcome == SUCCESS) && calls.iter().any(|call| call.outcome != SUCCESS)
    );
    for call in calls {
        let expected = (call.outcome == SUCCESS).then_some(0);
        assert_eq!(call.backward_code, expected, "{call:?}");
    }
    let run = env.done(file, &[]);
    let calls: Vec<ResponseRow> = table(&run);
    assert!(calls.iter().all(|call| call.backward_code.is_none()));
}
