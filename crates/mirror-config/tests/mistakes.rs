//! Tests of mistakes in a file: nothing is dropped without a message, and each mistake has one message.

use mirror_config::{Loaded, Problem, Problems, Severity, parse, parse_with, to_yaml};
use mirror_spec::{BehaviourSpec, Latency, ValueError};
use serde_json::{Value, json};

/// Returns a file whose network and query are `network` and `args`.
fn file(network: &str, args: &str) -> String {
    format!(
        "model:\n  id: m\n  dendrite_pool: {{name: DummyDendritePool, args: {{data_path: builtin}}}}\n  \
         gating_model: RandomGatingModel\n  reward_model: RandomRewardModel\nnetwork: {network}\n\
         query: {{id: q, method: {{name: train, args: {args}}}}}\n"
    )
}

fn group(group: &str) -> String {
    file(&format!("{{miners: [{group}]}}"), "{max_iter: 5}")
}

#[track_caller]
fn sound(text: &str) -> Loaded {
    parse(text, "a.yml").unwrap_or_else(|problems| panic!("{}", problems.plain()))
}

fn all(text: &str, overrides: &[(&str, &str)]) -> Problems {
    let overrides: Vec<_> = overrides
        .iter()
        .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
        .collect();
    match parse_with(text, "a.yml", &overrides) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    }
}

/// Asserts that the file has one problem, and that its message and help contain the words. Returns it.
#[track_caller]
fn only(text: &str, words: &[&str]) -> Problem {
    let problems = all(text, &[]);
    let [problem] = problems.problems.as_slice() else {
        panic!("{text}\n{}", problems.plain())
    };
    let said = format!(
        "{} {}",
        problem.message,
        problem.help.as_deref().unwrap_or_default()
    );
    for word in words {
        assert!(said.contains(word), "{text}\n{}", problems.plain());
    }
    problem.clone()
}

// --- the arguments of a behaviour in its group ---

#[test]
fn null_arguments_do_not_drop_the_arguments_in_the_group() {
    let network = |text: &str| json(&to_yaml(&sound(&group(text)).experiment))["network"].clone();
    let expected = network("{uids: 1, fitness: 0.1}");
    assert_eq!(network("{uids: 1, args: , fitness: 0.1}"), expected);
    assert_eq!(network("{uids: 1, behaviour: , fitness: 0.1}"), expected);
    assert_eq!(
        network("{uids: 1, behaviour: failing, args: ~, chance: 0.1}"),
        network("{uids: 1, behaviour: {name: failing, args: {chance: 0.1}}}"),
    );
}

fn json(text: &str) -> Value {
    serde_yaml::from_str(text).expect("a resolved file is YAML")
}

#[test]
fn an_argument_in_the_group_and_in_args_is_written_twice() {
    let text = group("{uids: 1, behaviour: failing, chance: 0.1, args: {chance: 0.2}}");
    let problem = only(
        &text,
        &[
            "`chance` is written twice",
            "`network.miners[0].args`",
            "keep one",
        ],
    );
    let column = problem.place.map(|place| place.offset);
    assert_eq!(column, text.find("chance: 0.1"));
}

/// `latency` is an argument of `slow` and a key of the group: with both written, the group's is that of the link.
#[test]
fn a_key_of_the_group_with_the_name_of_an_argument_is_kept() {
    let text = group("{uids: 1, behaviour: slow, args: {latency: 20ms}, latency: 5ms}");
    let loaded = parse_with(&text, "a.yml", &[]).unwrap_or_else(|problems| panic!("{}", problems.plain()));
    let group = &loaded.experiment.network.miners[0];
    assert_eq!(group.latency, Some(Latency::fixed(0.005)));
    let Some(BehaviourSpec::Slow(args)) = &group.behaviour else {
        panic!("{:?}", group.behaviour)
    };
    assert_eq!(args.latency, Latency::fixed(0.02));
}

/// An override replaces the value of the file, in either of the two places.
#[test]
fn an_override_replaces_an_argument_in_either_place() {
    let inline = group("{uids: 1, behaviour: failing, chance: 0.1}");
    let args = group("{uids: 1, behaviour: failing, args: {chance: 0.1}}");
    for text in [&inline, &args] {
        for path in ["chance", "args.chance", "behaviour.args.chance"] {
            let path = format!("network.miners[0].{path}");
            let read = parse_with(text, "a.yml", &[(path.clone(), "0.25".into())]);
            let read = read.unwrap_or_else(|problems| panic!("{path}\n{}", problems.plain()));
            let network = json(&to_yaml(&read.experiment))["network"].clone();
            assert_eq!(
                network["miners"][0]["behaviour"]["args"]["chance"],
                json!(0.25),
                "{path}"
            );
        }
    }
}

#[test]
fn arguments_that_are_no_map_are_reported() {
    for args in ["5", "[1]", "true", "text"] {
        only(
            &group(&format!("{{uids: 1, behaviour: failing, args: {args}}}")),
            &["must be a map of arguments"],
        );
        only(
            &group(&format!(
                "{{uids: 1, behaviour: failing, chance: 0.1, args: {args}}}"
            )),
            &["must be a map of arguments"],
        );
    }
}

#[test]
fn a_behaviour_of_the_wrong_type_is_one_error() {
    for behaviour in ["5", "[]", "true"] {
        for arguments in [
            "latency: 1s",
            "args: {latency: 1s}",
            "args: {fitness: 1}, chance: 0.1",
        ] {
            only(
                &group(&format!("{{uids: 1, behaviour: {behaviour}, {arguments}}}")),
                &["`network.miners[0].behaviour` cannot be"],
            );
        }
    }
}

#[test]
fn arguments_next_to_a_behaviour_with_arguments_belong_into_it() {
    let honest = "behaviour: {name: honest, args: {fitness: 1}}";
    only(
        &group(&format!("{{uids: 1, args: {{fail_rate: 0}}, {honest}}}")),
        &[
            "unknown key `args`",
            "write it in `behaviour`: `behaviour: {name: …, args: {…}}`",
        ],
    );
    let problem = only(
        &group(&format!("{{uids: 1, fail_rate: 0, {honest}}}")),
        &["unknown key `fail_rate`", "args: {fail_rate: …}}`"],
    );
    assert!(!problem.help.unwrap_or_default().contains("did you mean"));
}

// --- sets of uids ---

#[test]
fn a_set_that_is_split_at_its_comma_is_an_error() {
    let quote = "quote a value that contains a comma";
    let validators = |group: &str| {
        file(
            &format!("{{validators: 2, validator_groups: [{group}]}}"),
            "{max_iter: 5}",
        )
    };
    only(
        &validators("{validators: 0, behaviour: {name: cabal, args: {members: 1-3,5}}}"),
        &["unknown key `5`", quote],
    );
    only(
        &group("{uids: 9, behaviour: {name: copycat, args: {victims: 1,3}}}"),
        &["unknown key `3`", quote],
    );
    only(
        &group("{uids: 9, behaviour: copycat, victims: 1,3}"),
        &["unknown key `3`", quote],
    );
    let masked = group("{uids: 9}").replace(
        "RandomGatingModel",
        "{name: MaskedGatingModel, args: {mask: 0-2,5, gating_model: RandomGatingModel}}",
    );
    only(&masked, &["unknown key `5`", quote]);
    let rates = group("{uids: 9}").replace("builtin}", "builtin, fail_rate: { 0-2,5: 0.3 }}");
    only(
        &rates,
        &[
            "`0-2` in `model.dendrite_pool.args.fail_rate` has no value",
            quote,
        ],
    );
}

#[test]
fn indices_of_validators_are_not_uids() {
    let group = |validators: &str| {
        let group = format!("{{validators: {validators}, behaviour: random}}");
        file(
            &format!("{{validators: 4, validator_groups: [{group}]}}"),
            "{max_iter: 5}",
        )
    };
    sound(&group("3"));
    for uids in ["uid 3", "uids 0-1", "[0, uid 3]"] {
        only(
            &group(uids),
            &[
                "names uids, but validator indices are required",
                "the uids of validators follow those of the miners",
            ],
        );
    }
    only(
        &group("validator 3"),
        &["`validator 3` is not a set of validator indices such as `0` or `0-2`"],
    );
}

// --- outdated forms ---

#[test]
fn nothing_of_the_outdated_forms_is_dropped_without_a_warning() {
    let data = |schema: &str| format!("data: {{id: d, path: rows.jsonl, schema: {{{schema}}}}}\n");
    let columns = "question: q, answer: a";
    assert!(
        all(&data(&format!("train: [{{{columns}}}]")), &[])
            .problems
            .is_empty()
    );
    only(
        &data(&format!("train: [{{{columns}}}, {{question: z}}]")),
        &["`data.schema.train[1]` and the items after it have no effect"],
    );
    only(
        &data(&format!("train: [{{{columns}}}], test: [{{question: z}}]")),
        &["`data.schema.test` has no effect"],
    );
    let path = group("{uids: 9}").replace("\n  reward_model", "\n  path: somewhere\n  reward_model");
    assert!(
        all(&path, &[]).plain().contains("`model.path` has no effect"),
        "{}",
        all(&path, &[]).plain()
    );
    let both = "analysis: {requires: [last], compute: [embeddings], create_features: [embeddings]}\n";
    assert!(
        all(both, &[])
            .plain()
            .contains("`analysis.compute` has no effect"),
        "{}",
        all(both, &[]).plain()
    );
}

// --- one mistake, one message ---

#[test]
fn a_number_of_rows_of_the_wrong_type_is_one_error() {
    for n in ["x", "[]", "true", "-1"] {
        only(
            &format!("data: {{id: d, path: builtin, sample: {{method: first, n: {n}}}}}\n"),
            &["`data.sample.n` cannot be"],
        );
    }
}

/// Without its argument, the length of the run is a default, from which no further warning follows.
#[test]
fn a_misspelt_argument_is_one_warning() {
    let fault = "faults: [{at: step 3, kill: uid 0, restart_after: 5 steps}]\n";
    let run = |args: &str| file("{}", args) + fault;
    assert!(
        all(&run("{}"), &[])
            .plain()
            .contains("begins at step 3, but the query has")
    );
    let words = ["takes no argument `max_itr`", "did you mean `max_iter`"];
    only(&run("{max_itr: 50}"), &words);
}

#[test]
fn an_override_with_two_mistakes_has_two_errors() {
    let text = group("{uids: 1}");
    let problems = all(&text, &[("model.neuron", "{learning_rat: 0.5, momentum: 7}")]);
    let messages: Vec<&str> = problems
        .problems
        .iter()
        .map(|problem| &*problem.message)
        .collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(
        messages
            .iter()
            .any(|message| message.contains("unknown key `learning_rat`"))
    );
    assert!(
        messages
            .iter()
            .any(|message| message.contains("`model.neuron.momentum` cannot be"))
    );
}

#[test]
fn an_index_in_a_key_that_is_not_set_is_reported_as_such() {
    let text = group("{uids: 1}").replace("{miners: [{uids: 1}]}", "{validators: 2}");
    let problems = all(&text, &[("network.miners[0].latency", "5")]).plain();
    assert!(
        problems.contains("`network.miners` is not set, so it has no item `0`"),
        "{problems}"
    );
}

// --- numbers ---

/// 2^53 is the first number to which another one is rounded, and 2^64 - 1 the largest one of 64 bits.
#[test]
fn whole_numbers_are_exact_and_have_a_maximum() {
    let text = |seed: &str| format!("seed: {seed}\ndata: {{id: d, path: builtin}}\n");
    for seed in [9_007_199_254_740_993, u64::MAX] {
        assert_eq!(sound(&text(&seed.to_string())).experiment.seed, seed);
    }
    assert_eq!(
        sound(&text("9007199254740991.0")).experiment.seed,
        9_007_199_254_740_991
    );
    for seed in ["9007199254740993.0", "9007199254740992.0", "1e19"] {
        only(
            &text(seed),
            &[
                "`seed` cannot be the number",
                "from 0 to 18446744073709551615",
                "without a decimal point",
            ],
        );
    }
    only(
        &text("18446744073709551616"),
        &[
            "`seed` cannot be the number 18446744073709551616",
            "from 0 to 18446744073709551615",
        ],
    );
}

// --- errors that are found after a file has been read ---

#[test]
fn an_error_of_a_value_has_its_place_or_its_override() {
    let text = group("{uids: 1}") + "expect: [{name: e, sql: 'true'}]\n";
    let error = |path: &[&str]| ValueError {
        path: path.iter().map(|part| (*part).to_owned()).collect(),
        message: "it does not exist".to_owned(),
        help: "use another one".to_owned(),
    };
    let data = error(&["model", "dendrite_pool", "args", "data_path"]);
    let errors = [
        error(&["expect", "0", "sql"]),
        data.clone(),
        // A default has no place, so the place is that of the component.
        error(&["model", "gating_model", "args", "absent"]),
    ];
    let problems = sound(&text).with_errors(&errors);
    let found: Vec<_> = problems
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .collect();
    let places: Vec<_> = found
        .iter()
        .filter_map(|problem| problem.place)
        .map(|place| place.offset)
        .collect();
    let expected = ["builtin", "RandomGatingModel", "'true'"].map(|value| text.find(value));
    assert_eq!(
        places,
        expected.map(|offset| offset.expect("the file contains the value"))
    );
    assert_eq!(found[0].help.as_deref(), Some("use another one"));

    let set = [(
        "model.dendrite_pool.args.data_path".to_owned(),
        "builtin".to_owned(),
    )];
    let loaded = parse_with(&text, "a.yml", &set).expect("the override is valid");
    let problems = loaded.with_errors(&[data]).plain();
    let words = "override `model.dendrite_pool.args.data_path=builtin`: it does not exist";
    assert!(problems.contains(words), "{problems}");
}

/// Miners that join have the uids after those of the validators, and later faults may name them.
#[test]
fn the_uids_of_miners_that_join_are_checked() {
    let network = |rest: &str| {
        format!(
            "model: {{id: m, dendrite_pool: {{name: DummyDendritePool, args: {{data_path: builtin}}}}, \
             gating_model: RandomGatingModel, reward_model: RandomRewardModel, metagraph: {{name: DummyMetagraph, args: {{num_nodes: 6}}}}}}\nnetwork: {{validators: 2}}\n\
             query: {{id: q, method: {{name: train, args: {{max_iter: 40}}}}}}\nfaults: [{rest}]\n"
        )
    };
    let joins = "{at: step 10, join: {count: 3}}";
    let check = |rest: &str| match parse(&network(rest), "file.yml") {
        Ok(_) => String::new(),
        Err(problems) => problems.plain(),
    };
    assert_eq!(check(&format!("{joins}, {{at: step 20, kill: uid 10}}")), "");
    assert_eq!(
        check(&format!(
            "{joins}, {{at: step 20, inject: uid 8-10, behaviour: echo}}"
        )),
        ""
    );
    for (faults, words) in [
        (
            format!("{joins}, {{at: step 20, kill: uid 11}}"),
            "have uids 8 to 10",
        ),
        (
            format!("{joins}, {{at: step 20, inject: uid 7, behaviour: echo}}"),
            "uid 7",
        ),
        ("{at: step 20, kill: uid 8}".to_owned(), "no neuron has"),
        ("{at: step 10, join: {count: 0}}".to_owned(), "from 1 to 1024"),
        ("{at: step 10, join: {count: 2000}}".to_owned(), "from 1 to 1024"),
        (
            "{at: step 10, join: {count: 1000}}, {at: step 20, join: {count: 25}}".to_owned(),
            "1025 miners join",
        ),
    ] {
        let reported = check(&faults);
        assert!(reported.contains(words), "{faults}: {reported}");
    }
}
