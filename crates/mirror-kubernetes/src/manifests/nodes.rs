//! The objects that the coordinator creates: the pods of the nodes, with an agent in each, and what they need.

use serde_json::{Value, json};

use super::launcher::METRICS;
use super::{
    AGENT_PORT, HEALTH_PORT, INSTANCE, NAME, NAME_VALUE, NODE_LABEL, NODES, labels, metadata, pod, selector,
};
use crate::name::RunName;
use crate::plan::{Component, Group, Plan};
use crate::settings::Settings;

/// The certificates of the agents of a run, in the PEM format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCertificate {
    /// Certificate of the authority.
    pub authority: String,
    /// Certificate that all agents of the run share.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// The files of the authority's certificate and key, in its secret.
pub const AUTHORITY_FILES: [&str; 2] = ["ca.crt", "ca.key"];

/// Returns the name of the secret with the certificate of the agents.
pub fn secret_name(run: &RunName) -> String {
    run.object("agent")
}

/// Returns the objects, in the order in which they are created.
pub fn objects(plan: &Plan, settings: &Settings, certificate: &AgentCertificate) -> Vec<Value> {
    let mut objects = vec![secret(&plan.run, certificate), service(&plan.run)];
    if settings.network_policies {
        objects.extend(network_policies(&plan.run, settings));
    }
    objects.extend(
        plan.groups
            .iter()
            .map(|group| disruption_budget(&plan.run, group)),
    );
    objects.extend(
        plan.groups
            .iter()
            .map(|group| stateful_set(&plan.run, group, settings)),
    );
    objects
}

fn secret(run: &RunName, certificate: &AgentCertificate) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(run, &secret_name(run), Component::Coordinator),
        "type": "kubernetes.io/tls",
        "stringData": {
            "ca.crt": certificate.authority,
            "tls.crt": certificate.certificate,
            "tls.key": certificate.key,
        },
    })
}

/// Returns the name of the secret with the authority of the agents.
pub(super) fn authority_name(run: &RunName) -> String {
    run.object("authority")
}

/// Returns the secret with the authority of the agents, for manifests that are applied without `mirror`. Without it,
/// the coordinator makes an authority of its own.
pub fn authority_secret(run: &RunName, certificate: &str, key: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(run, &authority_name(run), Component::Coordinator),
        "type": "Opaque",
        "stringData": { AUTHORITY_FILES[0]: certificate, AUTHORITY_FILES[1]: key },
    })
}

/// Returns the headless service that names the pods of the stateful sets. Nothing of this project looks names up.
fn service(run: &RunName) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(run, run.as_str(), Component::Coordinator),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": { NAME: NAME_VALUE, INSTANCE: run.as_str() },
            "ports": [{ "name": "agent", "port": AGENT_PORT, "targetPort": "agent" }],
        },
    })
}

/// Returns the policies: the pods of a run talk to each other alone, the coordinator may call any address, and its
/// metrics are open to every program.
fn network_policies(run: &RunName, settings: &Settings) -> [Value; 2] {
    let of_run = json!({ "podSelector": { "matchLabels": { NAME: NAME_VALUE, INSTANCE: run.as_str() } } });
    let policy = |name: &str, spec: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(run, name, Component::Coordinator),
            "spec": spec,
        })
    };
    let mut of_coordinator = json!({
        "podSelector": { "matchLabels": selector(run, Component::Coordinator) },
        "policyTypes": ["Egress"],
        "egress": [{}],
    });
    if settings.service_monitor {
        of_coordinator["policyTypes"] = json!(["Ingress", "Egress"]);
        of_coordinator["ingress"] = json!([{ "ports": [{ "port": METRICS }] }]);
    }
    [
        policy(
            run.as_str(),
            json!({
                "podSelector": of_run["podSelector"],
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "from": [of_run] }],
                "egress": [{ "to": [of_run] }],
            }),
        ),
        // The coordinator calls the API server, and the hub if data or models have names.
        policy(&run.object("coordinator"), of_coordinator),
    ]
}

/// Returns the budget that keeps a drain of a machine from ending pods of the group while a run uses them.
fn disruption_budget(run: &RunName, group: &Group) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(run, &group.name, group.component),
        "spec": {
            "maxUnavailable": 0,
            "selector": { "matchLabels": group_selector(run, group) },
        },
    })
}

/// Label that distinguishes the pods of the groups of a run.
const GROUP: &str = "mirror-neuron/group";

fn group_selector(run: &RunName, group: &Group) -> Value {
    let mut labels = selector(run, group.component);
    labels[GROUP] = group.name.clone().into();
    labels
}

fn stateful_set(run: &RunName, group: &Group, settings: &Settings) -> Value {
    let mut pod_labels = labels(run, group.component);
    pod_labels[GROUP] = group.name.clone().into();
    let mut metadata = metadata(run, &group.name, group.component);
    metadata["annotations"] = json!({ NODE_LABEL: group.label, NODES: group.nodes.join(",") });
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": {
            "serviceName": run.as_str(),
            "replicas": group.nodes.len(),
            // The pods need not wait for each other.
            "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": group_selector(run, group) },
            "template": {
                "metadata": { "labels": pod_labels, "annotations": { NODE_LABEL: group.label } },
                "spec": pod_spec(run, group, settings),
            },
        },
    });
    if has_volume(group, settings) {
        let mut claim = json!({
            "metadata": { "name": "files" },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": settings.chain_volume } },
            },
        });
        if !settings.storage_class.is_empty() {
            claim["spec"]["storageClassName"] = settings.storage_class.clone().into();
        }
        object["spec"]["volumeClaimTemplates"] = json!([claim]);
        object["spec"]["persistentVolumeClaimRetentionPolicy"] =
            json!({ "whenDeleted": "Delete", "whenScaled": "Delete" });
    }
    object
}

fn has_volume(group: &Group, settings: &Settings) -> bool {
    group.component == Component::Subtensor && !settings.chain_volume.is_empty()
}

fn pod_spec(run: &RunName, group: &Group, settings: &Settings) -> Value {
    let resources = &settings.resources;
    let (needs, image) = match group.component {
        Component::Validator => (&resources.validator, "validator"),
        Component::Proxy => (&resources.proxy, "node"),
        Component::Subtensor => (&resources.subtensor, "node"),
        Component::Miner | Component::Coordinator => (&resources.miner, "node"),
    };
    let kibibytes = u64::from(group.axons) * u64::from(resources.axon_kibibytes);
    let mut container = json!({
        "name": "agent",
        "image": pod::image(&settings.image, image),
        "imagePullPolicy": settings.image.pull_policy,
        "args": [
            "--address=$(POD_IP)",
            format!("--port={AGENT_PORT}"),
            format!("--health-port={HEALTH_PORT}"),
            "--credentials=/credentials",
            "--folder=/var/lib/mirror",
        ],
        "env": [pod::pod_ip()],
        "ports": [
            { "name": "agent", "containerPort": AGENT_PORT },
            { "name": "health", "containerPort": HEALTH_PORT },
        ],
        "resources": pod::resources(needs, kibibytes),
        "securityContext": pod::container_security(),
        "volumeMounts": [
            { "name": "credentials", "mountPath": "/credentials", "readOnly": true },
            { "name": "files", "mountPath": "/var/lib/mirror" },
            { "name": "temporary", "mountPath": "/tmp" },
        ],
    });
    pod::add_probes(&mut container);
    let mut volumes = vec![
        json!({ "name": "credentials", "secret": { "secretName": secret_name(run), "defaultMode": 0o440 } }),
        json!({ "name": "temporary", "emptyDir": {} }),
    ];
    if !has_volume(group, settings) {
        volumes.push(json!({ "name": "files", "emptyDir": {} }));
    }
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 15,
        "securityContext": pod::pod_security(),
        "containers": [container],
        "volumes": volumes,
    });
    pod::place(&mut spec, settings);
    spec
}
