//! Tests of the rules about faults: which entries are refused, and which are read.

use mirror_config::{Severity, parse};
use mirror_spec::{Fault, Moment, NodeSet, Span};

/// A network of four miners and two validators, with a query of 100 steps.
fn file(network: &str, faults: &str) -> String {
    format!(
        "model:\n  id: m\n  dendrite_pool: {{name: DummyDendritePool, args: {{data_path: builtin}}}}\n  \
         gating_model: RandomGatingModel\n  reward_model: RandomRewardModel\n  \
         metagraph: {{name: DummyMetagraph, args: {{num_nodes: 4}}}}\n\
         query: {{id: q, method: {{name: train, args: {{max_iter: 100}}}}}}\n\
         network: {{validators: 2{network}}}\nfaults:\n  - {faults}\n"
    )
}

#[track_caller]
fn read(fault: &str) -> Fault {
    let loaded =
        parse(&file("", fault), "faults.yml").unwrap_or_else(|problems| panic!("{}", problems.plain()));
    loaded.experiment.faults.into_iter().next().expect("one fault")
}

/// Checks that the file has exactly one problem of this severity, with these words in its message.
#[track_caller]
fn problem(severity: Severity, text: &str, words: &str) {
    let problems = match parse(text, "faults.yml") {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    };
    let found: Vec<_> = problems
        .problems
        .iter()
        .filter(|problem| problem.severity == severity)
        .collect();
    let [problem] = found[..] else {
        panic!("{text}\n{}", problems.plain())
    };
    assert!(problem.message.contains(words), "{text}\n{}", problems.plain());
    assert!(problem.place.is_some(), "{}", problems.plain());
    assert!(problem.help.is_some(), "{}", problems.plain());
}

#[test]
fn the_entries_of_the_design_are_read() {
    let Fault::Link(link) = read(
        "{ at: step 50, for: 20 steps, link: { from: validator-0, to: \"uid 3\" }, latency: { p50: 400ms }, drop: 0.05 }",
    ) else {
        panic!("it is a fault of a link")
    };
    assert_eq!(link.link.from, Some(vec!["validator-0".parse().unwrap()]));
    assert_eq!(link.effects.drop, 0.05);
    assert_eq!(
        (link.when.at, link.when.r#for),
        (Some(Moment::Step(50)), Some(Span::Steps(20)))
    );
    let Fault::Kill(kill) = read("{ at: step 80, kill: \"uid 3\", restart_after: 5s }") else {
        panic!("it is a kill")
    };
    assert_eq!(kill.restart_after, Some(Span::Time(5.0)));
    let Fault::Partition(partition) = read(
        "{ at: step 90, for: 10 steps, partition: [[validator-0, \"uid 0-1\"], [validator-1, \"uid 2-3\"]] }",
    ) else {
        panic!("it is a partition")
    };
    assert_eq!(partition.partition[1][1], NodeSet::Uids("2-3".parse().unwrap()));
    let Fault::Inject(inject) =
        read("{ at: step 5, for: 5 steps, inject: \"uid 2-3\", behaviour: copycat, args: {victims: 0} }")
    else {
        panic!("it injects a behaviour")
    };
    assert_eq!(inject.behaviour.name(), "copycat");
    let Fault::InjectValidators(inject) = read("{ inject: validator-1, behaviour: copier }") else {
        panic!("it injects a behaviour of a validator")
    };
    assert_eq!(inject.behaviour.name(), "copier");
}

#[test]
fn faults_that_stop_the_barrier_must_end_by_the_clock() {
    for fault in [
        "{pause: validator-0, for: 5 steps}",
        "{pause: validators}",
        "{pause: uid 4, for: 5 steps}",
        "{pause: label validator, for: 5 steps}",
        "{pause: chain, for: 5 blocks}",
        "{crash_loop: validator-0, for: 5 steps}",
        "{kill: validator-1, restart_after: 3 steps}",
        "{kill: chain}",
        "{partition: [[validator-1], [validator-0, chain]], for: 3 steps}",
        "{link: {from: validator-0, to: chain}, drop: 1, for: 3 steps}",
        "{link: {to: chain}, error: unavailable}",
        "{wire: {to: chain}, stall: true, for: 3 steps}",
    ] {
        problem(Severity::Error, &file("", fault), "stops the block barrier");
        // Blocks that close by the clock wait for no validator.
        let by_clock = fault.replace(" steps", " blocks");
        let read = parse(&file(", block_time: 1s", &by_clock), "faults.yml");
        assert!(
            read.is_ok(),
            "{fault}: {}",
            read.err().map(|problems| problems.plain()).unwrap_or_default()
        );
    }
    for fault in [
        "{pause: validator-0, for: 5s}",
        "{pause: chain, for: 100ms}",
        "{kill: validator-1}",
        "{kill: validator-1, restart_after: 5s}",
        "{pause: uid 3, for: 5 steps}",
        "{pause: miners, for: 5 steps}",
        "{link: {to: chain}, drop: 0.5}",
        "{link: {to: chain}, latency: 5ms}",
        "{partition: [[uid 0], [validator-0, chain]], for: 3 steps}",
    ] {
        read(fault);
    }
}

#[test]
fn entries_that_cannot_be_meant_are_refused() {
    for (fault, words) in [
        ("{kill: uid 6}", "names uid 6, which no neuron has"),
        ("{kill: validator-2}", "names validator-2, which does not exist"),
        (
            "{kill: label copycat}",
            "names the label `copycat`, which no node has",
        ),
        ("{kill: node 3}", "`node 3` names no nodes"),
        ("{at: step 3, for: 2 steps}", "`faults[0]` is not a fault"),
        ("{leave: validator-0}", "only miners can leave"),
        ("{at: -5s, kill: uid 1}", "is before the queries begin"),
        ("{at: soon, kill: uid 1}", "is not a point in time"),
        ("{at: 50, kill: uid 1}", "has no unit"),
        ("{for: 0 steps, pause: uid 1}", "is too short"),
        ("{for: -1s, pause: uid 1}", "is not longer than 0"),
        (
            "{at: step 5, until: step 3, pause: uid 1}",
            "ends at step 3, but it begins at step 5",
        ),
        (
            "{at: step 5, until: 3s, pause: uid 1}",
            "`until` is 3s, but the fault begins at step 5",
        ),
        (
            "{at: 5s, for: 3 steps, pause: uid 1}",
            "begins at 5s and lasts 3 steps",
        ),
        (
            "{at: step 5, for: 3 steps, until: step 9, pause: uid 1}",
            "ends twice",
        ),
        (
            "{at: step 5, every: 5s, for: 1 step, pause: uid 1}",
            "occurs every 5s",
        ),
        (
            "{at: step 5, every: 5 steps, for: 6 steps, pause: uid 1}",
            "longer than `every`",
        ),
        ("{kill: uid 1, restart_after: 5s, for: 3 steps}", "is given twice"),
        ("{link: {to: uid 1}, drop: 1.5}", "cannot be the number 1.5"),
        (
            "{link: {to: uid 1}, latency: {p50: 90ms, p99: 80ms}}",
            "less than `p50`",
        ),
        ("{link: {to: uid 1}, latency: -3s}", "cannot be"),
        (
            "{link: {to: chain}, error: {code: not_found, rate: 0.5}}",
            "do not repeat a request to the chain",
        ),
        ("{wire: {to: uid 1}, bandwidth: 0}", "no byte ever passes"),
        ("{probability: 2, kill: uid 1}", "cannot be the number 2"),
        ("{kill: uid 1, pause: uid 2}", "cannot be combined"),
        ("{id: a b, kill: uid 1}", "`id` has 1 to 64 letters"),
        (
            "{id: a, kill: uid 1}\n  - {id: a, kill: uid 2}",
            "two faults have the id `a`",
        ),
    ] {
        problem(Severity::Error, &file("", fault), words);
    }
}

#[test]
fn faults_without_effect_are_warned_of() {
    for (fault, words) in [
        ("{link: {to: uid 1}}", "names links and no effect"),
        ("{wire: {to: uid 1}}", "names connections and no effect"),
        ("{limit: uid 1}", "names nodes and no limit"),
        ("{partition: [[uid 1]]}", "fewer than two sets"),
        (
            "{at: step 100, pause: uid 1, for: 1 step}",
            "never occurs: it begins at step 100",
        ),
        (
            "{probability: 0, pause: uid 1, for: 1 step}",
            "never occurs, because its probability is 0",
        ),
        (
            "{link: {from: validator-0, to: [uid 1, chain]}, drop: 0.1}",
            "each lost one delays the step",
        ),
        ("{leave: uid 1, for: 3 steps}", "miners join and leave once"),
        (
            "{at: step 10, every: 5 steps, join: {count: 2}}",
            "miners join and leave once",
        ),
    ] {
        problem(Severity::Warning, &file("", fault), words);
    }
}

#[test]
fn ten_thousand_faults_are_read_and_more_are_refused() {
    let faults = |count: usize| {
        let each = "{at: step 1, for: 1 step, link: {to: uid 1}, drop: 0.1}";
        vec![each; count].join("\n  - ")
    };
    assert!(parse(&file("", &faults(10_000)), "faults.yml").is_ok());
    problem(
        Severity::Error,
        &file("", &faults(10_001)),
        "`faults` has 10001 entries",
    );
}

/// An entry that a person adds to a running network is checked with the same rules.
#[test]
fn a_manual_fault_is_read_for_the_network_of_a_file() {
    let loaded = parse(&file("", "{kill: uid 1}"), "faults.yml").expect("the file is valid");
    for text in [
        "{pause: uid 2, for: 3 steps}",
        "pause: uid 2\nfor: 3 steps\n",
        "- {pause: uid 2, for: 3 steps}",
    ] {
        let (fault, warnings) = loaded
            .fault(text)
            .unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        assert_eq!((fault.kind(), warnings.len()), ("pause", 0), "{text}");
    }
    for (text, words) in [
        ("{pause: uid 9}", "which no neuron has"),
        ("{pause: validator-0}", "stops the block barrier"),
        ("{paus: uid 1}", "unknown key"),
        ("", "cannot be `null`"),
        ("- {kill: uid 1}\n- {kill: uid 2}", "exactly one fault"),
        ("{kill: [", "flow"),
    ] {
        let problems = loaded.fault(text).expect_err(text);
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        let known = messages.iter().any(|message| message.contains(words));
        assert!(known || words == "flow", "{text}: {messages:?}");
    }
    let (_, warnings) = loaded.fault("{at: step 900, kill: uid 2}").expect("it is valid");
    assert!(warnings[0].message.contains("never occurs"), "{warnings:?}");
}

#[test]
fn miners_cannot_join_when_registration_is_closed() {
    let join = "{join: {count: 2}, at: step 5}";
    assert!(matches!(read(join), Fault::Join(_)));
    for closed in [
        ", registration: closed",
        ", hyperparameters: {network_registration_allowed: false}",
        ", registration: closed, hyperparameters: {network_registration_allowed: true}",
    ] {
        problem(Severity::Error, &file(closed, join), "registration is closed");
        let room = file(&format!("{closed}, room_for: 3"), "{kill: uid 1, at: step 5}");
        problem(Severity::Error, &room, "registration is closed");
    }
}
