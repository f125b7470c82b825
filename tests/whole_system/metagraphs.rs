//! Tests that a run starts from a metagraph and saves its metagraphs, and that a saved one can start another run.

use std::fs;
use std::path::Path;

use mirror_identity::{Owner, PublicKey, SecretKey};
use mirror_metagraph_file::{MetagraphFile, Neuron};
use mirror_seed::Seed;
use mirror_tests::TestEnv;

const EXPERIMENT: &str = "\
seed: 11
model:
  id: started
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin, fitness: 0.5}}
  gating_model: RandomGatingModel
  reward_model: {name: DummyRewardModel, args: {reward_type: num_words}}
  subtensor: {name: DummySubtensor, args: {epoch_length: 10}}
  metagraph: Metagraph
query: {id: training, method: {name: train, args: {max_iter: 25}}}
network: {metagraph: subnet.json, axons_per_process: 8}
";

/// Uids 0 and 3 have permits and have set weights on others. Uid 3 has more stake.
fn subnet() -> MetagraphFile {
    let key = |number: u8| PublicKey::from_bytes([number; 32]);
    let neuron = |uid: u8, validates: bool| Neuron {
        hotkey: key(uid + 1),
        coldkey: key(uid / 3 + 100),
        stake: u64::from(uid) * 1_000_000_000,
        permit: validates,
        weights: if validates {
            vec![(1, 65_535), (2, 7)]
        } else {
            Vec::new()
        },
        bonds: if uid == 0 { vec![(1, 65_535)] } else { Vec::new() },
    };
    MetagraphFile {
        neurons: (0..8).map(|uid| neuron(uid, [0, 3].contains(&uid))).collect(),
    }
}

fn exported(env: &TestEnv, words: &[&str]) -> MetagraphFile {
    let ended = env.mirror(words);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let path = ended
        .out
        .trim()
        .strip_prefix("wrote ")
        .expect("it prints the path");
    MetagraphFile::read(&env.path().join(path)).expect("what is exported can be read")
}

#[test]
fn a_run_starts_from_a_metagraph_and_keeps_its_history() {
    let env = TestEnv::new();
    let original = subnet();
    original
        .write(&env.path().join("subnet.json"))
        .expect("it is written");
    let file = env.file("started.yml", EXPERIMENT);
    let run = env.done(file, &[]);

    let kept = run.layout().root().join("metagraphs");
    let origin = MetagraphFile::read(&kept.join("origin.json")).expect("it is kept");
    assert_eq!(origin, original);

    // Before the first epoch, the metagraph is unchanged except for the hotkeys of the assigned uids.
    let first = exported(&env, &["metagraph", "export", "last", "--block", "5"]);
    let ours = |owner| SecretKey::hotkey(&Seed::root(11), owner).public();
    for (uid, (now, before)) in first.neurons.iter().zip(&original.neurons).enumerate() {
        let hotkey = match uid {
            3 => ours(Owner::Validator(0)),
            0 => before.hotkey,
            _ => ours(Owner::Miner(uid as u32)),
        };
        assert_eq!(
            now,
            &Neuron {
                hotkey,
                ..before.clone()
            },
            "uid {uid}"
        );
    }

    // At the end the validator has set weights, and epochs have paid.
    let last = exported(&env, &["metagraph", "export", "last", "--format", "parquet"]);
    assert!(!last.neurons[3].weights.is_empty());
    let stake = |metagraph: &MetagraphFile| metagraph.neurons.iter().map(|neuron| neuron.stake).sum::<u64>();
    assert!(stake(&last) > stake(&original));

    // After the first epoch, the metagraph contains its results, and the stake of the validators has grown.
    let paid = exported(&env, &["metagraph", "export", "last", "--epoch", "1"]);
    assert!(stake(&paid) > stake(&original) && stake(&paid) < stake(&last));
    let missing = env.mirror(&["metagraph", "export", "last", "--epoch", "99"]);
    assert_eq!(missing.status, Some(2), "{missing:?}");
    assert!(missing.err.contains("has no epoch 99"), "{missing:?}");

    // The exported metagraph can start another run.
    last.write(&env.path().join("subnet.json"))
        .expect("it is written");
    let again = env.done(file, &[]);
    let first = exported(
        &env,
        &["metagraph", "export", &again.manifest().id, "--block", "5"],
    );
    assert_eq!(first, last);
}

#[test]
fn exporting_a_block_that_was_not_saved_is_rejected() {
    let env = TestEnv::new();
    subnet()
        .write(&env.path().join("subnet.json"))
        .expect("it is written");
    let file = env.file("started.yml", EXPERIMENT);
    env.done(file, &["query.method.args.max_iter=2"]);
    let refused = env.mirror(&["metagraph", "export", "last", "--block", "999"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.err.contains("no metagraph of block 999"), "{refused:?}");
}

#[test]
fn bad_metagraphs_are_rejected_before_any_process_starts() {
    let env = TestEnv::new();
    let file = env.file("started.yml", EXPERIMENT);
    let wrong = r#"[{"uid": 0, "hotkey": "x", "stake": -1}, {"uid": 0, "hotkey": "x", "stake": 2}]"#;
    let wrong = env.file("subnet.json", wrong);
    let messages = [
        "the column `coldkey` is missing",
        "row 1 (uid 0): the stake is negative: -1 rao",
        "row 2 (uid 0): row 1 has the same uid",
    ];
    for words in [&["run", file][..], &["metagraph", "import", wrong]] {
        let refused = env.mirror(words);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        for message in messages {
            assert!(refused.err.contains(message), "{message:?}: {refused:?}");
        }
    }
    assert!(!env.runs_dir().exists());

    subnet()
        .write(&env.path().join("subnet.json"))
        .expect("it is written");
    let refused = env.mirror(&["run", file, "--set", "network.validators=3"]);
    assert_ne!(refused.status, Some(0), "{refused:?}");
    assert!(
        refused.err.contains("2 neurons of the metagraph have a permit"),
        "{refused:?}"
    );
}

#[test]
fn a_metagraph_is_the_same_in_both_forms() {
    let env = TestEnv::new();
    subnet()
        .write(&env.path().join("subnet.json"))
        .expect("it is written");
    fs::create_dir(env.path().join("out")).expect("a folder");
    for words in [
        &[
            "metagraph",
            "import",
            "subnet.json",
            "--format",
            "parquet",
            "--out",
            "out",
        ],
        &[
            "metagraph",
            "import",
            "out/subnet.parquet",
            "--format",
            "json",
            "--out",
            "out",
        ],
    ] {
        let imported = env.mirror(words);
        assert_eq!(imported.status, Some(0), "{imported:?}");
        assert!(
            imported
                .out
                .contains("8 neurons, 2 with a permit, 28 TAO, 4 weights"),
            "{imported:?}"
        );
    }
    let text = |path: &str| fs::read(env.path().join(Path::new(path))).expect("it was written");
    assert_eq!(text("out/subnet.json"), text("subnet.json"));
}
