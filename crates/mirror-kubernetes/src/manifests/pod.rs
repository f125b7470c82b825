//! The parts that the pods of a run have in common. They meet the pod security standard `restricted`.

use serde_json::{Value, json};

use super::{HEALTH_PORT, USER};
use crate::settings::{Image, Mebibytes, Needs, Settings};

/// Returns the security context of a pod.
pub(super) fn pod_security() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// Returns the security context of a container.
pub(super) fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    })
}

/// Returns the variable with the IP address of the pod.
pub(super) fn pod_ip() -> Value {
    field("POD_IP", "status.podIP")
}

/// Returns an environment variable with a field of the pod.
pub(super) fn field(name: &str, path: &str) -> Value {
    json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } })
}

/// Adds the three probes, which all ask the health service.
pub(super) fn add_probes(container: &mut Value) {
    let grpc = json!({ "port": HEALTH_PORT });
    // A minute to start. After that, a pod that has not answered for a minute is started again.
    container["startupProbe"] = json!({ "grpc": grpc, "periodSeconds": 2, "failureThreshold": 30 });
    container["readinessProbe"] = json!({ "grpc": grpc, "periodSeconds": 10, "timeoutSeconds": 5 });
    container["livenessProbe"] =
        json!({ "grpc": grpc, "periodSeconds": 15, "timeoutSeconds": 10, "failureThreshold": 4 });
}

/// Returns the image of a container.
pub(super) fn image(image: &Image, name: &str) -> String {
    let registry = image.registry.trim_end_matches('/');
    format!("{registry}/{name}:{}", image.tag)
}

/// Returns the requests and limits of a container, with more memory by `kibibytes`.
pub(super) fn resources(needs: &Needs, kibibytes: u64) -> Value {
    let more = u32::try_from(kibibytes.div_ceil(1_024)).unwrap_or(u32::MAX);
    let mut needs = *needs;
    for amounts in [&mut needs.requests, &mut needs.limits] {
        amounts.memory = amounts
            .memory
            .map(|memory| Mebibytes(memory.0.saturating_add(more)));
    }
    json!(needs)
}

/// Sets what the settings require of all pods.
pub(super) fn place(pod: &mut Value, settings: &Settings) {
    if !settings.node_selector.is_empty() {
        pod["nodeSelector"] = json!(settings.node_selector);
    }
    if !settings.tolerations.is_empty() {
        pod["tolerations"] = json!(settings.tolerations);
    }
    if !settings.image.pull_secrets.is_empty() {
        let secrets = settings.image.pull_secrets.iter();
        pod["imagePullSecrets"] = secrets.map(|name| json!({ "name": name })).collect();
    }
}
