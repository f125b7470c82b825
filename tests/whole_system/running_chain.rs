//! Tests of runs on a chain that was started separately.

use mirror_tests::TestEnv;
use rustix::process::Signal;

const EXPERIMENT: &str = "\
seed: 5
model:
  id: on_a_chain
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin, fitness: 0.5}}
  gating_model: RandomGatingModel
  reward_model: {name: DummyRewardModel, args: {reward_type: num_words}}
  subtensor: {name: DummySubtensor, args: {epoch_length: 10}}
  metagraph: {name: DummyMetagraph, args: {num_nodes: 4}}
query: {id: training, method: {name: train, args: {max_iter: 12}}}
network: {axons_per_process: 4}
";

fn on(address: &str) -> String {
    format!(
        "model.subtensor={{name: Subtensor, args: {{chain_endpoint: \"{address}\", chain_client: chain/client.json}}}}"
    )
}

#[test]
fn a_run_on_a_chain_that_is_already_running_leaves_it_running() {
    let env = TestEnv::new();
    let file = env.file("on_a_chain.yml", EXPERIMENT);
    let mut chain = env.start(&["chain", "serve", file, "--offline"]);
    let address = chain.printed_after("the chain listens on ");
    let endpoint = on(&address);

    let other_seed = env.start_run(file, &[&endpoint, "seed=6"]).ends();
    assert_eq!(other_seed.status, Some(1), "{other_seed:?}");
    assert!(
        other_seed.err.contains("its uid 0 does not have the hotkey"),
        "{other_seed:?}"
    );

    let done = env.start_run(file, &[&endpoint]).ends();
    assert_eq!(done.status, Some(0), "{done:?}");
    let exported = env.start(&["metagraph", "export", "last"]).ends();
    // Blocks: the first, one for each step, and more up to the end of the second epoch, which pays for the last
    // weights.
    assert!(exported.out.contains("-block-20.json"), "{exported:?}");

    let shown = env.start(&["chain", "show", "last"]).ends();
    assert_eq!(shown.status, Some(2), "{shown:?}");
    let reason = format!("its chain at {address} was already running");
    assert!(shown.err.contains(&reason), "{shown:?}");

    // The chain is still running, with the blocks of the previous run.
    let second = env.start_run(file, &[&endpoint]).ends();
    assert_eq!(second.status, Some(1), "{second:?}");
    assert!(second.err.contains("it is at block 20 already"), "{second:?}");

    chain.send(Signal::INT);
    let chain = chain.ends();
    assert_eq!(chain.status, Some(0), "{chain:?}");

    let nobody = env.start_run(file, &[&endpoint]).ends();
    assert_eq!(nobody.status, Some(1), "{nobody:?}");
    assert!(
        nobody.err.contains("no chain answers at this address"),
        "{nobody:?}"
    );
}
