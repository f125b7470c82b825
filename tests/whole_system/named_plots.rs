//! Tests of the plots and predictions that the `analysis` section of an experiment file names.

use std::fs;
use std::os::unix::fs::symlink;

use mirror_test_support::Python;
use mirror_tests::TestEnv;
use serde_json::{Value, json};

use crate::experiment::TRAINING;
use crate::upstream_files::{provide_tokenizer, upstream_file};

/// Folder of the models of the tests.
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models");

/// File of the builtin tokenizer.
const TOKENIZER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/mirror-models/src/builtin/tokenizer.json"
);

/// Sentence of a plot of tokens of the builtin tokenizer.
const TOKENIZER_NOTE: &str =
    "Tokens are those of the builtin tokenizer, because the reward model `RandomRewardModel` has none.";

/// Upstream's experiment files with the number of plots that each names.
const UPSTREAM: [(&str, usize); 4] = [
    ("dendrite_config.yml", 6),
    ("dummy_config.yml", 7),
    ("seq_config.yml", 6),
    ("subnet_config.yml", 6),
];

/// Computes the points of plots of rewards and scores by features of the message from the tables of a run, and compares
/// them exactly with the report. Returns the number of points of each plot.
const SCRIPT: &str = "
import pandas, tokenizers
key = ['validator', 'purpose', 'step', 'forward_index']
events = pandas.read_parquet(data['events'])
calls = pandas.read_parquet(data['responses'])
calls = calls[calls.outcome == 'success']
events['question_length'] = events.message.str.len()
events['num_words'] = events.message.str.split().str.len()
events['avg_word_length'] = events.question_length / events.num_words
tokenizer = tokenizers.Tokenizer.from_file(data['tokenizer'])
events['reward_num_tokens'] = [len(tokens.ids) for tokens in tokenizer.encode_batch(events.message.tolist())]
answered = events.merge(calls[key + ['uid', 'reward']], on=key, how='inner', sort=False)
scored = events.assign(uid=events.scores.map(lambda scores: range(len(scores)))).explode(['scores', 'uid'])
tables = {'rewards': answered.rename(columns={'reward': 'y'}), 'scores': scored.rename(columns={'scores': 'y'})}
with open(data['report']) as file:
    plots = {plot['name']: plot for plot in json.load(file)['plots']}
result = {}
for name in data['names']:
    y, x = name.split('_by_')
    points = tables[y].dropna(subset=['y'])
    [trace] = plots[name]['traces']
    assert trace['x'] == points[x].astype(float).tolist(), name
    assert trace['y'] == points['y'].astype(float).tolist(), name
    assert trace['uids'] == points['uid'].tolist(), name
    result[name] = len(points)
";

/// Returns the report of the last run as JSON.
#[track_caller]
fn report(env: &TestEnv) -> Value {
    let printed = env.mirror(&["report", "last", "--json"]);
    assert_eq!(printed.status, Some(0), "{printed:?}");
    fs::write(env.path().join("report.json"), &printed.out).expect("the report can be written");
    serde_json::from_str(&printed.out).expect("the report is JSON")
}

/// Returns the names of the plots of a report.
fn names(report: &Value) -> Vec<&str> {
    let plots = report["plots"].as_array().expect("a report has plots");
    plots.iter().filter_map(|plot| plot["name"].as_str()).collect()
}

/// Returns the plot of this name.
#[track_caller]
fn plot<'r>(report: &'r Value, name: &str) -> &'r Value {
    let plots = report["plots"].as_array().expect("a report has plots");
    let found = plots.iter().find(|plot| plot["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not drawn: {}", report["not_drawn"]))
}

/// Returns the reason why a plot is not drawn. `None` if it is drawn or unknown.
fn not_drawn<'r>(report: &'r Value, name: &str) -> Option<&'r str> {
    let all = report["not_drawn"].as_array()?;
    all.iter().find(|plot| plot["name"] == name)?["why"].as_str()
}

/// Every plot that upstream's files name has the points that pandas and the tokenizer library compute from the tables.
/// The random rewards of one file have no tokenizer, so that the builtin tokenizer counts its tokens.
#[test]
fn the_plots_of_upstreams_files_are_those_of_pandas() {
    let Some(python) = Python::find() else { return };
    let mut compared = 0;
    for (file, count) in UPSTREAM {
        let Some((mut env, path)) = upstream_file(file) else {
            return;
        };
        if file == "seq_config.yml" {
            provide_tokenizer(&mut env);
        }
        let analysis = analysis_of(&path);
        let mut named: Vec<String> = Vec::new();
        for (y, columns) in analysis["plot"].as_object().expect("a map of plots") {
            let columns = columns.as_array().expect("a list of columns");
            named.extend(
                columns
                    .iter()
                    .filter_map(|x| Some(format!("{y}_by_{}", x.as_str()?))),
            );
        }
        assert_eq!(named.len(), count, "{file}");
        let run = env.done(&path, &["query.method.args.max_iter=8"]);
        let report = report(&env);
        let tokens = "rewards_by_reward_num_tokens";
        if named.iter().any(|name| name == tokens) {
            assert_eq!(plot(&report, tokens)["note"], TOKENIZER_NOTE);
        }
        let root = run.layout().root();
        let input = json!({
            "events": root.join("events.parquet"),
            "responses": root.join("responses.parquet"),
            "report": env.path().join("report.json"),
            "names": named,
            "tokenizer": TOKENIZER,
        });
        let points = python.run(SCRIPT, &input);
        let points = points.as_object().expect("a map by plot");
        assert!(
            points.values().all(|points| points.as_u64() > Some(20)),
            "{file}: {points:?}"
        );
        compared += points.len();
        let page = fs::read_to_string(run.layout().report()).expect("the run has a report page");
        for name in &named {
            assert!(
                page.contains(&format!("id=\"plot-{name}\"")),
                "{name} is not on the page"
            );
        }
    }
    assert_eq!(compared, 25);
}

/// Returns the `analysis` section of an experiment file as JSON.
fn analysis_of(path: &str) -> Value {
    let loaded = mirror_config::load(path.as_ref()).expect("upstream's file is valid");
    serde_json::to_value(loaded.experiment.analysis).expect("an analysis can be written as JSON")
}

/// An analysis with every key draws everything that it names, both in the report of its own run and in that of an
/// earlier run, and both have the same plots.
#[test]
fn an_analysis_draws_all_that_it_names() {
    let analysis = format!(
        "\
analysis:
  requires: [training]
  create_features:
    message: [question_length, sentence_length, num_words, avg_word_length, median_word_length, first_word, embeddings]
    completion: [num_words, embeddings]
    all_completions: question_length
  sentence_model: '{MODELS}/tiny-bert'
  plot:
    rewards: [question_length, first_word, uids]
    scores: step
    call_time: [num_words]
    step: [all_completions_question_length]
  embedding_plot: {{scaler: MinMax, columns: [rewards, question_length, call_time]}}
  pca: {{columns: [question_length, call_time, step], n_components: 0.9}}
  estimators:
    boosting: {{name: GradientBoostingRegressor, args: {{n_estimators: 20, subsample: 0.5, random_state: 1}}}}
    forest: {{name: RandomForestRegressor, args: {{n_estimators: 10}}}}
    linear: LinearRegression
  predict:
    rewards: {{x: question_length, estimator: boosting}}
    scores: {{x: step, estimator: forest}}
    call_time: {{x: embeddings, estimator: linear}}
"
    );
    let env = TestEnv::new();
    let whole = env.file("whole.yml", format!("{TRAINING}{analysis}"));
    let checked = env.mirror(&["check", whole]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    env.done(whole, &[]);
    let of_run = report(&env);
    let expected = [
        "call_time_by_num_words",
        "rewards_by_question_length",
        "rewards_by_first_word",
        "rewards_by_uids",
        "scores_by_step",
        "step_by_all_completions_question_length",
        "embedding_plot",
        "pca_explained_variance",
        "completion_embeddings",
        "completion_explained_variance",
        "embeddings",
        "explained_variance",
        "call_time_predicted_by_linear",
        "rewards_predicted_by_boosting",
        "rewards_loss_of_boosting",
        "scores_predicted_by_forest",
    ];
    let drawn = names(&of_run);
    for name in expected {
        assert!(
            drawn.contains(&name),
            "{name}: {drawn:?}, {}",
            of_run["not_drawn"]
        );
    }
    let scores = of_run["predictions"].as_array().expect("predictions");
    assert_eq!(scores.len(), 3);
    assert!(scores.iter().all(|one| one["test_score"].as_f64() <= Some(1.0)));

    // The run was made without an analysis, and the file with only the analysis names it by the id of its query.
    let other = TestEnv::new();
    other.done(other.file("run.yml", TRAINING), &[]);
    assert_eq!(report(&other)["predictions"], json!([]));
    let alone = other.file("analysis.yml", &analysis);
    let written = other.mirror(&["run", alone]);
    assert_eq!(written.status, Some(0), "{written:?}");
    let page = written
        .out
        .split_whitespace()
        .last()
        .expect("the path of the report");
    let page = fs::read_to_string(other.path().join(page)).expect("a report page");
    for name in expected {
        assert!(
            page.contains(&format!("id=\"plot-{name}\"")),
            "{name} is not on the page"
        );
    }
}

/// Returns an experiment with a transformer in `model` as its reward model, with its tokenizer.
fn with_transformer(model: &str) -> String {
    let reward = format!(
        "{{name: HuggingFaceRewardModel, args: {{model_path: '{model}', tokenizer_path: '{model}', random_init: true}}}}"
    );
    TRAINING.replace(
        "{name: DummyRewardModel, args: {reward_type: num_words}}",
        &reward,
    )
}

/// Without its models an analysis loses only what needs them, and the report states the reasons. The builtin tokenizer
/// does not replace the missing tokenizer of a reward model.
#[test]
fn missing_models_lose_only_what_needs_them() {
    let analysis = "\
analysis:
  compute: [num_words, reward_num_tokens, embedding: {id: e, type: sentence, path: no-such-model}]
  plot:
    - rewards: num_words
    - rewards: [reward_num_tokens]
    - scores: [embeddings]
";
    let env = TestEnv::new();
    let model = env.path().join("removed-model");
    symlink(format!("{MODELS}/tiny-gpt2"), &model).expect("a link to the model");
    let experiment = with_transformer(&model.display().to_string());
    let file = env.file("missing.yml", format!("{experiment}{analysis}"));
    env.done(file, &["query.method.args.max_iter=10"]);
    fs::remove_file(&model).expect("the link can be removed");
    let report = report(&env);
    assert!(names(&report).contains(&"rewards_by_num_words"));
    let tokens = not_drawn(&report, "rewards_by_reward_num_tokens").expect("there is no tokenizer");
    assert!(tokens.contains("removed-model"), "{tokens}");
    let embeddings = not_drawn(&report, "scores_by_embeddings").expect("there is no sentence model");
    assert!(embeddings.contains("no-such-model"), "{embeddings}");
}

/// Tokens are those of the tokenizer of the run's reward model.
#[test]
fn tokens_are_those_of_the_reward_model() {
    let analysis = "\
analysis:
  create_features: {message: reward_num_tokens}
  plot: {step: [reward_num_tokens]}
";
    let model = format!("{MODELS}/tiny-gpt2");
    let env = TestEnv::new();
    let file = env.file("tokens.yml", format!("{}{analysis}", with_transformer(&model)));
    let run = env.done(file, &["query.method.args.max_iter=5"]);
    let events: Vec<mirror_runs::tables::EventRow> = mirror_tests::rows(&run);
    let messages: Vec<String> = events
        .iter()
        .map(|event| event.message.replace('\n', " "))
        .collect();
    // `models tokens` reads one text per line.
    assert!(
        events.iter().all(|event| !event.message.contains('\n')),
        "{messages:?}"
    );
    let lines = env.file("messages.txt", messages.join("\n"));
    let counted = env.mirror(&["models", "tokens", &model, lines, "--offline"]);
    let expected: Vec<f64> = counted
        .out
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    let report = report(&env);
    let plot = plot(&report, "step_by_reward_num_tokens");
    let note = plot["note"].as_str().unwrap_or_default();
    assert!(!note.contains("builtin"), "{note}");
    let trace = &plot["traces"][0];
    let ours = trace["x"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_f64);
    assert_eq!(ours.collect::<Vec<f64>>(), expected);
}

/// A misspelt column stops the run before it begins, with the nearest name.
#[test]
fn a_misspelt_column_is_reported_before_the_run() {
    let analysis = "analysis: {create_features: [num_words], plot: {rewards: [num_wrods]}}\n";
    let env = TestEnv::new();
    let file = env.file("misspelt.yml", format!("{TRAINING}{analysis}"));
    for command in ["check", "run"] {
        let refused = env.mirror(&[command, file]);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        let words = "no column in `analysis.plot.rewards` is called `num_wrods`";
        assert!(refused.err.contains(words), "{refused:?}");
        assert!(refused.err.contains("did you mean `num_words`?"), "{refused:?}");
    }
    assert!(!env.runs_dir().exists(), "no run was started");
}
