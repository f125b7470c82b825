//! Tests of the labels of miners and validators, and of their control groups.

use mirror_config::parse;

fn file(network: &str) -> String {
    format!(
        "\
model:
  id: small
  dendrite_pool: {{name: DummyDendritePool, args: {{data_path: builtin, fail_rate: 0.1}}}}
  gating_model: RandomGatingModel
  reward_model: RandomRewardModel
  subtensor: {{name: DummySubtensor, args: {{epoch_length: 10}}}}
  metagraph: {{name: DummyMetagraph, args: {{netuid: 1, num_nodes: 16}}}}
query:
  id: my_query
  method: {{name: train, args: {{max_iter: 40}}}}
network:
  validators: 4
{network}"
    )
}

/// Asserts that the file is valid and has no warnings.
#[track_caller]
fn valid(network: &str) {
    let loaded = parse(&file(network), "file.yml").unwrap_or_else(|error| panic!("{}", error.plain()));
    assert!(loaded.warnings.problems.is_empty(), "{}", loaded.warnings.plain());
}

/// Asserts that the file has an error that contains all of these words.
#[track_caller]
fn invalid(network: &str, words: &[&str]) {
    let error = parse(&file(network), "file.yml").expect_err("the file has an error");
    let error = error.plain();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

#[test]
fn groups_have_labels_and_controls() {
    valid(
        "  miners:
    - {uids: 0-7, label: good, behaviour: honest, fitness: 0.8}
    - {uids: 8-15, label: poor, control: good, behaviour: honest, fitness: 0.2}
  validator_groups:
    - {validators: 0-1, label: steady}
    - {validators: 3, behaviour: copier, control: steady}
",
    );
    // The name of a behaviour is the label of a group without one.
    valid(
        "  miners:
    - {uids: 0-3, behaviour: echo}
    - {uids: 4-5, behaviour: constant, control: echo}
    - {uids: 6-7, label: other, control: honest}
",
    );
}

#[test]
fn a_control_is_a_label_that_a_neuron_of_the_kind_has() {
    let stacked = "{uids: 0-3, behaviour: {name: slow, args: {latency: 10ms}}, \
                   over: {name: copycat, args: {victims: 9}}}";
    // Stacked behaviours, and the accomplices of a cabal.
    valid(&format!(
        "  miners: [{stacked}, {{uids: 4-5, label: b, control: slow over copycat}}]\n"
    ));
    valid(
        "  miners: [{uids: 4-5, label: b, control: cabal}]
  validator_groups: [{validators: 3, behaviour: {name: cabal, args: {members: 0-3}}}]
",
    );
    // Honest neurons with and without an entry.
    valid(
        "  miners: [{uids: 0-7, label: a}, {uids: 8-15, behaviour: honest}, {uids: 2, label: b, control: honest}]\n",
    );
    valid(
        "  validator_groups: [{validators: 0-2, label: a, control: validator}, {validators: 3, behaviour: honest}]\n",
    );
    for (network, control) in [
        (
            format!("  miners: [{stacked}, {{uids: 4-5, label: b, control: slow}}]\n"),
            "slow",
        ),
        (
            "  miners: [{uids: 4-5, label: b, control: echo}]\n".to_owned(),
            "echo",
        ),
        (
            "  miners: [{uids: 4-5, label: b, control: cabal}]\n".to_owned(),
            "cabal",
        ),
        (
            "  miners: [{uids: 0-7, label: a, control: honest}, {uids: 8-15, label: b}]\n".to_owned(),
            "honest",
        ),
        (
            "  validator_groups: [{validators: 0, label: a, control: honest}]\n".to_owned(),
            "honest",
        ),
        (
            "  validator_groups: [{validators: 0-3, label: a, control: validator}]\n".to_owned(),
            "validator",
        ),
    ] {
        let kind = if network.contains("validator_groups") {
            "validators"
        } else {
            "miners"
        };
        invalid(
            &network,
            &[&format!("no group of {kind} has the label `{control}`")],
        );
    }
    // The label of an honest validator is `validator`.
    invalid(
        "  validator_groups: [{validators: 0, behaviour: honest, control: validator}]\n",
        &["`validator` cannot be its own control"],
    );
}

#[test]
fn a_control_is_the_label_of_another_group_of_the_same_kind() {
    invalid(
        "  miners: [{uids: 0-7, label: good}, {uids: 8-9, label: poor, control: god}]\n",
        &["no group of miners has the label `god`", "did you mean `good`?"],
    );
    invalid(
        "  miners: [{uids: 0-7, label: good}]\n  validator_groups: [{validators: 3, behaviour: copier, control: good}]\n",
        &["no group of validators has the label `good`"],
    );
    invalid(
        "  miners: [{uids: 0-7, label: good, control: good}]\n",
        &["`good` cannot be its own control"],
    );
    invalid(
        "  miners: [{uids: 0-3, label: a}, {uids: 4-5, label: b, control: a}, {uids: 6-7, label: b, control: honest}]\n",
        &["`b` has two controls: `a` and `honest`"],
    );
}

#[test]
fn a_label_fits_in_a_legend() {
    invalid(
        &format!("  miners: [{{uids: 0-7, label: {}}}]\n", "x".repeat(41)),
        &["a label has at most 40 characters"],
    );
    invalid(
        "  miners: [{uids: 0-7, label: \"two\\nlines\"}]\n",
        &["a label has at most 40 characters, none of them a line break"],
    );
    invalid(
        "  validator_groups: [{validators: 0, label: \"a `b`\"}]\n",
        &["a label has at most 40 characters", "backtick"],
    );
}
