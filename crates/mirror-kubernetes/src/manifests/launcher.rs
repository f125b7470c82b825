//! The objects that start a run: the files of the experiment, the permissions of the coordinator and its job.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::nodes::authority_name;
use super::{HEALTH_PORT, labels, metadata, pod, rbac};
use crate::name::RunName;
use crate::plan::Component;
use crate::settings::Settings;

/// Folder of the experiment file in the coordinator's container.
const EXPERIMENT: &str = "/experiment";

/// Folder of the settings in the coordinator's container.
const SETTINGS: &str = "/settings";

/// Folder of the runs in the coordinator's container.
const RUNS: &str = "/runs";

/// Folder of the authority of the agents in the coordinator's container. It is empty if the coordinator is to make one.
const AUTHORITY: &str = "/authority";

/// Key of the settings in the config map.
const SETTINGS_KEY: &str = "settings.yml";

/// The variable with the name of the run, in the coordinator's container.
pub const RUN_VARIABLE: &str = "MIRROR_KUBERNETES_RUN";

/// The variable with the name of the coordinator's pod.
pub const POD_VARIABLE: &str = "MIRROR_KUBERNETES_POD";

/// The variable with the IP address of the machine of the coordinator's pod.
pub const HOST_VARIABLE: &str = "HOST_IP";

/// Name of the port of the metrics.
pub(super) const METRICS: &str = "metrics";

/// Port at which the coordinator serves the metrics of a run to Prometheus.
const METRICS_PORT: u16 = 9464;

/// Maximum size of the files of an experiment, in bytes. A config map has at most 1 MiB.
pub const MAX_FILES: usize = 900 << 10;

/// An experiment and the files that it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// Path of the experiment file, relative to the folder of all files.
    pub file: String,
    /// Contents of the files, by their paths relative to the folder of the experiment file.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Further arguments of the coordinator, such as `--set network.validators=3`.
    pub arguments: Vec<String>,
}

/// Returns the name of the job of a run, and of its service account.
pub fn job_name(run: &RunName) -> String {
    run.object("coordinator")
}

/// Returns the objects, in the order in which they are created. The first one is to own the others.
pub fn objects(run: &RunName, inputs: &Inputs, settings: &Settings) -> Vec<Value> {
    let mut objects = vec![config_map(run, inputs, settings)];
    if settings.service_account.is_empty() {
        objects.extend(rbac::of_coordinator(run));
    }
    objects.push(disruption_budget(run));
    if settings.service_monitor {
        objects.extend(metrics(run));
    }
    objects.push(job(run, inputs, settings));
    objects
}

fn config_map(run: &RunName, inputs: &Inputs, settings: &Settings) -> Value {
    let mut text = BTreeMap::new();
    let mut binary = BTreeMap::new();
    let settings =
        serde_yaml::to_string(settings).expect("settings are texts, numbers, lists and maps of them");
    text.insert(SETTINGS_KEY.to_owned(), settings);
    for (key, (_, content)) in keys(inputs) {
        match String::from_utf8(content.clone()) {
            Ok(content) => {
                text.insert(key, content);
            }
            Err(error) => {
                let content = k8s_openapi::ByteString(error.into_bytes());
                binary.insert(key, content);
            }
        }
    }
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(run, run.as_str(), Component::Coordinator),
        "data": text,
    });
    if !binary.is_empty() {
        object["binaryData"] = json!(binary);
    }
    object
}

/// Returns the key of each file in the config map. A key cannot have the `/` that a path may have.
fn keys(inputs: &Inputs) -> impl Iterator<Item = (String, (&String, &Vec<u8>))> {
    let files = inputs.files.iter().enumerate();
    files.map(|(number, file)| (format!("file-{number}"), file))
}

fn disruption_budget(run: &RunName) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(run, &job_name(run), Component::Coordinator),
        "spec": {
            "minAvailable": 1,
            "selector": { "matchLabels": super::selector(run, Component::Coordinator) },
        },
    })
}

/// Returns the service of the coordinator's metrics, and the object by which the Prometheus operator finds it.
fn metrics(run: &RunName) -> [Value; 2] {
    let name = run.object("metrics");
    [
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(run, &name, Component::Coordinator),
            "spec": {
                "clusterIP": "None",
                "selector": super::selector(run, Component::Coordinator),
                "ports": [{ "name": METRICS, "port": METRICS_PORT, "targetPort": METRICS }],
            },
        }),
        json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": metadata(run, &name, Component::Coordinator),
            "spec": {
                "selector": { "matchLabels": super::selector(run, Component::Coordinator) },
                "endpoints": [{ "port": METRICS, "interval": "15s" }],
            },
        }),
    ]
}

fn job(run: &RunName, inputs: &Inputs, settings: &Settings) -> Value {
    let name = job_name(run);
    let mut arguments = vec![
        "kubernetes".to_owned(),
        "coordinate".to_owned(),
        format!("{EXPERIMENT}/{}", inputs.file),
        format!("--settings={SETTINGS}/{SETTINGS_KEY}"),
        format!("--authority={AUTHORITY}"),
    ];
    // Kubernetes replaces `$(NAME)` in arguments.
    arguments.extend(inputs.arguments.iter().map(|word| word.replace("$(", "$$(")));
    let mut ports = vec![json!({ "name": "health", "containerPort": HEALTH_PORT })];
    if settings.service_monitor {
        arguments.push(format!("--set=telemetry.prometheus=0.0.0.0:{METRICS_PORT}"));
        ports.push(json!({ "name": METRICS, "containerPort": METRICS_PORT }));
    }
    let mut container = json!({
        "name": "coordinator",
        "image": pod::image(&settings.image, "coordinator"),
        "imagePullPolicy": settings.image.pull_policy,
        "args": arguments,
        "env": [
            pod::pod_ip(),
            pod::field(POD_VARIABLE, "metadata.name"),
            pod::field(HOST_VARIABLE, "status.hostIP"),
            { "name": RUN_VARIABLE, "value": run.as_str() },
            { "name": "MIRROR_RUNS", "value": RUNS },
            { "name": "XDG_CACHE_HOME", "value": "/tmp/cache" },
        ],
        "ports": ports,
        "resources": pod::resources(&settings.resources.coordinator, 0),
        "securityContext": pod::container_security(),
        "volumeMounts": [
            { "name": "experiment", "mountPath": EXPERIMENT, "readOnly": true },
            { "name": "settings", "mountPath": SETTINGS, "readOnly": true },
            { "name": "authority", "mountPath": AUTHORITY, "readOnly": true },
            { "name": "runs", "mountPath": RUNS },
            { "name": "temporary", "mountPath": "/tmp" },
        ],
    });
    pod::add_probes(&mut container);
    let items: Vec<Value> = keys(inputs)
        .map(|(key, (path, _))| json!({ "key": key, "path": path }))
        .collect();
    let account = if settings.service_account.is_empty() {
        &name
    } else {
        &settings.service_account
    };
    let mut spec = json!({
        "restartPolicy": "Never",
        "serviceAccountName": account,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 60,
        "securityContext": pod::pod_security(),
        "containers": [container],
        "volumes": [
            { "name": "experiment", "configMap": { "name": run.as_str(), "items": items } },
            {
                "name": "settings",
                "configMap": {
                    "name": run.as_str(),
                    "items": [{ "key": SETTINGS_KEY, "path": SETTINGS_KEY }],
                },
            },
            {
                "name": "authority",
                "secret": { "secretName": authority_name(run), "optional": true, "defaultMode": 0o440 },
            },
            { "name": "runs", "emptyDir": {} },
            { "name": "temporary", "emptyDir": {} },
        ],
    });
    pod::place(&mut spec, settings);
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(run, &name, Component::Coordinator),
        "spec": {
            // A coordinator that is started again has lost its run.
            "backoffLimit": 0,
            "template": {
                "metadata": { "labels": labels(run, Component::Coordinator) },
                "spec": spec,
            },
        },
    })
}
