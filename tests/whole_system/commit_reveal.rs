//! Tests of the chain with today's rules: validators commit to their weights first and reveal them an epoch later.

use mirror_proto::mirror::v1::subtensor_client::SubtensorClient;
use mirror_proto::mirror::v1::{Metagraph, WatchRequest};
use mirror_runs::Run;
use mirror_runs::tables::WeightRow;
use mirror_tests::{TestEnv, rows};
use rustix::process::Signal;

use crate::experiment::TRAINING;
use crate::network::address;

/// Today's rules with epochs of ten blocks, and weights at the same interval.
const TODAY: [&str; 2] = [
    "network.chain=today",
    "network.hyperparameters={tempo: 9, validator_epoch_length: 10, weights_set_rate_limit: 0, min_allowed_weights: 1}",
];

/// Returns the first metagraph in which an epoch has paid a miner.
async fn paid(subtensor: &str) -> Metagraph {
    let client = SubtensorClient::connect(format!("http://{subtensor}")).await;
    let watched = client
        .expect("the chain is reached")
        .watch_metagraph(WatchRequest { lite: false })
        .await;
    let mut versions = watched.expect("the chain accepts the call").into_inner();
    loop {
        let version = versions.message().await.expect("the stream continues");
        let version = version.expect("the chain does not end");
        if version.neurons.iter().any(|neuron| neuron.incentive > 0) {
            return version;
        }
    }
}

/// An epoch pays miners by the revealed weights, because no validator can set weights directly.
#[test]
fn an_epoch_pays_for_revealed_weights() {
    let env = TestEnv::new();
    let file = env.file("today.yml", TRAINING);
    let mut running = env.start_run(
        file,
        &[&TODAY[..], &["query.method.args.max_iter=1000000"]].concat(),
    );
    let folder = running.folder();
    let subtensor = address(&mut running, "subtensor");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let metagraph = runtime.expect("a runtime").block_on(paid(&subtensor));
    let rules = metagraph.hyperparameters.expect("it has rules").all;
    let commits = |name: &str| rules.iter().any(|rule| rule.name == name && rule.value == 1);
    assert!(commits("commit_reveal_weights_enabled"));
    let [miners @ .., validator] = &metagraph.neurons[..] else {
        panic!("the metagraph is empty")
    };
    assert!(!validator.weights.is_empty());
    let paid: u64 = miners.iter().map(|neuron| neuron.emission).sum();
    assert!(paid > 0 && validator.emission > 0);
    // The weights revealed so far reach the coordinator before the events that follow.
    running.until_acknowledged("validator-0", 100);
    running.send(Signal::INT);
    assert_eq!(running.ends().status, Some(1));
    let run = Run::open(folder).expect("the run opens");
    let weights: Vec<WeightRow> = rows(&run);
    assert!(
        !weights.is_empty() && weights.iter().all(|row| row.refusal.is_none()),
        "{weights:?}"
    );
}

/// A validator reveals weights that it had committed to before it was killed, and the chain accepts them.
#[test]
fn a_killed_validator_reveals_the_weights_that_it_had_committed_to() {
    let env = TestEnv::new();
    let file = env.file("today.yml", TRAINING);
    let settings = [
        &TODAY[..],
        &["query.method.args.max_iter=200", "network.validators=2"],
    ]
    .concat();
    let undisturbed: Vec<WeightRow> = rows(&env.done(file, &settings));

    let mut running = env.start_run(file, &settings);
    let folder = running.folder();
    for events in [60, 150, 240] {
        running.until_acknowledged("validator-0", events);
        running.node("validator-1").send(Signal::KILL);
    }
    assert_eq!(running.ends().status, Some(0));
    let disturbed: Vec<WeightRow> = rows(&Run::open(folder).expect("the run opens"));
    assert_eq!(disturbed, undisturbed);
    assert!(disturbed.iter().any(|row| row.validator == "validator-1"));
    assert!(disturbed.iter().all(|row| row.refusal.is_none()), "{disturbed:?}");
}
