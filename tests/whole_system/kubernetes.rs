//! Experiments in a cluster. The cluster is a fake (`mirror_tests::fake_cluster`); its containers are real processes.

use std::collections::BTreeSet;
use std::fs;

use mirror_kubernetes::manifests::rbac;
use mirror_runs::Run;
use mirror_runs::tables::{IncidentRow, ResponseRow};
use mirror_tests::fake_cluster::{Failure, FakeCluster, NAMESPACE};
use mirror_tests::{Output, RunningCommand, TestEnv, eventually, logging_below, rows};
use serde_json::{Value, json};

use crate::experiment::TRAINING;

/// No names and no problems.
const NONE: [&str; 0] = [];

/// A miner is killed and started again while the validators train.
const KILL: &str = "faults: [{at: step 20, kill: uid 5, restart_after: 15 steps}]\n";

/// Starts a cluster whose images contain the programs of the tests, and gives its kubeconfig to all commands.
fn cluster(env: &mut TestEnv) -> FakeCluster {
    let engine = mirror_tests::duckdb().map(ToOwned::to_owned).unwrap_or_default();
    let variables = vec![("MIRROR_DUCKDB".to_owned(), engine)];
    let cluster = FakeCluster::start(&env.path().join("cluster"), env.programs(), variables);
    env.set("KUBECONFIG", cluster.kubeconfig());
    cluster
}

/// Runs `mirror` while the processes of a cluster run.
fn ended(env: &TestEnv, words: &[&str]) -> Output {
    env.start(words).ends()
}

/// Returns the name of a pod of this kind.
fn pod_of(cluster: &FakeCluster, kind: &str) -> String {
    let pods = cluster.objects("pods").into_iter();
    let mut of_kind = pods.filter(|pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] == kind);
    let pod = of_kind.next().expect("there is a pod of the kind");
    pod["metadata"]["name"]
        .as_str()
        .expect("it has a name")
        .to_owned()
}

/// Returns the run that a command has collected: the folder is its last line.
fn collected(env: &TestEnv, command: RunningCommand) -> Run {
    let ended = command.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let folder = ended.err.lines().last().expect("a line").trim().to_owned();
    Run::open(env.path().join(folder)).expect("a run that has ended opens")
}

/// Checks that the roles of a person and of a coordinator allow each request that was made.
#[track_caller]
fn each_request_was_allowed(cluster: &FakeCluster, of_coordinator: &Value) {
    let made = |by: &str| -> BTreeSet<(String, String)> {
        let requests = cluster.requests().into_iter();
        let of_user = requests.filter(|(user, _, _)| user == by);
        of_user.map(|(_, verb, resource)| (verb, resource)).collect()
    };
    let person = allowed(&[rbac::role_of_person()]);
    let coordinator = allowed(std::slice::from_ref(of_coordinator));
    for (by, allowed) in [("person", &person), ("coordinator", &coordinator)] {
        let made = made(by);
        assert!(made.len() > 5, "{by}: {made:?}");
        let refused: Vec<_> = made.difference(allowed).collect();
        assert!(refused.is_empty(), "{by}: {refused:?}");
    }
    // A role with permissions that its author does not have is refused.
    assert!(coordinator.is_subset(&person));
    assert!(coordinator.is_subset(&allowed(&[rbac::role_of_coordinators()])));
}

/// Returns the verbs and resources that roles allow.
fn allowed(roles: &[Value]) -> BTreeSet<(String, String)> {
    let mut allowed = BTreeSet::new();
    for rule in roles
        .iter()
        .flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default())
    {
        let words =
            |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).unwrap_or_default() };
        for resource in words("resources") {
            allowed.extend(words("verbs").into_iter().map(|verb| (verb, resource.clone())));
        }
    }
    allowed
}

#[test]
fn a_run_in_pods_has_the_events_of_a_run_on_one_machine() {
    let mut env = TestEnv::new();
    let cluster = cluster(&mut env);
    let file = env.file("training.yml", format!("{TRAINING}{KILL}"));
    let local = env.done(file, &[]);
    let running = env.start(&["kubernetes", "run", file, "--offline"]);
    let coordinator_role = eventually("the coordinator has a role", || cluster.objects("roles").pop());
    let remote = collected(&env, running);
    let same = env.diff(&local, &remote);
    assert_eq!(same.status, Some(0), "{same:?}");
    assert!(same.out.contains("the same events"), "{same:?}");
    let down = |row: &&ResponseRow| row.uid == 5 && row.outcome == "unreachable";
    assert!(
        rows::<ResponseRow>(&remote).iter().filter(down).count() > 0,
        "uid 5 was not killed"
    );
    // One delete has removed all objects, and with them the processes.
    assert_eq!(cluster.names(), NONE);
    eventually("the processes end", || {
        logging_below(env.path()).is_empty().then_some(())
    });

    each_request_was_allowed(&cluster, &coordinator_role);
}

#[test]
fn a_miner_whose_pod_is_deleted_is_started_again_in_another_one() {
    let mut env = TestEnv::new();
    let cluster = cluster(&mut env);
    let file = env.file("training.yml", TRAINING);
    let settings = [
        "--set=network.restart={miners: restart}",
        "--set=query.method.args.max_iter=1000000",
    ];
    let words = [&["kubernetes", "run", file, "--offline"], &settings[..]].concat();
    let mut running = env.start(&words);
    running.until_printed("10 of 10 pods with nodes are ready");
    let coordinator = pod_of(&cluster, "coordinator");
    let runs = cluster.volume(&coordinator, "/runs");
    let run = fs::read_dir(runs)
        .expect("a folder")
        .next()
        .expect("a run")
        .expect("an entry");
    let log = run.path().join("logs/miner-0.log");
    let starts = || {
        fs::read_to_string(&log)
            .ok()
            .map(|log| log.matches("listening").count())
    };
    eventually("the first miner runs", || starts().filter(|starts| *starts == 1));
    cluster.delete_pod(&pod_of(&cluster, "miner"));
    eventually("it runs again", || starts().filter(|starts| *starts == 2));

    cluster.terminate(&coordinator);
    let ended = running.ends();
    assert_eq!(ended.status, Some(1), "the run was interrupted: {ended:?}");
    let folder = ended.err.lines().last().expect("a line").trim().to_owned();
    let run = Run::open(env.path().join(folder)).expect("a run that has ended opens");
    let incidents = rows::<IncidentRow>(&run);
    // Whether its agent is lost or its health checks fail is noticed after the same time.
    let nodes: BTreeSet<&str> = incidents.iter().map(|incident| &*incident.node).collect();
    assert_eq!(nodes, BTreeSet::from(["miner-0"]), "{incidents:?}");
}

#[test]
fn a_run_survives_the_death_of_its_command_and_an_api_server_that_is_gone() {
    let mut env = TestEnv::new();
    let cluster = cluster(&mut env);
    let file = env.file("training.yml", TRAINING);
    let longer = "--set=query.method.args.max_iter=3000";
    let words = [
        "kubernetes",
        "run",
        file,
        "--offline",
        "--name",
        "survivor",
        longer,
    ];
    let mut running = env.start(&words);
    running.until_printed("pods with nodes are ready");
    // Dropping it kills it.
    drop(running);
    cluster.set_reachable(false);
    let mut unreachable = env.start(&["kubernetes", "status"]);
    unreachable.until_printed("cannot be reached");
    cluster.set_reachable(true);
    let listed = unreachable.ends();
    assert!(
        listed.status == Some(0) && listed.out.contains("survivor"),
        "{listed:?}"
    );

    let pods = ended(&env, &["kubernetes", "status", "survivor", "--json"]);
    let pods: Vec<Value> =
        serde_json::from_str(&pods.out).unwrap_or_else(|error| panic!("{error}: {pods:?}"));
    assert_eq!(
        pods.len(),
        1 + 1 + 1 + 8,
        "coordinator, chain, validator and miners: {pods:?}"
    );
    // It can be collected once it has ended.
    let collected = eventually("the run is collected", || {
        let output = ended(&env, &["kubernetes", "collect", "survivor"]);
        let is_early = output.err.contains("has not ended");
        (!is_early).then_some(output)
    });
    assert_eq!(collected.status, Some(0), "{collected:?}");
    let role = cluster
        .objects("roles")
        .pop()
        .expect("the coordinator has a role");
    each_request_was_allowed(&cluster, &role);
    let deleted = ended(&env, &["kubernetes", "delete", "survivor"]);
    assert_eq!(deleted.status, Some(0), "{deleted:?}");
    assert_eq!(cluster.names(), NONE);
    let again = ended(&env, &["kubernetes", "delete", "survivor"]);
    assert!(
        again.status == Some(1) && again.err.contains("no run `survivor`"),
        "{again:?}"
    );
}

#[test]
fn two_runs_of_a_file_at_once_do_not_meet() {
    let mut env = TestEnv::new();
    let _cluster = cluster(&mut env);
    let file = env.file("training.yml", TRAINING);
    let words = ["kubernetes", "run", file, "--offline"];
    let runs = [env.start(&words), env.start(&words)].map(|running| collected(&env, running));
    let same = env.diff(&runs[0], &runs[1]);
    assert_eq!(same.status, Some(0), "{same:?}");
    assert_ne!(runs[0].layout().root(), runs[1].layout().root());
}

/// Runs an experiment that cannot run in the cluster. Returns the output.
#[track_caller]
fn refused(env: &TestEnv, more: &[&str], status: i32, reasons: &[&str]) {
    let file = env.file("training.yml", TRAINING);
    let words = [&["kubernetes", "run", file, "--offline"], more].concat();
    let ended = env.start(&words).ends();
    assert_eq!(ended.status, Some(status), "{ended:?}");
    for reason in reasons {
        assert!(ended.err.contains(reason), "{reason}: {ended:?}");
    }
}

#[test]
fn a_quota_that_is_too_small_is_named_before_anything_is_created() {
    let mut env = TestEnv::new();
    let cluster = cluster(&mut env);
    cluster.create(json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": { "name": "small" },
        "status": { "hard": { "pods": "10" }, "used": { "pods": "4" } },
    }));
    let reasons = [
        "needs 11 pods",
        "quota `small`",
        "room for 6",
        "axons_per_process",
    ];
    refused(&env, &[], 1, &reasons);
    assert_eq!(cluster.names(), ["resourcequotas/small"]);
}

#[test]
fn a_namespace_that_does_not_exist_is_named() {
    let mut env = TestEnv::new();
    let _cluster = cluster(&mut env);
    refused(
        &env,
        &["--namespace", "nowhere"],
        1,
        &["namespace `nowhere` does not exist"],
    );
}

#[test]
fn missing_permissions_are_named_with_verb_and_resource() {
    let mut env = TestEnv::new();
    let cluster = cluster(&mut env);
    cluster.fail(Failure::Forbidden("patch", "jobs"));
    let reasons = ["cannot patch resource \"jobs\"", "render --rbac", NAMESPACE];
    refused(&env, &[], 1, &reasons);
}

#[test]
fn a_coordinator_without_permissions_ends_with_the_reason() {
    let mut env = TestEnv::new();
    let cluster = cluster(&mut env);
    cluster.fail(Failure::Forbidden("patch", "statefulsets"));
    refused(
        &env,
        &[],
        1,
        &["cannot patch resource \"statefulsets\"", "failed (Error)"],
    );
    assert_eq!(cluster.names(), NONE);
}

#[test]
fn an_image_that_cannot_be_pulled_ends_the_run_with_the_reason() {
    let mut env = TestEnv::new();
    let cluster = cluster(&mut env);
    cluster.fail(Failure::NoImage("/validator:"));
    refused(
        &env,
        &[],
        1,
        &["validator-0 cannot start: ImagePullBackOff", "/validator:"],
    );
    cluster.fail(Failure::NoImage("/coordinator:"));
    refused(
        &env,
        &[],
        1,
        &["of the coordinator cannot start: ImagePullBackOff"],
    );
    assert_eq!(cluster.names(), NONE);
}

#[test]
fn a_pod_that_fits_on_no_machine_is_shown_with_the_reason() {
    let mut env = TestEnv::new();
    let cluster = cluster(&mut env);
    cluster.fail(Failure::Unschedulable("coordinator"));
    env.file("settings.yml", "startSeconds: 3\n");
    let reasons = ["has not started within", "Unschedulable", "Insufficient memory"];
    refused(&env, &["--settings", "settings.yml"], 1, &reasons);
}

#[test]
fn a_coordinator_without_memory_left_is_named() {
    let mut env = TestEnv::new();
    let cluster = cluster(&mut env);
    let file = env.file("training.yml", TRAINING);
    let longer = "--set=query.method.args.max_iter=1000000";
    let mut running = env.start(&["kubernetes", "run", file, "--offline", longer]);
    running.until_printed("pods with nodes are ready");
    cluster.kill_for_memory(&pod_of(&cluster, "coordinator"));
    let ended = running.ends();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.err.contains("OOMKilled"), "{ended:?}");
    assert_eq!(cluster.names(), NONE);
}

#[test]
fn names_and_files_that_a_cluster_cannot_take_are_refused() {
    let mut env = TestEnv::new();
    let _cluster = cluster(&mut env);
    env.file("wrong.yml", "image: {tags: x}\n");
    refused(
        &env,
        &["--name", "No_Label"],
        2,
        &["`No_Label` is no name of a run"],
    );
    refused(&env, &["--settings", "wrong.yml"], 2, &["wrong.yml", "tags"]);
    refused(&env, &["--context", "nowhere"], 2, &["nowhere", "KUBECONFIG"]);
    env.file("large.jsonl", "x".repeat(2 << 20));
    let path = |name: &str| format!("--set=model.dendrite_pool.args.data_path={name}");
    refused(&env, &[&path("large.jsonl")], 2, &["large.jsonl"]);
    let limit = "--set=faults=[{limit: uid 1, memory: 64MiB}]";
    refused(&env, &[limit], 2, &["faults/0", "no cluster allows"]);
    env.file("none.yml", "holdMinutes: 0\n");
    refused(&env, &["--settings", "none.yml"], 2, &["holdMinutes"]);
}
