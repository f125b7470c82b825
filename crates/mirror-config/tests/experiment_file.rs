//! Tests of valid experiment files, and of the problems that invalid ones have.

#![allow(clippy::float_cmp, reason = "a number that is parsed from text is exact")]

use std::path::{Path, PathBuf};

use mirror_config::{Loaded, Problems, Severity, load, parse, parse_with, to_yaml};
use mirror_spec::{
    Analysis, BehaviourSpec, BlockTime, ChainPreset, CopycatArgs, DendritePool, Experiment, Fault, Feature,
    ForwardArgs, GatingModel, HonestArgs, Hyperparameters, InferenceArgs, KillFault, Latency, Method, Moment,
    Network, NeuronSettings, NodeSet, RestartPolicy, RewardModel, Sample, SlowArgs, Span, SubtensorSpec,
    TrainArgs, Uids, Value, When, ZipfDelay,
};

/// A valid file, which tests modify.
const SOUND: &str = "\
model:
  id: small
  alpha: 0.01
  dendrite_pool:
    name: DummyDendritePool
    args: {data_path: builtin, fail_rate: 0.1}
  gating_model: RandomGatingModel
  reward_model: RandomRewardModel
  metagraph:
    name: DummyMetagraph
    args: {netuid: 1, num_nodes: 16}
query:
  id: my_query
  method:
    name: train
    args: {max_iter: 10}
";

#[track_caller]
fn sound(text: &str) -> Loaded {
    parse(text, "sound.yml").unwrap_or_else(|problems| panic!("{}", problems.plain()))
}

#[track_caller]
fn refused(text: &str) -> Problems {
    match parse(text, "wrong.yml") {
        Ok(_) => panic!("no error was found in:\n{text}"),
        Err(problems) => problems,
    }
}

/// Returns whether one error contains all of these words in its message or its help.
fn says(problems: &Problems, words: &[&str]) -> bool {
    problems
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .any(|problem| {
            let reported = format!(
                "{} {}",
                problem.message,
                problem.help.as_deref().unwrap_or_default()
            );
            words.iter().all(|word| reported.contains(word))
        })
}

/// Asserts that the text has an error that contains all of these words.
#[track_caller]
fn check(text: &str, words: &[&str]) -> Problems {
    let problems = refused(text);
    assert!(
        says(&problems, words),
        "no error contains {words:?}:\n{}",
        problems.plain()
    );
    problems
}

/// Asserts that the text has exactly one problem, an error at this place.
#[track_caller]
fn check_at(text: &str, line: usize, column: usize, words: &[&str]) {
    let problems = check(text, words);
    let places: Vec<_> = problems
        .problems
        .iter()
        .map(|problem| problem.place.map(|p| (p.line, p.column)))
        .collect();
    assert_eq!(places, [Some((line, column))], "{}", problems.plain());
}

fn uids(text: &str) -> Uids {
    text.parse().expect("the string names uids")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn one_report_contains_three_errors_with_their_places() {
    let text = SOUND
        .replace("alpha: 0.01", "alpha: 1.5")
        .replace("id: my_query", "idd: my_query")
        .replace("max_iter: 10}", "max_iter: ten}");
    let problems = refused(&text);
    let places: Vec<_> = problems
        .problems
        .iter()
        .filter_map(|problem| problem.place)
        .collect();
    let places: Vec<_> = places.iter().map(|place| (place.line, place.column)).collect();
    // The misspelt `query.id` is not also reported as missing.
    assert_eq!(places, [(3, 10), (13, 3), (16, 22)], "{}", problems.plain());
    assert_eq!(problems.to_string(), "3 errors in wrong.yml");
    let plain = problems.plain();
    assert!(
        plain.contains("wrong.yml:3:10: error: `model.alpha` cannot be the number 1.5"),
        "{plain}"
    );
    assert!(
        plain.contains("  3 |   alpha: 1.5\n    |          ^\n"),
        "{plain}"
    );
    assert!(plain.contains("did you mean `id`?"), "{plain}");
    let graphical = problems.graphical();
    assert!(
        graphical.contains("wrong.yml:3:10") && graphical.contains("wrong.yml:16:22"),
        "{graphical}"
    );
    let json = serde_json::to_value(&problems).unwrap();
    assert_eq!(json["problems"][0]["place"]["line"], 3);
    assert_eq!(json["problems"][0]["severity"], "error");
}

#[test]
fn defaults_are_those_of_version_4() {
    let neuron = NeuronSettings::default();
    assert_eq!((neuron.inference_topk, neuron.training_topk), (10, 10));
    assert_eq!((neuron.training_timeout, neuron.inference_timeout), (4.0, 10.0));
    assert_eq!((neuron.max_history, neuron.epoch_length_override), (100_000, -1));
    assert!(!neuron.no_reward_model);
    let experiment = sound(SOUND).experiment;
    let model = experiment.model.unwrap();
    assert_eq!(model.alpha, 0.01);
    assert_eq!(model.neuron, neuron);
    assert_eq!(experiment.network, Network::default());
    assert_eq!((experiment.seed, &*experiment.device), (0, "cpu"));
    let SubtensorSpec::DummySubtensor(subtensor) = model.subtensor else {
        panic!("it is the default")
    };
    assert_eq!(
        (
            subtensor.network.as_str(),
            subtensor.block,
            subtensor.epoch_length
        ),
        ("mirror", 1, 100)
    );
    let metagraph = model.metagraph.args();
    assert_eq!(metagraph.network, "finney");
    let GatingModel::RandomGatingModel(gating) = model.gating_model else {
        panic!()
    };
    assert!(!gating.frozen);
    assert_eq!((gating.distribution.p0, gating.distribution.p1), (1.0, 0.0));
    let Method::Train(train) = experiment.query.unwrap().method else {
        panic!()
    };
    assert!(train.random_sample_uids && train.train_gating_model && !train.train_network);
    assert_eq!(Experiment::default().network.restart.miners, RestartPolicy::Leave);
}

/// The `Default` implementations of the types and the check of the declared keys fill in the same values.
#[test]
fn omitted_values_are_the_defaults_of_their_types() {
    let method = |name: &str| {
        let data = "data: {id: d, path: builtin}\n";
        let text = SOUND.replace("name: train\n    args: {max_iter: 10}", &format!("name: {name}"));
        sound(&(text + data))
            .experiment
            .query
            .expect("the file has a query")
            .method
    };
    assert_eq!(method("train"), Method::Train(TrainArgs::default()));
    assert_eq!(method("forward"), Method::Forward(ForwardArgs::default()));
    assert_eq!(method("inference"), Method::Inference(InferenceArgs::default()));
    let file = |text: &str| sound(text).experiment;
    let analysis = file("analysis: {requires: [a.csv]}");
    let expected = Analysis {
        requires: vec!["a.csv".to_owned()],
        ..Analysis::default()
    };
    assert_eq!(analysis.analysis, Some(expected));
    let rest = Experiment {
        analysis: None,
        ..analysis
    };
    assert_eq!(rest, Experiment::default());
}

#[test]
fn a_resolved_file_reads_as_the_same_experiment() {
    let rich = format!(
        "{SOUND}\
seed: 18446744073709551615
device: cuda:1
data: {{id: d, path: '007', sample: {{method: random, n: 5}}}}
analysis:
  requires: [my_query]
  create_features: [num_words]
  plot: {{rewards: num_words}}
  estimators: {{trees: {{name: GradientBoostingRegressor, args: {{n_estimators: 10}}}}}}
  predict: {{rewards: {{x: num_words, estimator: trees}}}}
  embedding_plot: {{scaler: MinMax, columns: [step, num_words, rewards]}}
  pca: {{columns: [step, num_words], n_components: 2}}
network:
  hang_timeout: 1.5s
  miners: [{{uids: 0-3, fitness: 0.5, latency: {{p50: 80ms, p99: 2m}}}}, {{uids: 5, behaviour: honest}}]
faults: [{{at: step 3, kill: uid 3-7, restart_after: 1 step}}, {{at: step 4, kill: uid 1}}]
"
    );
    let files =
        ["quickstart", "dummy", "dendrite", "subnet"].map(|name| root().join(format!("configs/{name}.yml")));
    let files = files.map(|path| load(&path).unwrap_or_else(|problems| panic!("{}", problems.plain())));
    for loaded in files.into_iter().chain([sound(SOUND), sound(&rich)]) {
        let again = sound(&to_yaml(&loaded.experiment));
        assert_eq!(again.experiment, loaded.experiment);
        // Parts of the experiment are sent to the nodes as JSON.
        let json = serde_json::to_string(&loaded.experiment).unwrap();
        assert_eq!(
            serde_json::from_str::<Experiment>(&json).unwrap(),
            loaded.experiment
        );
    }
}

#[test]
fn the_files_in_configs_have_no_warnings() {
    let files = |folder: &str| std::fs::read_dir(root().join(folder)).unwrap();
    for entry in ["configs", "configs/attacks", "configs/outside"]
        .into_iter()
        .flat_map(files)
    {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let loaded = load(&path).unwrap_or_else(|problems| panic!("{}", problems.plain()));
        assert!(loaded.warnings.problems.is_empty(), "{}", loaded.warnings.plain());
    }
}

#[test]
fn upstreams_files_are_valid_without_changes() {
    let folder = root().join("../shared/fixtures/seed-configs");
    if !folder.is_dir() {
        assert!(
            std::env::var_os("CI").is_none(),
            "upstream's files are not at {}",
            folder.display()
        );
        eprintln!("skipped: upstream's files are not at {}", folder.display());
        return;
    }
    for (name, miners, steps) in [
        ("dummy_config", 16, 10),
        ("dendrite_config", 16, 499),
        ("subnet_config", 64, 99),
        ("seq_config", 16, 10),
    ] {
        let loaded =
            load(&folder.join(name).with_extension("yml")).unwrap_or_else(|e| panic!("{}", e.plain()));
        let ignored = |argument| {
            loaded
                .warnings
                .problems
                .iter()
                .any(|problem| problem.message.contains(argument))
        };
        assert!(
            ignored("`forward_value`") && ignored("`backward_value`"),
            "{}",
            loaded.warnings.plain()
        );
        let model = loaded.experiment.model.unwrap();
        let metagraph = model.metagraph.args();
        assert_eq!((metagraph.num_nodes, metagraph.netuid), (miners, 0));
        let query = loaded.experiment.query.unwrap();
        assert_eq!(query.ignore_attr, ["hotkeys", "block"]);
        let Method::Train(train) = query.method else {
            panic!()
        };
        assert_eq!(train.max_iter, steps);
        let data = loaded.experiment.data.unwrap();
        assert_eq!(
            (data.question.as_str(), data.answer.as_str()),
            ("question", "answer")
        );
        assert_eq!(data.sample, Sample::First { n: 100 });
        let analysis = loaded.experiment.analysis.unwrap();
        assert_eq!(analysis.create_features["message"][0], Feature::QuestionLength);
        let DendritePool::DummyDendritePool(pool) = model.dendrite_pool;
        let expected = if name == "dendrite_config" {
            [0.0, 0.1, 0.0, 0.3]
        } else {
            [0.1; 4]
        };
        assert_eq!([0, 1, 2, 3].map(|uid| pool.fail_rate_of(uid)), expected);
        if name == "seq_config" {
            let GatingModel::SequentialGatingModel(gating) = model.gating_model else {
                panic!()
            };
            assert_eq!((gating.hidden_size, gating.num_uids), (vec![32], None));
        }
    }
}

#[test]
fn the_oldest_form_is_accepted_with_warnings() {
    let text = "\
model: {id: gpt, path: /models/gpt, ckpt: hf_ckpt.pt, tokenizer: gpt2, embedding: wte, norm: ln_f}
data: {id: d, path: nq_open}
query: {id: q, message: m, store: s, forward: f, entrypoint: e, requires: [d], tokenizer: t, chunk_size: 32, method: train}
analysis:
  requires: [q]
  compute: [question_length, embedding: {id: e, type: sentence, path: p}]
  plot:
    - rewards: [question_length]
    - scores: [question_length]
    - rewards: embeddings
store: x
";
    let loaded = sound(text);
    let RewardModel::CustomRewardModel(args) = loaded.experiment.model.unwrap().reward_model else {
        panic!()
    };
    assert_eq!(args.model_path, "/models/gpt");
    let analysis = loaded.experiment.analysis.unwrap();
    assert_eq!(
        analysis.create_features["message"],
        [Feature::QuestionLength, Feature::Embeddings]
    );
    assert_eq!(analysis.sentence_model.as_deref(), Some("p"));
    assert_eq!(analysis.plot["rewards"], ["question_length", "embeddings"]);
    for word in [
        "`model.ckpt`",
        "`query.store`",
        "`store`",
        "`analysis.compute`",
        "`analysis.plot`",
        "RandomGatingModel",
    ] {
        let reported = loaded
            .warnings
            .problems
            .iter()
            .any(|problem| problem.message.contains(word));
        assert!(reported, "{word}: {}", loaded.warnings.plain());
    }
    assert!(!loaded.warnings.has_errors());
}

#[test]
fn one_section_is_enough_for_an_experiment() {
    assert!(
        sound("analysis: {requires: [runs/2026-11-23T10-45-02-dummy-3f9a]}")
            .experiment
            .model
            .is_none()
    );
    assert!(
        sound("analysis: {requires: [2026-11-23T10-45-dummy-3f9a]}")
            .experiment
            .query
            .is_none()
    );
    assert!(sound("data: {id: d, path: builtin}").experiment.data.is_some());
    check("seed: 3", &["nothing to do", "`model`"]);
    check("analysis: {id: a}", &["nothing to read"]);
}

#[test]
fn files_that_are_not_maps_of_sections_are_reported_at_their_place() {
    check_at("", 1, 1, &["the file is empty"]);
    check_at("# only a comment\n\n", 1, 1, &["the file is empty"]);
    check_at("hello", 1, 1, &["map of sections", "the string `hello`"]);
    check_at("- model", 1, 1, &["map of sections", "a list"]);
    check_at("model:\n  id: [1, 2\nquery: {}\n", 3, 6, &["not valid YAML"]);
    check_at("model: a: b", 1, 9, &["not valid YAML"]);
    check_at(
        "data: {id: d, path: p}\n---\ndata: {}\n",
        2,
        1,
        &["second document"],
    );
    check_at("data: !custom {id: d, path: p}", 1, 7, &["tags"]);
    check_at("? [a]\n: b\n", 1, 3, &["a key must be a scalar"]);
    check_at("base: &b {id: d}\ndata:\n  <<: *b\n", 3, 3, &["merge keys"]);
}

#[test]
fn a_duplicate_key_is_reported_at_its_second_place() {
    check_at(
        "data:\n  id: d\n  path: p\n  id: e\n",
        4,
        3,
        &["`id` is written twice"],
    );
}

#[test]
fn unknown_names_are_reported_with_the_nearest() {
    check_at(
        "data: {id: d, path: p}\nqurey: {}\n",
        2,
        1,
        &["unknown key `qurey`", "did you mean `query`?"],
    );
    check_at(
        "data: {id: d, paths: q, path: p}",
        1,
        15,
        &["unknown key `paths` in `data`", "`path`"],
    );
    check_at(
        &SOUND.replace("gating_model: Random", "gating_model: Randm"),
        7,
        17,
        &[
            "no gating model is called `RandmGatingModel`",
            "did you mean `RandomGatingModel`?",
            "`SequentialGatingModel`",
        ],
    );
    check(
        &SOUND.replace("name: train", "name: trian"),
        &["did you mean `train`?", "`inference`"],
    );
    check(
        &format!("{SOUND}  ignored_attr: []"),
        &["did you mean `ignore_attr`?"],
    );
    check(
        &SOUND.replace("name: DummyMetagraph", "nme: DummyMetagraph"),
        &["unknown key `nme` in `model.metagraph`", "did you mean `name`?"],
    );
    check(
        &format!("{SOUND}faults: [{{at: step 1, partitoin: []}}]"),
        &["unknown key `partitoin`", "`partition`"],
    );
}

#[test]
fn an_argument_that_a_component_does_not_take_is_a_warning() {
    let loaded = sound(&SOUND.replace("{max_iter: 10}", "{max_iter: 100, max_itr: 3}"));
    let [warning] = loaded.warnings.problems.as_slice() else {
        panic!("{}", loaded.warnings.plain())
    };
    assert_eq!(warning.severity, Severity::Warning);
    assert!(
        warning.message.contains("no argument `max_itr`: it is ignored"),
        "{warning}"
    );
    assert_eq!(
        warning.place.map(|place| (place.line, place.column)),
        Some((16, 27))
    );
}

#[test]
fn values_out_of_range_are_reported() {
    check_at(
        &SOUND.replace("fail_rate: 0.1", "fail_rate: 1.01"),
        6,
        43,
        &["`model.dendrite_pool.args.fail_rate` cannot be", "0 to 1"],
    );
    check(
        &SOUND.replace("fail_rate: 0.1", "fail_rate: -1"),
        &["the number -1", "0 to 1"],
    );
    check(&SOUND.replace("fail_rate: 0.1", "fail_rate: .nan"), &["0 to 1"]);
    check(
        &SOUND.replace("fail_rate: 0.1", "fail_rate: {3: 2}"),
        &["fail_rate.3", "0 to 1"],
    );
    check(
        &SOUND.replace("fail_rate: 0.1", "fail_rate: {x: 0}"),
        &["`x`", "is not a uid"],
    );
    check(
        &SOUND.replace("fail_rate: 0.1", "fail_rate: often"),
        &["the string `often`"],
    );
    check_at(
        &SOUND.replace("num_nodes: 16", "num_nodes: 0"),
        11,
        34,
        &["num_nodes", "number 0", "1 to 65536"],
    );
    check(
        &SOUND.replace("num_nodes: 16", "num_nodes: 65537"),
        &["1 to 65536"],
    );
    check(
        &SOUND.replace("num_nodes: 16", "num_nodes: 65536"),
        &["65536 miners and 1 validators"],
    );
    check(
        &format!("{SOUND}network: {{validators: 0}}"),
        &["network.validators", "1 to 256"],
    );
    check(&format!("{SOUND}network: {{time_scale: 0}}"), &["0.001 to 1"]);
    check(
        &format!("{SOUND}network: {{block_time: soon}}"),
        &["`per_step` or a duration"],
    );
    check(&format!("{SOUND}seed: -1"), &["a whole number from 0"]);
    check(&format!("{SOUND}device: gpu"), &["`cuda:N`"]);
    check(
        &SOUND.replace("alpha: 0.01", "neuron: {training_timeout: 0}"),
        &["training_timeout", "0.001 to 3600"],
    );
    check(
        &SOUND.replace("alpha: 0.01", "neuron: {training_timeout: 2h}"),
        &["training_timeout"],
    );
    check(
        &SOUND.replace("id: small", "id: 1.10"),
        &["must be a string", "quotes"],
    );
    check(&SOUND.replace("id: small", "id:"), &["`model.id` is missing"]);
    let latency = |text: &str| format!("{SOUND}network: {{miners: [{{uids: 1, latency: {text}}}]}}");
    check(
        &latency("{p50: 90ms, p99: 80ms}"),
        &["`p99` is 0.08 s, less than `p50`, 0.09 s"],
    );
    check(&latency("{p50: 0, p99: 1}"), &["p50"]);
}

#[test]
fn more_axons_than_miners_are_an_error_if_set_explicitly() {
    let small = SOUND.replace("num_nodes: 16", "num_nodes: 4");
    let neuron = sound(&small).experiment.model.unwrap().neuron;
    assert_eq!(
        (neuron.training_topk, neuron.inference_topk),
        (4, 4),
        "defaults are lowered"
    );
    check_at(
        &small.replace("alpha: 0.01", "neuron: {training_topk: 5}"),
        3,
        27,
        &["`training_topk` queries 5 axons, but the network has 4 miners"],
    );
    let forward = format!(
        "{}data: {{id: d, path: builtin}}",
        small.replace("name: train", "name: forward")
    );
    let topk = |k: &str| forward.replace("max_iter: 10", &format!("topk: {k}"));
    sound(&topk("-1"));
    sound(&topk("4"));
    check(&topk("5"), &["`topk` queries 5 axons"]);
    for refused in ["0", "-5"] {
        check(&topk(refused), &["`-1` or a whole number"]);
    }
}

#[test]
fn uids_outside_the_network_are_reported() {
    let network = |entry: &str| format!("{SOUND}network: {{miners: [{entry}]}}");
    check(
        &network("{uids: 14-16}"),
        &["uid 14-16 is outside the network of 16 miners", "0 to 15"],
    );
    check(&network("{uids: 3-1}"), &["ends before it begins"]);
    check(&network("{uids: all}"), &["`0-11`"]);
    check(
        &SOUND.replace("fail_rate: 0.1", "fitness: {16: 0.5}"),
        &["uid 16 is outside"],
    );
    check(
        &format!("{SOUND}faults: [{{at: step 1, kill: uid 17}}]"),
        &[
            "names uid 17, which no neuron has",
            "validators have uids 16 to 16",
        ],
    );
    check(
        &format!("{SOUND}faults: [{{at: soon, kill: uid 1}}]"),
        &["`step 80`"],
    );
    check(
        &format!("{SOUND}faults: [{{at: step 1, kill: validator-1}}]"),
        &["names validator-1, which does not exist", "0 to 0"],
    );
    check(
        &format!("{SOUND}faults: [{{at: step 1, kill: uid 1, restart_after: 0 steps}}]"),
        &["`0 steps` is too short", "the minimum is 1"],
    );
}

#[test]
fn sections_that_require_others_are_reported() {
    check_at("query: {id: q, method: train}", 1, 1, &["needs a `model`"]);
    check(
        &SOUND.replace("name: train", "name: inference"),
        &["`inference` needs a `data` section"],
    );
    check(
        "data: {id: d, path: p, sample: {method: first}}",
        &["no number of rows"],
    );
    check(
        &format!("{SOUND}analysis: {{requires: [my_qery]}}"),
        &["`my_qery`", "did you mean `my_query`?"],
    );
    check(
        "analysis: {requires: [a.csv], create_features: [num_wrods]}",
        &["did you mean `num_words`?"],
    );
    check(
        "analysis: {requires: [a.csv], plot: {rewards: [3]}}",
        &["must be a string"],
    );
    check(
        "analysis: {requires: [a.csv], predict: {rewards: {x: num_words, estimator: trees}}}",
        &["no estimator is called `trees`"],
    );
    check(
        "analysis: {requires: [a.csv], embedding_plot: {columns: [x, y]}}",
        &["names 2 columns"],
    );
}

/// Every form in which upstream's files name features and plots.
#[test]
fn features_and_plots_have_several_forms() {
    let analysis = |keys: &str| {
        sound(&format!("analysis: {{requires: [a.csv], {keys}}}"))
            .experiment
            .analysis
            .unwrap()
    };
    for created in [
        "create_features: num_words",
        "create_features: [num_words]",
        "create_features: {message: num_words}",
        "create_features: {message: [num_words]}",
        "compute: [num_words]",
    ] {
        for plot in [
            "plot: {rewards: [num_words, step]}",
            "plot: [{rewards: [num_words, step]}]",
            "plot: [{rewards: [num_words]}, {rewards: [step]}]",
            "plot: [{rewards: num_words}, {rewards: step}]",
        ] {
            let read = analysis(&format!("{created}, {plot}"));
            assert_eq!(read.create_features["message"], [Feature::NumWords], "{created}");
            assert_eq!(read.plot["rewards"], ["num_words", "step"], "{plot}");
        }
    }
    assert_eq!(analysis("plot: {rewards: step}").plot["rewards"], ["step"]);
}

#[test]
fn columns_that_do_not_exist_are_reported_with_the_nearest() {
    for (keys, words) in [
        (
            "plot: {rewrads: [step]}",
            [
                "no column in `analysis.plot` is called `rewrads`",
                "did you mean `rewards`?",
            ],
        ),
        (
            "create_features: [num_words], plot: {rewards: [num_wrods]}",
            [
                "no column in `analysis.plot.rewards` is called `num_wrods`",
                "did you mean `num_words`?",
            ],
        ),
        (
            "embedding_plot: {columns: [step, blok, call_time]}",
            [
                "no column in `analysis.embedding_plot.columns` is called `blok`",
                "did you mean `block`?",
            ],
        ),
        (
            "pca: {columns: [step, blok]}",
            [
                "no column in `analysis.pca.columns` is called `blok`",
                "did you mean `block`?",
            ],
        ),
        (
            "estimators: {e: LinearRegression}, predict: {rewrads: {x: step, estimator: e}}",
            [
                "no column in `analysis.predict` is called `rewrads`",
                "did you mean `rewards`?",
            ],
        ),
        (
            "estimators: {e: LinearRegression}, predict: {rewards: {x: stp, estimator: e}}",
            [
                "no column in `analysis.predict.rewards.x` is called `stp`",
                "did you mean `step`?",
            ],
        ),
        (
            "create_features: {mesage: [num_words]}",
            [
                "no column in `analysis.create_features` is called `mesage`",
                "did you mean `message`?",
            ],
        ),
        (
            "create_features: {rewards: [num_words]}",
            ["`rewards` has no texts, so it has no features", "`completion`"],
        ),
        (
            "plot: {rewards: [num_words]}",
            [
                "called `num_words`",
                "add `num_words` to `analysis.create_features` for `message`",
            ],
        ),
        (
            "plot: {rewards: [completion_num_words]}",
            [
                "called `completion_num_words`",
                "add `num_words` to `analysis.create_features` for `completion`",
            ],
        ),
        (
            "create_features: {all_completions: [embeddings]}",
            [
                "`embeddings` need a column with one text per event",
                "`completion`",
            ],
        ),
        (
            "pca: {columns: [embeddings]}",
            [
                "no column in `analysis.pca.columns` is called `embeddings`",
                "add `embeddings`",
            ],
        ),
    ] {
        check(&format!("analysis: {{requires: [a.csv], {keys}}}"), &words);
    }
    // Columns of the view, of features and of the prompt exist, also if `ignore_attr` leaves them out of the view.
    let ignoring = SOUND.replace("  method:", "  ignore_attr: [block]\n  method:");
    sound(&format!(
        "{ignoring}analysis: {{create_features: {{completion: [num_words], prompt: [num_words]}}, plot: {{block: \
         [num_words, completion_num_words, prompt_num_words, prompt, all_uids]}}}}"
    ));
}

#[test]
fn one_error_does_not_cause_others() {
    let text = SOUND
        .replace("num_nodes: 16", "num_nodes: none")
        .replace("alpha: 0.01", "neuron: {training_topk: 50}");
    check_at(&text, 11, 34, &["num_nodes"]);
}

#[test]
fn groups_of_miners_are_named_by_range() {
    let text = "\
network:
  validators: 3
  stakes: 500
  ready_timeout: 250ms
  chain: classic
  hyperparameters: {tempo: 49, min_allowed_weights: 2}
  restart: {miners: restart}
  miners:
    - {uids: 0-11, behaviour: honest, fitness: 0.8, fail_rate: 0.1, latency: {p50: 80ms, p99: 1.5s}}
    - {uids: \"3\", behaviour: honest, args: {fitness: 1}}
    - {uids: 4, behaviour: {name: honest, args: {fail_rate: 1}}}
    - {uids: 5, latency: {p50: 1, p99: 2m}}
faults:
  - {at: step 8, kill: uid 5, restart_after: 5 steps}
  - {at: step 9, kill: \"uid 3-7\"}
";
    let experiment = sound(&format!("{SOUND}{text}")).experiment;
    let network = &experiment.network;
    assert_eq!((network.validators, network.stakes.as_slice()), (3, &[500.0][..]));
    assert_eq!(
        (network.ready_timeout, network.block_time),
        (0.25, BlockTime::PerStep)
    );
    assert_eq!(network.chain, ChainPreset::Classic);
    assert_eq!(
        network.hyperparameters,
        Hyperparameters {
            tempo: Some(49),
            min_allowed_weights: Some(2),
            ..Hyperparameters::default()
        }
    );
    assert_eq!(
        (network.restart.miners, network.restart.validators),
        (RestartPolicy::Restart, RestartPolicy::Restart)
    );
    let honest = |fail_rate, fitness| Some(BehaviourSpec::Honest(HonestArgs { fail_rate, fitness }));
    let miners: Vec<_> = network
        .miners
        .iter()
        .map(|m| (m.uids.to_string(), m.behaviour.clone(), m.latency.clone()))
        .collect();
    // Rates that an entry omits come from the dendrite pool: fail rate 0.1, fitness 0.
    assert_eq!(
        miners,
        [
            ("0-11", honest(0.1, 0.8), Some(Latency::lognormal(0.08, 1.5))),
            ("3", honest(0.1, 1.0), None),
            ("4", honest(1.0, 0.0), None),
            ("5", None, Some(Latency::lognormal(1.0, 120.0))),
        ]
        .map(|(uids, behaviour, latency)| (uids.to_owned(), behaviour, latency))
    );
    let at = |step| When {
        at: Some(Moment::Step(step)),
        ..When::default()
    };
    assert_eq!(
        experiment.faults,
        [
            Fault::Kill(KillFault {
                kill: vec![NodeSet::Uids(uids("5"))],
                restart_after: Some(Span::Steps(5)),
                when: at(8),
            }),
            Fault::Kill(KillFault {
                kill: vec![NodeSet::Uids(uids("3-7"))],
                restart_after: None,
                when: at(9),
            }),
        ]
    );
    let uneven = SOUND.replace("fail_rate: 0.1", "fail_rate: {1: 0.5}");
    check(
        &format!("{uneven}network: {{miners: [{{uids: 0-3, fitness: 1}}]}}"),
        &["more than one `fail_rate`"],
    );
}

#[test]
fn a_fault_requires_blocks_that_close_by_steps() {
    let with = |block_time: &str| {
        format!("{SOUND}network: {{block_time: {block_time}}}\nfaults: [{{at: step 1, kill: uid 0}}]\n")
    };
    assert_eq!(
        sound(&with("per_step")).experiment.network.block_time,
        BlockTime::PerStep
    );
    check(&with("250ms"), &["scheduled by steps", "`block_time: per_step`"]);
    let without = sound(&format!("{SOUND}network: {{block_time: 250ms}}\n"));
    assert_eq!(without.experiment.network.block_time, BlockTime::Seconds(0.25));
}

#[test]
fn rates_are_one_number_or_by_uid() {
    let pool = |text: &str| {
        let text = SOUND.replace(", fail_rate: 0.1", text);
        let DendritePool::DummyDendritePool(pool) = sound(&text).experiment.model.unwrap().dendrite_pool;
        [pool.fail_rate_of(0), pool.fail_rate_of(1)]
    };
    assert_eq!(pool(""), [0.1, 0.1]);
    assert_eq!(pool(", fail_rate: 1"), [1.0, 1.0]);
    assert_eq!(pool(", baseline_fail_rate: 0.3"), [0.3, 0.3]);
    assert_eq!(pool(", fail_rate: {1: 0.5}"), [0.0, 0.5]);
    assert_eq!(pool(", fail_rate: {1: 0.5}, baseline_fail_rate: 0.2"), [0.2, 0.5]);
}

#[test]
fn a_number_is_a_constant_value() {
    let gating = |value: &str| {
        let model = format!("gating_model: {{name: ConstantGatingModel, args: {{value: {value}}}}}");
        let text = SOUND.replace("gating_model: RandomGatingModel", &model);
        let GatingModel::ConstantGatingModel(args) = sound(&text).experiment.model.unwrap().gating_model
        else {
            panic!()
        };
        args.value
    };
    assert_eq!(gating("2"), gating("{name: ConstantValue, args: {value: 2}}"));
    let Value::StepValue(step) = gating("{name: StepValue, args: {hi: 3}}") else {
        panic!()
    };
    assert_eq!((step.lo, step.hi, step.length, step.start), (0.0, 3.0, 10, 0));
}

#[test]
fn the_columns_of_upstreams_schema_are_read() {
    let text = "data: {id: d, path: p, schema: {train: [{row: , question: q, answer: a}]}}";
    let data = sound(text).experiment.data.unwrap();
    assert_eq!((data.question.as_str(), data.answer.as_str()), ("q", "a"));
    check(
        "data: {id: d, path: p, schema: {train: []}}",
        &["does not name the columns"],
    );
    check(
        "data: {id: d, path: p, question: x, schema: {train: [{question: q}]}}",
        &["both directly and in `data.schema`"],
    );
    check(
        "data: {id: d, path: p, schema: {train: [{question: q, answr: a}]}}",
        &["unknown key `answr`", "did you mean `answer`?"],
    );
}

#[test]
fn aliases_have_the_value_of_their_anchor() {
    let text = "analysis:\n  requires: [a.csv]\n  plot:\n    rewards: &columns [step, block]\n    scores: *columns\n";
    assert_eq!(
        sound(text).experiment.analysis.unwrap().plot["scores"],
        ["step", "block"]
    );
    check(
        "data: {id: d, path: p, sample: &s {n: *s}}",
        &["a value that contains the alias"],
    );
}

#[test]
fn overrides_are_applied_before_the_checks() {
    let set = |overrides: &[(&str, &str)]| {
        let overrides: Vec<_> = overrides
            .iter()
            .map(|(path, value)| ((*path).into(), (*value).into()))
            .collect();
        parse_with(SOUND, "a.yml", &overrides)
    };
    let loaded = set(&[
        ("query.method.args.max_iter", "50"),
        ("network.validators", "3"),
        ("model.dendrite_pool.args.fail_rate", "{3: 0.5}"),
        ("seed", "9"),
    ]);
    let experiment = loaded
        .unwrap_or_else(|problems| panic!("{}", problems.plain()))
        .experiment;
    assert_eq!((experiment.seed, experiment.network.validators), (9, 3));
    let Method::Train(train) = experiment.query.unwrap().method else {
        panic!()
    };
    assert_eq!(train.max_iter, 50);

    for (path, value, word) in [
        ("network.validators", "0", "1 to 256"),
        ("network.validatrs", "3", "did you mean `validators`?"),
        ("model.gating_model.name.x", "{}", "no key can be set in it"),
        ("model..id", "x", "empty part"),
        ("seed", "[", "not valid YAML"),
        ("model.metagraph.args.num_nodes", "0", "1 to 65536"),
    ] {
        let problems = set(&[("seed", "1"), (path, value)]).expect_err(path);
        assert!(
            says(&problems, &[&format!("override `{path}={value}`"), word]),
            "{}",
            problems.plain()
        );
        assert!(problems.problems[0].place.is_none());
    }
    let list = [
        ("network.miners".to_owned(), "[{uids: 1}]".to_owned()),
        ("network.miners.0.fitness".into(), "1".into()),
    ];
    assert!(parse_with(SOUND, "a.yml", &list).is_ok());
    let past = [list[0].clone(), ("network.miners.7.fitness".into(), "1".into())];
    assert!(says(
        &parse_with(SOUND, "a.yml", &past).unwrap_err(),
        &["no item `7`"]
    ));
}

#[test]
fn columns_count_characters_with_any_line_ending() {
    let text = "data:\r\n  id: \"köln 東京\"\r\n  path: p\r\n  größe: 3\r\n";
    check_at(text, 4, 3, &["unknown key `größe`"]);
    check_at(
        "\u{feff}data: {id: \"é\", path: p, x: 1}",
        1,
        26,
        &["unknown key `x`"],
    );
}

#[test]
fn files_that_cannot_be_read_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let missing = load(&folder.path().join("none.yml")).unwrap_err();
    assert!(says(&missing, &["cannot be read"]) && missing.problems[0].place.is_none());
    let path = folder.path().join("latin1.yml");
    std::fs::write(&path, b"data:\n  id: caf\xe9\n").unwrap();
    let problems = load(&path).unwrap_err();
    assert!(says(&problems, &["not UTF-8"]));
    assert_eq!(
        problems.problems[0].place.map(|place| (place.line, place.column)),
        Some((2, 10))
    );
    std::fs::write(&path, vec![b'#'; 5 << 20]).unwrap();
    assert!(says(&load(&path).unwrap_err(), &["bytes"]));
}

#[test]
fn upstreams_base_classes_are_replaced_by_simple_components() {
    for (given, base, taken) in [
        (
            "metagraph:\n    name: BaseMetagraph\n",
            "BaseMetagraph",
            "DummyMetagraph",
        ),
        (
            "subtensor: BaseSubtensor\n  metagraph:\n    name: DummyMetagraph\n",
            "BaseSubtensor",
            "DummySubtensor",
        ),
    ] {
        let text = SOUND.replace("metagraph:\n    name: DummyMetagraph\n", given);
        let loaded = sound(&text);
        let reported = loaded.warnings.plain();
        assert!(
            reported.contains(&format!("`{base}` is an abstract base class")),
            "{reported}"
        );
        assert!(reported.contains(&format!("`{taken}` is used")), "{reported}");
        assert_eq!(loaded.experiment, sound(SOUND).experiment);
    }
}

#[test]
fn a_running_chain_is_named_by_its_address() {
    let with = |endpoint: &str| {
        let subtensor = format!(
            "subtensor: {{name: Subtensor, args: {{chain_endpoint: '{endpoint}', chain_client: c.json}}}}\n  metagraph:"
        );
        SOUND.replace("metagraph:", &subtensor)
    };
    let loaded = sound(&with("127.0.0.1:9944"));
    let Some(SubtensorSpec::Subtensor(args)) = loaded.experiment.model.map(|model| model.subtensor) else {
        panic!("the file names it")
    };
    assert_eq!(args.chain_endpoint, "127.0.0.1:9944".parse().unwrap());
    for endpoint in [
        "wss://entrypoint-finney.opentensor.ai:443",
        "finney",
        "127.0.0.1",
        "127.0.0.1:99999",
    ] {
        check(&with(endpoint), &["127.0.0.1:9944"]);
    }
    let faults = with("127.0.0.1:9944") + "faults: [{at: step 1, kill: uid 0}]\n";
    check(
        &faults,
        &["`Subtensor` is a chain that is already running", "DummySubtensor"],
    );
    let started = with("127.0.0.1:9944") + "network: {metagraph: subnet.json}\n";
    check(&started, &["`network.metagraph` is the initial state of a chain"]);
}

#[test]
fn settings_that_a_metagraph_determines_are_warned_of() {
    let text = SOUND.to_owned() + "network: {metagraph: subnet.parquet, stakes: [5]}\n";
    let reported = sound(&text).warnings.plain();
    assert!(reported.contains("`network.stakes` has no effect"), "{reported}");
    assert!(
        reported.contains("`model.metagraph.args.num_nodes` has no effect"),
        "{reported}"
    );
    // The number of miners is unknown before the metagraph is read.
    sound(&(SOUND.to_owned() + "network: {metagraph: subnet.json, miners: [{uids: 200, fitness: 1}]}\n"));
}

#[test]
fn groups_of_validators_are_named_by_range() {
    let with = |groups: &str| format!("{SOUND}network: {{validators: 4, validator_groups: [{groups}]}}\n");
    let beside = sound(&with("{validators: 2-3, behaviour: cabal, members: 12-15}"));
    let spelled_out = sound(&with(
        "{validators: 2-3, behaviour: {name: cabal, args: {members: 12-15}}}",
    ));
    assert_eq!(beside.experiment, spelled_out.experiment);
    check(
        &with("{validators: 3-4, behaviour: honest}"),
        &["no validator 3-4 in a network of 4", "0 to 3"],
    );
    check(
        &with("{validators: 0, behaviour: cabal}"),
        &["members` is missing"],
    );
    check(
        &with("{validators: 0, behaviour: cabal, members: 15-16}"),
        &["uid 15-16 is outside", "16 miners"],
    );
    check(
        &with("{validators: 0, behaviour: cabbal, members: 1}"),
        &["cabal"],
    );
}

#[test]
fn a_latency_is_one_distribution() {
    let with = |latency: &str| format!("{SOUND}network: {{miners: [{{uids: 1, latency: {latency}}}]}}\n");
    let read = |latency: &str| {
        let miners = sound(&with(latency)).experiment.network.miners;
        miners.into_iter().find_map(|group| group.latency)
    };
    assert_eq!(read("80ms"), Some(Latency::fixed(0.08)));
    assert_eq!(read("{fixed: 80ms}"), Some(Latency::fixed(0.08)));
    let (mean, deviation) = (0.1, 0.02);
    assert_eq!(
        read("{mean: 100ms, deviation: 20ms}"),
        Some(Latency::normal(mean, deviation))
    );
    assert_eq!(
        read("{unit: 10ms, ranks: 50, exponent: 1.2}"),
        Some(Latency::Zipf(ZipfDelay {
            unit: 0.01,
            ranks: 50,
            exponent: 1.2
        }))
    );
    assert_eq!(
        read("{recorded: [10ms, 1]}"),
        Some(Latency::recorded(vec![0.01, 1.0]))
    );
    check(
        &with("{}"),
        &["is not a distribution of delays", "`mean`, `deviation`"],
    );
    check(&with("{recorded: []}"), &["`recorded` is empty"]);
    check(&with("{mean: 1}"), &["deviation` is missing"]);
    check(
        &with("{fixed: 1, p50: 1, p99: 2}"),
        &["`network.miners[0].latency.fixed` cannot be combined with `p50`"],
    );
    check(&with("-5ms"), &["0 to 3600"]);
}

#[test]
fn behaviours_stack_and_name_existing_uids() {
    let with = |miner: &str| format!("{SOUND}network: {{validators: 2, miners: [{{{miner}}}]}}\n");
    let text = with(
        "uids: 3, behaviour: slow, args: {latency: 1s}, over: [{name: copycat, args: {victims: 4}}, honest]",
    );
    let miners = sound(&text).experiment.network.miners;
    let stack: Vec<&BehaviourSpec> = miners[0].behaviour.iter().chain(&miners[0].over).collect();
    let latency = Latency::fixed(1.0);
    assert_eq!(*stack[0], BehaviourSpec::Slow(SlowArgs { latency }));
    assert_eq!(
        *stack[1],
        BehaviourSpec::Copycat(CopycatArgs { victims: 4.into() })
    );
    // Omitted rates come from the dendrite pool.
    let (fail_rate, fitness) = (0.1, 0.0);
    assert_eq!(
        *stack[2],
        BehaviourSpec::Honest(HonestArgs { fail_rate, fitness })
    );

    check(
        &with("uids: 3, behaviour: copycat, victims: [4, 16]"),
        &["uid 16 is outside", "0 to 15"],
    );
    check(
        &with("uids: 3-4, behaviour: copycat, victims: [4]"),
        &["would copy itself"],
    );
    check(
        &with("uids: 3, behaviour: two_faced, callers: [18]"),
        &["no neuron has uid 18", "16 to 17"],
    );
    check(&with("uids: 3, behaviour: copycatt"), &["copycat"]);
    // If the behaviour has an argument with this name, the key is an argument of the behaviour.
    let slow = sound(&with("uids: 3, behaviour: slow, latency: 1s"))
        .experiment
        .network
        .miners;
    assert_eq!(
        (&slow[0].behaviour, &slow[0].latency),
        (&miners[0].behaviour, &None)
    );
    let deaf = sound(&with("uids: 3, behaviour: echo, over: praise"));
    assert!(
        deaf.warnings
            .plain()
            .contains("this behaviour has no effect: `echo`")
    );
}

#[test]
fn names_of_plots_are_plain_and_each_plot_is_named_once() {
    let analysis = |name: &str| {
        format!(
            "analysis:\n  requires: [a.csv]\n  estimators: {{{name}: LinearRegression}}\n  predict: {{rewards: {{x: step, \
             estimator: {name}}}}}\n"
        )
    };
    let name = "a-Z_0".repeat(8);
    parse(&analysis(&name), "file.yml").unwrap_or_else(|error| panic!("{}", error.plain()));
    for name in [
        &"a".repeat(41),
        "\"\"",
        "\"a b\"",
        "a/b",
        "..",
        "\"<b>\"",
        "\u{fc}",
    ] {
        let error = parse(&analysis(name), "file.yml").expect_err(name).plain();
        assert!(error.contains("the name of an estimator"), "{error}");
    }
    let loaded = parse(
        "analysis: {requires: [a.csv], plot: {rewards: [step, block, step]}}\n",
        "file.yml",
    );
    let warnings = loaded.expect("the file is valid").warnings.plain();
    assert!(
        warnings.contains("`analysis.plot.rewards` names `step` twice"),
        "{warnings}"
    );
}
