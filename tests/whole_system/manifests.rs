//! Manifests of experiments in a cluster: what `mirror kubernetes render` and the Helm chart print is checked by
//! schemas of Kubernetes, and by checks of what schemas miss.

mod checks;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mirror_kubernetes::settings::Settings;
use mirror_tests::TestEnv;
use serde::Deserialize;
use serde_json::{Value, json};

/// No names and no problems.
const NONE: [&str; 0] = [];

/// The versions of Kubernetes by whose schemas the manifests are checked.
const VERSIONS: [&str; 4] = ["1.29", "1.32", "1.35", "1.37"];

/// All settings that add something to the manifests. There is no schema of a `ServiceMonitor`.
const ALL_SETTINGS: &str = "{chainVolume: 1Gi, storageClass: fast, serviceAccount: mine, nodeSelector: {disk: ssd}, \
                            serviceMonitor: true, tolerations: [{key: lab, operator: Exists}], \
                            image: {pullSecrets: [mine], pullPolicy: Always}}";

/// The folder of this project.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the experiment files of `configs`, relative to it.
fn configs() -> Vec<PathBuf> {
    let root = project().join("configs");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml") {
                found.push(path.strip_prefix(&root).expect("it is below").to_owned());
            }
        }
    }
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}

/// Returns the documents of a YAML stream.
fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let values = documents.map(|document| Value::deserialize(document).expect("YAML"));
    values.filter(|value| !value.is_null()).collect()
}

/// Returns a program that a variable names. `None` if it is not set, which is a failure in CI.
fn program(variable: &str, what: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} is not set");
        println!("skipped: {variable} is not set, so {what}");
    }
    found
}

/// Checks manifests by the schemas of Kubernetes, with the package `kubernetes-validate`.
#[track_caller]
fn check_by_schemas(folder: &Path, name: &str, text: &str) {
    let Some(python) = program("MIRROR_PYTHON", "no schema is checked") else {
        return;
    };
    let path = folder.join(name);
    fs::write(&path, text).expect("a file");
    for version in VERSIONS {
        let output = Command::new(&python)
            .args([
                "-m",
                "kubernetes_validate",
                "--strict",
                "--no-warn",
                "-k",
                version,
            ])
            .arg(&path)
            .output()
            .expect("the interpreter exists");
        assert!(output.status.success(), "{name}, {version}: {output:?}");
    }
}

/// Renders an experiment file of `configs`. Returns the manifests.
#[track_caller]
fn render(env: &TestEnv, file: &Path, more: &[&str]) -> String {
    let path = project().join("configs").join(file);
    let path = path.to_str().expect("UTF-8");
    let output = env.mirror(&[&["kubernetes", "render", path], more].concat());
    assert_eq!(output.status, Some(0), "{}: {output:?}", file.display());
    output.out
}

#[test]
fn every_experiment_is_rendered_to_manifests_that_an_api_server_takes() {
    let env = TestEnv::new();
    let mut all = String::new();
    for (number, file) in configs().iter().enumerate() {
        let name = format!("config-{number}");
        let text = render(&env, file, &["--name", &name]);
        let problems = checks::problems(&documents(&text));
        assert_eq!(problems, NONE, "{}", file.display());
        all += &text;
    }
    // The role of a person, and all settings that add something.
    let without_monitor = ALL_SETTINGS.replace("serviceMonitor: true, ", "");
    env.file("settings.yml", without_monitor);
    let wire = render(
        &env,
        Path::new("faults/lossy-links.yml"),
        &["--settings", "settings.yml"],
    );
    let problems = checks::problems(&documents(&wire));
    assert_eq!(problems, ["ServiceAccount `mine` does not exist"]);
    all += &wire;
    all += &env.mirror(&["kubernetes", "render", "--rbac"]).out;
    check_by_schemas(env.path(), "all.yml", &all);
}

#[test]
fn a_run_has_the_objects_that_its_file_requires() {
    let env = TestEnv::new();
    let text = render(
        &env,
        Path::new("quickstart.yml"),
        &["--name", "quick", "--set", "network.axons_per_process=2"],
    );
    let documents = documents(&text);
    let of_kind = |kind: &str| -> BTreeMap<String, Value> {
        let found = documents.iter().filter(|object| object["kind"] == kind);
        found
            .map(|object| {
                let name = object["metadata"]["name"].as_str().expect("a name");
                (name.to_owned(), object.clone())
            })
            .collect()
    };
    let replicas: BTreeMap<String, u64> = of_kind("StatefulSet")
        .iter()
        .map(|(name, set)| (name.clone(), set["spec"]["replicas"].as_u64().expect("a number")))
        .collect();
    // Uids 0 to 5, 6 to 14, and 15: the process of uids 14 and 15 belongs to the group of the first.
    let expected = [
        ("quick-miner-good", 3),
        ("quick-miner-poor", 5),
        ("quick-subtensor", 1),
        ("quick-validator", 2),
    ];
    assert_eq!(
        replicas,
        expected.map(|(name, count)| (name.to_owned(), count)).into()
    );
    let nodes = &of_kind("StatefulSet")["quick-miner-good"]["metadata"]["annotations"]["mirror-neuron/nodes"];
    assert_eq!(*nodes, json!("miners-0-1,miners-2-3,miners-4-5"));
    assert_eq!(of_kind("Job").len(), 1);
    assert_eq!(of_kind("NetworkPolicy").len(), 2);
    assert_eq!(of_kind("PodDisruptionBudget").len(), 5);
}

#[test]
fn faults_with_an_equivalent_become_objects_of_chaos_mesh() {
    let env = TestEnv::new();
    let faults = "faults:
- {at: 10s, kill: uid 2, restart_after: 30s}
- {at: step 5, partition: [[uid 0-1], [validator-0], [uid 2]], for: 10 steps}
- {wire: {from: validators, to: uid 3}, delay: 200ms, bandwidth: 64kB}
- {at: step 7, pause: uid 4, for: 1s}
";
    let quickstart = fs::read_to_string(project().join("configs/quickstart.yml")).expect("a file");
    let file = env.file("faults.yml", quickstart + faults);
    let output = env.mirror(&[
        "kubernetes",
        "render",
        file,
        "--name",
        "mesh",
        "--chaos-mesh",
        "-n",
        "lab",
    ]);
    assert_eq!(output.status, Some(0), "{output:?}");
    let kinds: Vec<Value> = documents(&output.out)
        .into_iter()
        .map(|object| {
            json!([
                object["kind"],
                object["spec"]["action"],
                object["spec"]["duration"]
            ])
        })
        .collect();
    let expected = [
        json!(["PodChaos", "pod-failure", "30000ms"]),
        json!(["NetworkChaos", "partition", null]),
        json!(["NetworkChaos", "partition", null]),
        json!(["NetworkChaos", "partition", null]),
        json!(["NetworkChaos", "delay", null]),
        json!(["NetworkChaos", "bandwidth", null]),
    ];
    assert_eq!(kinds, expected, "{}", output.out);
    let objects = documents(&output.out);
    assert_eq!(
        objects[0]["spec"]["selector"],
        json!({ "namespaces": ["lab"], "pods": { "lab": ["mesh-miner-good-2"] } })
    );
    assert_eq!(
        objects[4]["spec"]["selector"]["pods"]["lab"],
        json!(["mesh-validator-0", "mesh-validator-1"])
    );
    for comment in [
        "faults/3: pause, at step 7\n# Chaos Mesh has no equivalent",
        "It lasts 10 steps",
    ] {
        assert!(output.out.contains(comment), "{}", output.out);
    }
}

/// Returns manifests without what differs by purpose: the name of the tool, and namespaces.
fn comparable(documents: Vec<Value>) -> BTreeMap<String, Value> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(entries) => {
                entries.remove("app.kubernetes.io/managed-by");
                entries.remove("namespace");
                entries.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let documents = documents.into_iter().map(|mut document| {
        strip(&mut document);
        let settings = &mut document["data"]["settings.yml"];
        if let Some(text) = settings.as_str() {
            *settings = serde_yaml::from_str(text).expect("YAML");
        }
        if document["data"].is_null() {
            document.as_object_mut().expect("an object").remove("data");
        }
        (
            format!("{}/{}", document["kind"], document["metadata"]["name"]),
            document,
        )
    });
    documents.collect()
}

#[test]
fn the_chart_has_the_objects_that_the_command_creates() {
    let Some(helm) = program("MIRROR_HELM", "the chart is not checked") else {
        return;
    };
    let env = TestEnv::new();
    let chart = project().join("deploy/helm/mirror-neuron");
    for (number, file) in configs().iter().enumerate() {
        let experiment = project().join("configs").join(file);
        fs::copy(&experiment, env.path().join("experiment.yml")).expect("a copy");
        let name = format!("run-{number}");
        // The first file is compared with all settings that add something.
        let mut settings = Settings::default();
        if number == 0 {
            settings = serde_yaml::from_str(ALL_SETTINGS).expect("settings");
        }
        let values = json!({ "settings": settings });
        env.file("values.json", values.to_string());
        env.file("settings.yml", values["settings"].to_string());
        let of_chart = |command: &[&str]| {
            let output = Command::new(&helm)
                .args(command)
                .arg(&chart)
                .arg(format!("--set-file=experiment={}", experiment.display()))
                .args(["--set-json=arguments=[\"--set=seed=3\"]"])
                .arg("--values")
                .arg(env.path().join("values.json"))
                .env("HOME", env.path())
                .output()
                .expect("helm exists");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).expect("UTF-8")
        };
        let linted = of_chart(&["lint", "--strict"]);
        assert!(linted.contains("0 chart(s) failed"), "{linted}");
        let text = of_chart(&["template", &name]);
        if number == 1 {
            check_by_schemas(env.path(), "chart.yml", &text);
            assert_eq!(checks::problems(&documents(&text)), NONE, "{text}");
        }
        let words = [
            "kubernetes",
            "render",
            "experiment.yml",
            "--name",
            &name,
            "--set",
            "seed=3",
            "--settings",
            "settings.yml",
        ];
        let rendered = env.mirror(&words);
        assert_eq!(rendered.status, Some(0), "{rendered:?}");
        let (chart, mut rendered) = (comparable(documents(&text)), comparable(documents(&rendered.out)));
        // The others are those that the coordinator creates.
        rendered.retain(|name, _| chart.contains_key(name));
        assert_eq!(chart, rendered, "{}", file.display());
        assert_eq!(chart.len(), if number == 0 { 5 } else { 6 }, "{chart:?}");
    }
}

#[test]
fn the_values_of_the_chart_are_the_default_settings() {
    let values = fs::read_to_string(project().join("deploy/helm/mirror-neuron/values.yaml")).expect("a file");
    let values: Value = serde_yaml::from_str(&values).expect("YAML");
    assert_eq!(values["settings"], json!(Settings::default()));
}

#[test]
fn each_check_finds_its_problem() {
    let env = TestEnv::new();
    let good = documents(&render(&env, Path::new("quickstart.yml"), &[]));
    assert_eq!(checks::problems(&good), NONE);
    let set = good
        .iter()
        .position(|object| object["kind"] == "StatefulSet")
        .expect("a set");
    let job = good
        .iter()
        .position(|object| object["kind"] == "Job")
        .expect("a job");
    let service = good
        .iter()
        .position(|object| object["kind"] == "Service")
        .expect("a service");
    let mut broken = Vec::new();
    let mut with = |index: usize, path: &str, value: Value| {
        let mut all = good.clone();
        *all[index].pointer_mut(path).expect("it is there") = value;
        broken.push((path.to_owned(), all));
    };
    let container = "/spec/template/spec/containers/0";
    with(set, "/spec/selector/matchLabels", json!({ "app": "other" }));
    with(set, "/metadata/name", json!("Bad_Name"));
    with(set, &format!("{container}/name"), json!("Bad_Name"));
    with(set, "/metadata/name", json!("x".repeat(60)));
    with(
        set,
        &format!("{container}/resources/requests/memory"),
        json!("9999Gi"),
    );
    with(set, "/spec/serviceName", json!("other"));
    with(
        set,
        "/spec/template/spec/volumes/0/secret/secretName",
        json!("other"),
    );
    with(set, &format!("{container}/volumeMounts/0/name"), json!("other"));
    with(set, &format!("{container}/startupProbe/grpc/port"), json!(1));
    with(
        set,
        &format!("{container}/securityContext/allowPrivilegeEscalation"),
        json!(true),
    );
    with(job, "/spec/template/spec/serviceAccountName", json!("other"));
    with(
        job,
        "/spec/template/spec/volumes/0/configMap/items/0/key",
        json!("other"),
    );
    with(service, "/spec/ports/0/targetPort", json!("other"));
    with(
        set,
        "/spec/template/metadata/labels/app.kubernetes.io~1version",
        json!("a b"),
    );
    for (path, all) in broken {
        assert_eq!(
            checks::problems(&all).len(),
            1,
            "{path}: {:?}",
            checks::problems(&all)
        );
    }
    // An object that is missing.
    let mut without = good.clone();
    without.retain(|object| object["kind"] != "ConfigMap");
    assert!(!checks::problems(&without).is_empty());
}
