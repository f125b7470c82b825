//! Tests of warnings about settings without effect. Each case is tested together with a similar file in which the
//! setting has an effect and no warning is given.

use mirror_config::{Severity, parse};

/// A file without warnings: 16 miners, one validator, 40 steps, weights every 10 blocks.
const FILE: &str = "\
model:
  id: small
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin, fail_rate: 0.1}}
  gating_model: RandomGatingModel
  reward_model: RandomRewardModel
  subtensor: {name: DummySubtensor, args: {epoch_length: 10}}
  metagraph: {name: DummyMetagraph, args: {netuid: 1, num_nodes: 16}}
query:
  id: my_query
  method: {name: train, args: {max_iter: 40}}
";

/// Returns the warnings of [`FILE`] with these strings replaced and these lines added. Each warning is followed by its
/// help.
#[track_caller]
fn warnings(replaced: &[(&str, &str)], added: &str) -> Vec<String> {
    let mut text = FILE.to_owned();
    for (from, to) in replaced {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let loaded = parse(&format!("{text}{added}"), "file.yml").unwrap_or_else(|e| panic!("{}", e.plain()));
    let problems = loaded.warnings.problems.into_iter();
    problems
        .map(|problem| {
            assert_eq!(problem.severity, Severity::Warning);
            assert!(problem.place.is_some(), "{problem} has no place");
            format!("{}; {}", problem.message, problem.help.unwrap_or_default())
        })
        .collect()
}

/// Asserts that there is one warning, which contains all of these words.
#[track_caller]
fn warned(replaced: &[(&str, &str)], added: &str, words: &[&str]) {
    let reported = warnings(replaced, added);
    assert!(
        reported.len() == 1 && words.iter().all(|word| reported[0].contains(word)),
        "{words:?}: {reported:#?}"
    );
}

/// Asserts that there are no warnings.
#[track_caller]
fn silent(replaced: &[(&str, &str)], added: &str) {
    let reported = warnings(replaced, added);
    assert!(reported.is_empty(), "{reported:#?}");
}

#[test]
fn keys_that_are_never_read_are_warned_of() {
    silent(&[], "");
    warned(
        &[("epoch_length: 10", "epoch_length: 10, network: mine")],
        "",
        &["`model.subtensor.args.network` has no effect"],
    );
    warned(
        &[("netuid: 1", "netuid: 1, network: mine")],
        "",
        &["`model.metagraph.args.network` has no effect"],
    );
    warned(
        &[("id: my_query", "id: my_query\n  save_interval: 5")],
        "",
        &["`query.save_interval`", "when it occurs"],
    );
    for (model, key) in [
        (
            "{name: ConstantRewardModel, args: {backward_value: 2}}",
            "backward_value",
        ),
        ("{name: RandomRewardModel, args: {backward_p0: 2}}", "backward_p0"),
        ("{name: RandomRewardModel, args: {backward_p1: 2}}", "backward_p1"),
    ] {
        warned(
            &[("RandomRewardModel", model)],
            "",
            &[key, "has no effect", "backward"],
        );
    }
    silent(
        &[(
            "RandomRewardModel",
            "{name: ConstantRewardModel, args: {forward_value: 2}}",
        )],
        "",
    );
}

#[test]
fn parts_of_an_analysis_without_effect_are_warned_of() {
    let used = "predict: {rewards: {x: step, estimator: fit}}";
    for (keys, words) in [
        (
            "estimators: {fit: LinearRegression}".to_owned(),
            ["`analysis.estimators.fit` has no effect", "no prediction uses it"],
        ),
        (
            format!("estimators: {{fit: {{name: GradientBoostingRegressor, args: {{verbose: 1}}}}}}, {used}"),
            [
                "`analysis.estimators.fit.args.verbose` has no effect",
                "nothing is printed",
            ],
        ),
        (
            "sentence_model: m".to_owned(),
            [
                "`analysis.sentence_model` has no effect",
                "no column has the feature `embeddings`",
            ],
        ),
        (
            "create_features: [embeddings]".to_owned(),
            ["cannot be computed", "names no sentence model"],
        ),
    ] {
        warned(&[], &format!("analysis: {{{keys}}}\n"), &words);
    }
    for estimator in [
        "GradientBoostingRegressor",
        "RandomForestRegressor",
        "LinearRegression",
    ] {
        silent(
            &[],
            &format!("analysis: {{estimators: {{fit: {estimator}}}, {used}}}\n"),
        );
    }
    silent(
        &[],
        "analysis: {create_features: [num_words, embeddings], sentence_model: m, plot: {rewards: [step]}}\n",
    );
    silent(&[], "analysis: {requires: [my_query]}\n");
    warned(
        &[],
        "analysis: {requires: [runs/earlier]}\n",
        &["`runs/earlier`", "no effect", "mirror report runs/earlier"],
    );
}

#[test]
fn settings_of_a_run_are_warned_of_without_a_query() {
    let model_alone = FILE.split("query:").next().expect("the model precedes the query");
    let reported = parse(&format!("replicates: 3\n{model_alone}"), "file.yml").expect("the file is valid");
    assert!(reported.warnings.plain().contains("`replicates` has no effect"));
    silent(&[], "replicates: 3\n");
}

#[test]
fn data_that_training_does_not_use_is_warned_of() {
    let data = "data: {id: d, path: other.jsonl}\n";
    let forward = ("{name: train, args: {max_iter: 40}}", "forward");
    warned(&[], data, &["`data` has no effect", "`train`", "`builtin`"]);
    silent(&[forward], data);
    warned(
        &[],
        "data: {id: d, path: builtin, sample: {method: first, n: 99}}\n",
        &["`data` has no effect"],
    );
    // The section names the columns of the miners' data.
    let own_data = ("data_path: builtin", "data_path: rows.jsonl");
    let columns = "data: {id: d, path: rows.jsonl, question: q}\n";
    silent(&[own_data], columns);
    let same = "data: {id: d, path: rows.jsonl, question: q, sample: {method: first, n: 99}}\n";
    warned(&[own_data], same, &["`data.sample` has no effect", "every row"]);
    silent(&[own_data, forward], same);
    warned(
        &[own_data],
        "data: {id: d, path: rows.jsonl}\n",
        &["`data` has no effect"],
    );
    let chunks = ("id: my_query", "id: my_query\n  chunk_size: 4");
    warned(&[chunks], "", &["`query.chunk_size` has no effect"]);
    silent(&[chunks, forward], "data: {id: d, path: builtin}\n");
}

#[test]
fn unused_settings_of_a_sample_are_warned_of() {
    let forward = ("{name: train, args: {max_iter: 40}}", "forward");
    let data = |sample| format!("data: {{id: d, path: builtin, sample: {{{sample}}}}}\n");
    warned(
        &[forward],
        &data("method: all, n: 5"),
        &["`data.sample.n` has no effect"],
    );
    warned(
        &[forward],
        &data("method: first, n: 99, seed: 5"),
        &["`data.sample.seed` has no effect", "`first`"],
    );
    silent(&[forward], &data("method: random, n: 99, seed: 5"));
}

#[test]
fn training_settings_without_training_are_warned_of() {
    let sequential = (
        "RandomGatingModel",
        "{name: SequentialGatingModel, args: {tokenizer_name: builtin, hidden_size: 4, embedding_dim: 4}}",
    );
    for key in [
        "learning_rate: 1",
        "momentum: 1",
        "accumulate_gradients: true",
        "watch_every: 5",
        "checkpoint_every: 5",
    ] {
        let neuron = format!("id: small\n  neuron: {{{key}}}");
        let neuron = ("id: small", neuron.as_str());
        let (key, _) = key.split_once(':').expect("a key and its value");
        warned(&[neuron], "", &[key, "`RandomGatingModel`"]);
        silent(&[neuron, sequential], "");
        let untrained = ("max_iter: 40", "max_iter: 40, train_gating_model: false");
        if key != "checkpoint_every" {
            warned(
                &[neuron, sequential, untrained],
                "",
                &[key, "`train_gating_model` is false"],
            );
        }
    }
}

#[test]
fn no_reward_model_is_warned_of_if_none_is_called() {
    let neuron = ("id: small", "id: small\n  neuron: {no_reward_model: true}");
    let query = |args| ("{name: train, args: {max_iter: 40}}", args);
    let data = "data: {id: d, path: builtin, sample: {method: first, n: 99}}\n";
    warned(
        &[neuron, query("inference")],
        data,
        &["`model.neuron.no_reward_model`"],
    );
    silent(
        &[neuron, query("{name: inference, args: {use_reward_model: true}}")],
        data,
    );
    silent(&[neuron], "");
}

#[test]
fn a_baseline_is_warned_of_if_every_uid_has_a_rate() {
    let rates = |named: u32| {
        let named: Vec<_> = (0..named).map(|uid| format!("{uid}: 0.5")).collect();
        format!("fail_rate: {{{}}}, baseline_fail_rate: 0.3", named.join(", "))
    };
    warned(
        &[("fail_rate: 0.1", &rates(16))],
        "",
        &["`model.dendrite_pool.args.baseline_fail_rate`", "all 16 miners"],
    );
    silent(&[("fail_rate: 0.1", &rates(15))], "");
}

#[test]
fn an_epoch_length_that_another_key_overrides_is_warned_of() {
    let both = "network: {hyperparameters: {tempo: 9, validator_epoch_length: 10}}\n";
    warned(&[], both, &["`model.subtensor.args.epoch_length` has no effect"]);
    silent(&[], "network: {hyperparameters: {tempo: 9}}\n");
    warned(
        &[("id: small", "id: small\n  neuron: {epoch_length_override: 5}")],
        "network: {hyperparameters: {tempo: 9}}\n",
        &[
            "`model.subtensor.args.epoch_length` has no effect",
            "epoch_length_override",
        ],
    );
    let neuron = ("id: small", "id: small\n  neuron: {epoch_length_override: 5}");
    let length = "network: {hyperparameters: {validator_epoch_length: 10}}\n";
    warned(
        &[neuron],
        length,
        &[
            "`network.hyperparameters.validator_epoch_length`",
            "epoch_length_override",
        ],
    );
    silent(&[], length);
}

#[test]
fn settings_of_a_chain_that_is_already_running_are_warned_of() {
    let running = (
        "{name: DummySubtensor, args: {epoch_length: 10}}",
        "{name: Subtensor, args: {chain_endpoint: \"127.0.0.1:1\", chain_client: c.json}}",
    );
    silent(&[running], "");
    for (key, value) in [
        ("chain", "classic"),
        ("hyperparameters", "{tempo: 3}"),
        ("stakes", "5"),
        ("restart", "{subtensor: fail}"),
    ] {
        let added = format!("network: {{{key}: {value}}}\n");
        warned(&[running], &added, &[&format!("`network.{key}"), "has no effect"]);
    }
}

/// Hyperparameters with which a small network on `today` receives emission.
const OPEN: &str = "tempo: 9, validator_epoch_length: 10, min_allowed_weights: 1, weights_set_rate_limit: 0, \
                    commit_reveal_weights_enabled: false, activity_cutoff_factor: 100000, ";

/// Returns the section that gives [`FILE`] these hyperparameters.
fn by_rules(chain: &str, rules: &str) -> String {
    let open = if chain == "small" { "" } else { OPEN };
    format!("network: {{chain: {chain}, hyperparameters: {{{open}{rules}}}}}\n")
}

/// Replacement that removes the epoch length from [`FILE`].
const PLAIN_CHAIN: (&str, &str) = (", args: {epoch_length: 10}", "");

#[test]
fn hyperparameters_that_the_preset_does_not_read_are_warned_of() {
    for name in [
        "activity_cutoff_factor: 9000",
        "stake_threshold: 1",
        "bonds_penalty: 5",
        "yuma3_on: true",
        "liquid_alpha_on: true",
        "alpha_low: 5",
        "alpha_high: 60000",
        "alpha_sigmoid_steepness: 5",
        "min_non_immune_uids: 5",
        "burn_half_life: 5",
        "burn_increase: 500",
    ] {
        let (key, _) = name.split_once(':').expect("a key and its value");
        warned(
            &[],
            &by_rules("small", name),
            &[
                &format!("`network.hyperparameters.{key}` has no effect"),
                "`today`",
                "`small`",
            ],
        );
    }
    warned(
        &[PLAIN_CHAIN],
        &by_rules("today", "activity_cutoff: 5000"),
        &["activity_cutoff", "`classic`", "`today`"],
    );
    silent(
        &[],
        &by_rules(
            "small",
            "activity_cutoff: 5000, kappa: 1, bonds_moving_average: 5",
        ),
    );
    silent(
        &[PLAIN_CHAIN],
        &by_rules("today", "bonds_penalty: 5, stake_threshold: 1, yuma3_on: true"),
    );
}

#[test]
fn hyperparameters_that_require_another_are_warned_of_with_it() {
    for (rules, words) in [
        ("liquid_alpha_on: true", ["liquid_alpha_on", "`yuma3_on` is true"]),
        ("alpha_low: 5", ["alpha_low", "`yuma3_on` is true"]),
        (
            "yuma3_on: true, alpha_high: 60000",
            ["alpha_high", "`liquid_alpha_on` is true"],
        ),
        (
            "commit_reveal_period: 2",
            ["commit_reveal_period", "`commit_reveal_weights_enabled` is true"],
        ),
    ] {
        warned(&[PLAIN_CHAIN], &by_rules("today", rules), &words);
    }
    let all =
        "yuma3_on: true, liquid_alpha_on: true, alpha_low: 5, alpha_high: 60000, alpha_sigmoid_steepness: 9";
    silent(&[PLAIN_CHAIN], &by_rules("today", all));
    silent(
        &[],
        &by_rules(
            "small",
            "commit_reveal_weights_enabled: true, commit_reveal_period: 2",
        ),
    );
}

#[test]
fn hyperparameters_of_registration_are_warned_of() {
    for rule in [
        "tx_rate_limit: 5",
        "nominator_min_required_stake: 5",
        "default_take: 5",
        "immunity_period: 5",
        "network_registration_allowed: false",
        "network_free_registration_allowed: false",
        "max_registrations_per_block: 5",
        "target_registrations_per_interval: 5",
        "adjustment_interval: 5",
        "burn: 5",
        "min_burn: 5",
        "max_burn: 5",
    ] {
        let (key, _) = rule.split_once(':').expect("a key and its value");
        warned(
            &[],
            &by_rules("small", rule),
            &[key, "no node of a run registers"],
        );
    }
    silent(
        &[(
            "epoch_length: 10",
            "epoch_length: 10, delegated: {5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM: 5}",
        )],
        &by_rules("small", "default_take: 5"),
    );
    silent(
        &[],
        "network: {hyperparameters: {immunity_period: 5}, miners: [{uids: 1, behaviour: two_faced, while_immune: true}]}\n",
    );
}

#[test]
fn hyperparameters_with_which_no_chain_starts_are_errors() {
    for (rules, words) in [
        ("min_burn: 200000000000", ["`min_burn`", "`max_burn`"]),
        ("max_allowed_uids: 16", ["17 neurons", "allow 16"]),
    ] {
        let text = format!("{FILE}{}", by_rules("small", rules));
        let reported = parse(&text, "file.yml").expect_err("no chain can start").plain();
        assert!(words.iter().all(|word| reported.contains(word)), "{reported}");
    }
    assert!(
        parse(
            &format!("{FILE}{}", by_rules("small", "max_allowed_uids: 17")),
            "file.yml"
        )
        .is_ok()
    );
}

#[test]
fn weights_that_are_never_set_are_reported_with_numbers() {
    let steps = |steps: &'static str| ("max_iter: 40", steps);
    warned(
        &[steps("max_iter: 9")],
        "",
        &["every 10 blocks", "9 steps", "no weights ever count"],
    );
    silent(&[steps("max_iter: 10")], "");
    let neuron = |neuron: &'static str| ("id: small", neuron);
    warned(
        &[neuron("id: small\n  neuron: {epoch_length_override: 41}")],
        "",
        &["every 41 blocks", "40 steps"],
    );
    silent(&[neuron("id: small\n  neuron: {epoch_length_override: 40}")], "");
    // If blocks close by the clock, the number of blocks is unknown before the run.
    silent(&[steps("max_iter: 9")], "network: {block_time: 1s}\n");
    // The default epoch length is 100 blocks.
    warned(
        &[PLAIN_CHAIN, steps("max_iter: 99")],
        "",
        &["every 100 blocks", "99 steps"],
    );
    silent(&[PLAIN_CHAIN, steps("max_iter: 100")], "");
}

#[test]
fn weights_that_the_chain_rejects_are_reported_with_numbers() {
    for (rule, within, words) in [
        (
            "weights_version_key: 401",
            "weights_version_key: 400",
            ["version key 400", "401 or more"],
        ),
        (
            "min_allowed_weights: 18",
            "min_allowed_weights: 17",
            ["18 weights or more", "17 neurons"],
        ),
        (
            // A seventeenth of 65,535 is 3,855.
            "max_weight_limit: 3854",
            "max_weight_limit: 3855",
            ["3854 of 65,535", "at least 3855"],
        ),
        (
            "max_allowed_validators: 0",
            "max_allowed_validators: 1",
            ["`max_allowed_validators` of 0", "block 12"],
        ),
    ] {
        warned(
            &[],
            &by_rules("small", rule),
            &[words[0], words[1], "no weights ever count"],
        );
        silent(&[], &by_rules("small", within));
    }
    warned(
        &[PLAIN_CHAIN],
        &by_rules("today", "stake_threshold: 1000000000001"),
        &["1000 TAO", "`stake_threshold`"],
    );
    silent(
        &[PLAIN_CHAIN],
        &by_rules("today", "stake_threshold: 1000000000000"),
    );
    warned(
        &[PLAIN_CHAIN],
        "network: {chain: classic}\n",
        &["1024 weights or more", "17 neurons"],
    );
}

/// The chain starts at block 50, so that the rate limit counts from its genesis.
#[test]
fn weights_that_are_set_too_early_or_too_late_are_reported_with_numbers() {
    let late = ("epoch_length: 10", "epoch_length: 10, block: 50");
    warned(
        &[late],
        &by_rules("small", "weights_set_rate_limit: 43"),
        &["block 61", "12 blocks", "at least 43", "ends with block 91"],
    );
    // Weights are set in blocks 61, 71, 81 and 91, and the chain accepts those of block 91.
    warned(
        &[late],
        &by_rules("small", "weights_set_rate_limit: 42"),
        &["refuses 3 of 4 settings", "every 10 blocks", "every 42 blocks"],
    );
    // On a chain that starts at block 1, the rate limit does not apply to the first setting.
    warned(
        &[],
        &by_rules("small", "weights_set_rate_limit: 1000"),
        &["refuses 3 of 4 settings", "every 1000 blocks"],
    );
    silent(&[], &by_rules("small", "weights_set_rate_limit: 10"));
    silent(
        &[("max_iter: 40", "max_iter: 19")],
        &by_rules("small", "weights_set_rate_limit: 1000"),
    );
    let today = "network: {chain: today, hyperparameters: {min_allowed_weights: 1, validator_epoch_length: 50, tempo: 9}}\n";
    warned(
        &[PLAIN_CHAIN, ("max_iter: 40", "max_iter: 400")],
        today,
        &[
            "every 50 blocks",
            "every 100 blocks",
            "`network.hyperparameters.validator_epoch_length` to 100 or more",
        ],
    );
    // The weights are committed in block 12, which is in epoch 1 (blocks 9 to 19). The last block is 42, in epoch 4.
    let reveal = |period| format!("commit_reveal_weights_enabled: true, commit_reveal_period: {period}");
    warned(
        &[],
        &by_rules("small", &reveal(4)),
        &["block 12", "from block 53", "ends with block 42"],
    );
    silent(&[], &by_rules("small", &reveal(3)));
    // Weights are set in blocks 12, 22, 32 and 42, and apply at the epochs of blocks 20, 31, 42 and 42.
    warned(
        &[("max_iter: 40", "max_iter: 30")],
        &by_rules("small", "activity_cutoff: 7"),
        &["epoch of block 20", "8 blocks old", "for 7 blocks"],
    );
    silent(
        &[("max_iter: 40", "max_iter: 30")],
        &by_rules("small", "activity_cutoff: 8"),
    );
}

#[test]
fn a_run_without_emission_is_reported() {
    warned(
        &[],
        &by_rules("small", "tempo: 0"),
        &["there are no epochs", "no neuron ever receives emission"],
    );
    warned(
        &[],
        &by_rules("small", "tempo: 10001"),
        &["block 10000", "block 42", "no neuron ever receives emission"],
    );
    // The chain continues until the next epoch.
    warned(
        &[],
        &by_rules("small", "tempo: 10000, activity_cutoff: 10000"),
        &[
            "10001 blocks",
            "40 steps",
            "ends with block 42",
            "until block 9999",
        ],
    );
    warned(
        &[],
        &by_rules("small", "block_emission: 0"),
        &["`block_emission` of 0", "no neuron ever receives emission"],
    );
    silent(&[], &by_rules("small", "block_emission: 1"));
    warned(
        &[],
        "network: {stakes: 0}\n",
        &["no validator has any stake", "no neuron ever receives emission"],
    );
    silent(&[], "network: {validators: 2, stakes: [0, 1]}\n");
}

#[test]
fn a_restart_after_the_last_step_is_reported_with_numbers() {
    let fault = |after| format!("faults: [{{at: step 3, kill: uid 0, restart_after: {after} steps}}]\n");
    warned(
        &[],
        &fault(37),
        &[
            "kills uid 0 before step 3",
            "before step 40",
            "40 steps",
            "the restart never happens",
        ],
    );
    silent(&[], &fault(36));
    let kill = |at| format!("faults: [{{at: step {at}, kill: uid 0}}]\n");
    silent(&[], &kill(39));
    warned(
        &[],
        "faults: [{at: step 40, kill: uid 0}]\n",
        &["never occurs", "begins at step 40", "40 steps"],
    );
    let data = "data: {id: d, path: builtin, sample: {method: first, n: 99}}\n";
    let forward = (
        "id: my_query\n  method: {name: train, args: {max_iter: 40}}",
        "id: q\n  chunk_size: 10\n  method: forward",
    );
    warned(
        &[forward],
        &format!("{data}faults: [{{at: step 10, kill: uid 0}}]\n"),
        &["never occurs: it begins at step 10, but the query has 10 steps"],
    );
}

#[test]
fn delays_beyond_the_deadline_are_reported_with_numbers() {
    let link = |latency| format!("network: {{miners: [{{uids: 0-3, latency: {latency}}}]}}\n");
    warned(
        &[],
        &link("80"),
        &[
            "every call to uids 0-3 times out",
            "80 s",
            "4 s (`training_timeout`)",
            "`80ms`",
        ],
    );
    silent(&[], &link("80ms"));
    // With a unit, the number is meant as it is written.
    for written in ["80s", "{fixed: 80s}", "{p50: 80s, p99: 90s}"] {
        let reported = warnings(&[], &link(written));
        assert!(
            reported.len() == 1 && !reported[0].contains("without a unit"),
            "{reported:#?}"
        );
    }
    let short = ("id: small", "id: small\n  neuron: {training_timeout: 50ms}");
    warned(
        &[short],
        &link("80ms"),
        &["the delay of 80 ms", "the deadline of 50 ms"],
    );
    // Only the override is reported of a latency that does not apply.
    warned(
        &[],
        "network: {miners: [{uids: 2, latency: 80s}, {uids: 2, latency: 2ms}]}\n",
        &["latency of this entry has no effect"],
    );
    for (latency, words) in [
        (
            "{p50: 4, p99: 9}",
            "half of the calls to uids 0-3 time out: the median delay of 4 s",
        ),
        ("{mean: 5, deviation: 1}", "the mean delay of 5 s"),
        (
            "{unit: 6, ranks: 3, exponent: 1}",
            "the delay of the first rank of 6 s",
        ),
        ("{recorded: [7, 5]}", "the shortest delay of 5 s"),
    ] {
        warned(&[], &link(latency), &[words]);
    }
    for latency in [
        "{p50: 3.9, p99: 9}",
        "{mean: 3.9, deviation: 1}",
        "{unit: 3.9, ranks: 3, exponent: 1}",
        "{recorded: [7, 3.9]}",
    ] {
        silent(&[], &link(latency));
    }
    let slow = "network: {miners: [{uids: 3, behaviour: slow, args: {latency: 80}}]}\n";
    warned(&[], slow, &["every call to uid 3 times out", "`80ms`"]);
    let forward = (
        "{name: train, args: {max_iter: 40}}",
        "{name: forward, args: {timeout: 100s}}",
    );
    silent(&[forward], &format!("{slow}data: {{id: d, path: builtin}}\n"));
}

#[test]
fn entries_that_later_ones_override_are_reported() {
    let miners = |entries: &str| format!("network: {{miners: [{entries}]}}\n");
    warned(
        &[],
        &miners("{uids: 2-3, fitness: 0.1}, {uids: 0-2, behaviour: echo}, {uids: 3-9, fitness: 0.5}"),
        &["behaviour of this entry has no effect", "all of 2-3"],
    );
    silent(
        &[],
        &miners("{uids: 2-3, fitness: 0.1}, {uids: 0-2, behaviour: echo}, {uids: 4-9, fitness: 0.5}"),
    );
    warned(
        &[],
        &miners("{uids: 2, latency: 1ms}, {uids: 2, latency: 2ms}"),
        &["latency of this entry has no effect"],
    );
    // A behaviour and a latency are overridden separately.
    silent(&[], &miners("{uids: 2, fitness: 0.1}, {uids: 2, latency: 2ms}"));
    warned(&[], &miners("{uids: 4}"), &["sets nothing for uid 4"]);
    let validators = |entries: &str| format!("network: {{validators: 3, validator_groups: [{entries}]}}\n");
    warned(
        &[],
        &validators("{validators: 1, behaviour: lazy}, {validators: 0-1, behaviour: random}"),
        &["`network.validator_groups` override it for all of 1"],
    );
    silent(
        &[],
        &validators("{validators: 0-1, behaviour: lazy}, {validators: 1, behaviour: random}"),
    );
}

#[test]
fn behaviours_that_never_have_their_effect_are_reported() {
    let miner = |behaviour: &str| format!("network: {{miners: [{{uids: 1, behaviour: {behaviour}}}]}}\n");
    let rewards = ("max_iter: 40", "max_iter: 40, train_network: true");
    warned(&[], &miner("climbing"), &["`climbing`", "`train_network: true`"]);
    silent(&[rewards], &miner("climbing"));
    warned(
        &[INFERENCE],
        &format!("{}{DATA}", miner("climbing")),
        &[
            "`climbing`",
            "the method `train` or `forward` with `train_network: true`",
        ],
    );
    warned(
        &[],
        &miner("two_faced, to_others: hang"),
        &["`two_faced`", "favours every caller"],
    );
    silent(&[], &miner("two_faced, callers: 16"));
    warned(
        &[],
        &miner("two_faced, callers: 2-3"),
        &["`two_faced` fails every call", "2-3"],
    );
    silent(
        &[],
        "network: {miners: [{uids: 1, behaviour: two_faced, callers: 2}, {uids: 2, behaviour: copycat, victims: 1}]}\n",
    );
    warned(
        &[],
        &miner("flapping, up: 40"),
        &["first fails in step 40", "40 steps"],
    );
    silent(&[], &miner("flapping, up: 39"));
    let stale = |after| {
        format!("network: {{validator_groups: [{{validators: 0, behaviour: stale, after: {after}}}]}}\n")
    };
    warned(
        &[],
        &stale(40),
        &["`stale` has no effect", "in step 40", "40 steps"],
    );
    silent(&[], &stale(39));
}

#[test]
fn a_mask_that_excludes_every_miner_is_reported() {
    let mask = |mask| format!("{{name: MaskedGatingModel, args: {{mask: {mask}}}}}");
    warned(
        &[("RandomGatingModel", &mask(16))],
        "",
        &["all 16 miners", "no uid is ever queried"],
    );
    silent(&[("RandomGatingModel", &mask(15))], "");
}

/// Replacements that give [`FILE`] another method, and the data that it needs.
const INFERENCE: (&str, &str) = ("{name: train, args: {max_iter: 40}}", "inference");
const FORWARD: (&str, &str) = ("{name: train, args: {max_iter: 40}}", "forward");
const DATA: &str = "data: {id: d, path: builtin, sample: {method: first, n: 99}}\n";

/// Asserts that this key of `model.neuron` has no effect with a query, because only manual calls read it.
#[track_caller]
fn warned_for_calls(query: (&str, &str), data: &str, setting: &str) {
    let neuron = format!("id: small\n  neuron: {{{setting}}}");
    let (key, _) = setting.split_once(':').expect("a key and its value");
    warned(
        &[("id: small", &neuron), query],
        data,
        &[
            &format!("`model.neuron.{key}` has no effect"),
            "only calls of other programs read it",
        ],
    );
}

#[track_caller]
fn silent_in(query: (&str, &str), data: &str, setting: &str) {
    let neuron = format!("id: small\n  neuron: {{{setting}}}");
    silent(&[("id: small", &neuron), query], data);
}

/// The method of [`FILE`] itself.
const TRAIN: (&str, &str) = ("max_iter: 40", "max_iter: 40");

#[test]
fn settings_that_only_other_methods_read_are_warned_of() {
    for setting in [
        "question_prompt: Ask.",
        "training_topk: 5",
        "training_timeout: 3s",
    ] {
        warned_for_calls(INFERENCE, DATA, setting);
        silent_in(TRAIN, "", setting);
    }
    for setting in ["inference_topk: 5", "inference_timeout: 3s"] {
        silent_in(INFERENCE, DATA, setting);
        warned_for_calls(TRAIN, "", setting);
        warned_for_calls(FORWARD, DATA, setting);
    }
    warned_for_calls(FORWARD, DATA, "question_prompt: Ask.");
    for (setting, argument) in [
        ("training_topk: 5", "topk: 4"),
        ("training_timeout: 3s", "timeout: 2s"),
    ] {
        silent_in(FORWARD, DATA, setting);
        let method = format!("{{name: forward, args: {{{argument}}}}}");
        warned_for_calls((FORWARD.0, &method), DATA, setting);
    }
    let own = "{name: inference, args: {timeout: 2s}}";
    warned_for_calls((INFERENCE.0, own), DATA, "inference_timeout: 3s");
    // This gating model reads `training_topk` itself.
    let longest = ("RandomGatingModel", "LongestMessageGatingModel");
    let topk = ("id: small", "id: small\n  neuron: {training_topk: 5}");
    silent(&[topk, longest, INFERENCE], DATA);
}

#[test]
fn averages_that_an_inference_does_not_update_are_warned_of() {
    let alpha = ("id: small", "id: small\n  alpha: 0.5");
    warned(
        &[alpha, INFERENCE],
        DATA,
        &["`model.alpha` has no effect", "only calls of other programs"],
    );
    silent(&[alpha, FORWARD], DATA);
    warned_for_calls(INFERENCE, DATA, "max_history: 50");
    silent_in(TRAIN, "", "max_history: 50");
}

#[test]
fn training_settings_of_a_query_that_does_not_train_are_warned_of() {
    let sequential = (
        "RandomGatingModel",
        "{name: SequentialGatingModel, args: {tokenizer_name: builtin, hidden_size: 4, embedding_dim: 4}}",
    );
    let rate = ("id: small", "id: small\n  neuron: {learning_rate: 1}");
    warned(
        &[rate, sequential, INFERENCE],
        DATA,
        &["`model.neuron.learning_rate`", "`inference` does not train"],
    );
    silent(&[rate, sequential, FORWARD], DATA);
    let untrained = (FORWARD.0, "{name: forward, args: {train_gating_model: false}}");
    warned(
        &[rate, sequential, untrained],
        DATA,
        &["`train_gating_model` is false"],
    );
    for (setting, words) in [
        ("checkpoint_every", ["has no effect: it is 41", "40 steps"]),
        (
            "watch_every",
            ["is 41, but the query has 40 steps", "only in step 0"],
        ),
    ] {
        let neuron = |every: u32| format!("id: small\n  neuron: {{{setting}: {every}}}");
        warned(&[("id: small", &neuron(41)), sequential], "", &words);
        silent(&[("id: small", &neuron(40)), sequential], "");
    }
}

#[test]
fn arguments_of_a_reward_model_that_is_not_called_are_warned_of() {
    let arguments = (
        "RandomRewardModel",
        "{name: ConstantRewardModel, args: {forward_value: 2}}",
    );
    let without = ("id: small", "id: small\n  neuron: {no_reward_model: true}");
    warned(
        &[arguments, without],
        "",
        &[
            "`model.reward_model.args` has no effect",
            "`model.neuron.no_reward_model` is true",
        ],
    );
    silent(&[without], "");
    warned(
        &[arguments, INFERENCE],
        DATA,
        &[
            "`model.reward_model.args` has no effect",
            "`use_reward_model`",
            "only calls of other programs",
        ],
    );
    let with = (INFERENCE.0, "{name: inference, args: {use_reward_model: true}}");
    silent(&[arguments, with], DATA);
    silent(&[INFERENCE], DATA);
}

#[test]
fn settings_of_libtorch_are_warned_of_if_no_model_uses_it() {
    let threads = ("id: small", "id: small\n  neuron: {torch_threads: 2}");
    warned(
        &[threads],
        "",
        &["`model.neuron.torch_threads` has no effect", "libtorch"],
    );
    silent(&[threads, ("RandomRewardModel", "BuiltinRewardModel")], "");
    warned(&[], "device: cuda\n", &["`device` has no effect"]);
    silent(&[("RandomRewardModel", "BuiltinRewardModel")], "device: cuda\n");
}

#[test]
fn a_rate_limit_of_announcements_is_warned_of_if_no_miner_restarts() {
    let limit = by_rules("small", "serving_rate_limit: 5");
    warned(
        &[],
        &limit,
        &[
            "`network.hyperparameters.serving_rate_limit` has no effect",
            "once",
        ],
    );
    silent(
        &[],
        &format!("{limit}faults: [{{at: step 3, kill: uid 0, restart_after: 5 steps}}]\n"),
    );
}

#[test]
fn columns_of_the_builtin_data_are_warned_of() {
    warned(
        &[FORWARD],
        "data: {id: d, path: builtin, question: q}\n",
        &["`data.question` has no effect", "built-in data"],
    );
    warned(
        &[FORWARD],
        "data: {id: d, path: builtin, answer: a}\n",
        &["`data.answer`"],
    );
    silent(
        &[FORWARD],
        "data: {id: d, path: rows.jsonl, question: q, answer: a}\n",
    );
}

#[test]
fn entries_of_miners_that_no_validator_calls_are_warned_of_once() {
    let network = |second: &str| {
        format!(
            "network: {{validators: 2, miners: [{{uids: 1, behaviour: echo}}, {{uids: 2, latency: 1ms}}], \
             validator_groups: [{{validators: 0, behaviour: lazy}}, {{validators: 1, behaviour: {second}}}]}}\n"
        )
    };
    warned(
        &[],
        &network("copier"),
        &["`network.miners` has no effect", "no validator calls a miner"],
    );
    silent(&[], &network("random"));
}

#[test]
fn a_second_kill_of_a_dead_miner_is_warned_of() {
    let faults = |restart: &str| {
        format!("faults: [{{at: step 3, kill: uid 0-1{restart}}}, {{at: step 10, kill: uid 0}}]\n")
    };
    warned(
        &[],
        &faults(""),
        &["killing uid 0 before step 10 has no effect", "earlier fault"],
    );
    silent(&[], &faults(", restart_after: 5 steps"));
    silent(
        &[],
        "faults: [{at: step 3, kill: uid 0}, {at: step 10, kill: uid 0-1}]\n",
    );
}

#[test]
fn a_file_for_a_chain_alone_may_set_rules_of_registration() {
    let model_alone = FILE.split("query:").next().expect("the model precedes the query");
    let text = format!(
        "{model_alone}{}",
        by_rules("small", "immunity_period: 5, burn: 5")
    );
    let loaded = parse(&text, "file.yml").expect("the file is valid");
    assert!(loaded.warnings.problems.is_empty(), "{}", loaded.warnings.plain());
}

#[test]
fn settings_of_a_run_in_a_file_with_only_an_analysis_are_warned_of() {
    let analysis = "analysis: {requires: [runs/earlier]}\n";
    let reported = |added: &str| {
        let loaded = parse(&format!("{added}{analysis}"), "file.yml").expect("the file is valid");
        loaded.warnings.plain()
    };
    for (key, value) in [("seed", "5"), ("device", "cuda"), ("network", "{validators: 2}")] {
        let reported = reported(&format!("{key}: {value}\n"));
        assert!(reported.contains(&format!("`{key}` has no effect")), "{reported}");
    }
    assert_eq!(reported(""), "");
}

/// The warning of an interval points at the key that sets it, and its help names the key.
#[test]
fn the_interval_of_weights_is_reported_where_it_is_set() {
    let step = ("max_iter: 40", "max_iter: 1");
    warned(
        &[step],
        "",
        &[
            "the query has 1 step of one block",
            "`model.subtensor.args.epoch_length` to 1",
        ],
    );
    let place = |text: &str| {
        let loaded = parse(text, "file.yml").expect("the file is valid");
        let problems = loaded.warnings.problems;
        problems[0].place.expect("a place").line
    };
    // Line 6 of the file sets `epoch_length`.
    assert_eq!(place(&FILE.replace("max_iter: 40", "max_iter: 9")), 6);
    warned(
        &[PLAIN_CHAIN, ("max_iter: 40", "max_iter: 9")],
        &by_rules("today", ""),
        &[
            "every 10 blocks",
            "`network.hyperparameters.validator_epoch_length` to 9",
        ],
    );
}

#[test]
fn keys_of_telemetry_that_is_off_are_warned_of() {
    for (key, value) in [
        ("trace_share", "0.5"),
        ("metrics_interval", "1s"),
        ("prometheus", "'127.0.0.1:9464'"),
        ("otlp_endpoint", "'http://127.0.0.1:4318'"),
    ] {
        silent(&[], &format!("telemetry: {{{key}: {value}}}\n"));
        let added = format!("telemetry: {{traces: off, {key}: {value}}}\n");
        let words = [
            &*format!("`telemetry.{key}` has no effect"),
            "`telemetry.traces` is `off`",
        ];
        warned(&[], &added, &words);
    }
}
