//! The permissions of the coordinator, and of a person who runs experiments. All are for one namespace.

use serde_json::{Value, json};

use super::launcher::job_name;
use super::nodes::secret_name;
use super::{NAME, NAME_VALUE, metadata};
use crate::name::RunName;
use crate::plan::Component;

/// A permission: verbs on resources of an API group.
struct Rule {
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
}

/// The verbs of a server-side apply. Where the owner of an object is protected, setting it needs the right to delete.
const APPLY: &[&str] = &["create", "get", "patch", "delete"];

/// Permissions of the coordinator for the objects of its nodes, which end with its job.
const OF_COORDINATOR: &[Rule] = &[
    Rule {
        group: "",
        resources: &["services"],
        verbs: APPLY,
    },
    Rule {
        group: "",
        resources: &["pods"],
        verbs: &["get", "list", "watch"],
    },
    Rule {
        group: "apps",
        resources: &["statefulsets"],
        verbs: APPLY,
    },
    Rule {
        group: "networking.k8s.io",
        resources: &["networkpolicies"],
        verbs: APPLY,
    },
    Rule {
        group: "policy",
        resources: &["poddisruptionbudgets"],
        verbs: APPLY,
    },
];

/// Further permissions of a person who starts, watches, collects and deletes runs.
const OF_PERSON: &[Rule] = &[
    Rule {
        group: "",
        resources: &["configmaps"],
        verbs: &["create", "get", "list", "patch", "delete"],
    },
    Rule {
        group: "",
        resources: &["serviceaccounts"],
        verbs: APPLY,
    },
    Rule {
        group: "",
        resources: &["secrets"],
        verbs: APPLY,
    },
    Rule {
        group: "",
        resources: &["resourcequotas"],
        verbs: &["list"],
    },
    Rule {
        group: "",
        resources: &["pods/log"],
        verbs: &["get"],
    },
    // Collecting a run executes a program in the coordinator's container. A WebSocket begins with GET.
    Rule {
        group: "",
        resources: &["pods/exec"],
        verbs: &["create", "get"],
    },
    Rule {
        group: "batch",
        resources: &["jobs"],
        verbs: &["create", "get", "list", "patch"],
    },
    Rule {
        group: "monitoring.coreos.com",
        resources: &["servicemonitors"],
        verbs: APPLY,
    },
    Rule {
        group: "rbac.authorization.k8s.io",
        resources: &["roles", "rolebindings"],
        verbs: APPLY,
    },
];

fn rules(rules: &[Rule]) -> Vec<Value> {
    let rules = rules
        .iter()
        .map(|rule| json!({ "apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs }));
    rules.collect()
}

/// Returns the service account of the coordinator of a run, its role and the binding of both.
pub(super) fn of_coordinator(run: &RunName) -> [Value; 3] {
    let name = job_name(run);
    let mut permissions = rules(OF_COORDINATOR);
    // The coordinator needs one secret only. The verb `create` cannot be limited to a name.
    permissions.push(json!({
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": [secret_name(run)],
        "verbs": ["get", "patch", "delete"],
    }));
    permissions.push(json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["create"] }));
    [
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(run, &name, Component::Coordinator),
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata(run, &name, Component::Coordinator),
            "rules": permissions,
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata(run, &name, Component::Coordinator),
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": name }],
        }),
    ]
}

/// Returns the role that a person needs to run experiments in a namespace. It includes the permissions of coordinators,
/// because the API server refuses a role with permissions that its author does not have.
pub fn role_of_person() -> Value {
    let mut permissions = rules(OF_COORDINATOR);
    permissions.extend(rules(OF_PERSON));
    role("mirror-neuron", &permissions)
}

/// Returns the role of an account for the coordinators of all runs of a namespace, for persons who may create no roles.
pub fn role_of_coordinators() -> Value {
    let mut permissions = rules(OF_COORDINATOR);
    permissions.push(json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": APPLY }));
    role("mirror-neuron-coordinator", &permissions)
}

fn role(name: &str, permissions: &[Value]) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": { "name": name, "labels": { NAME: NAME_VALUE } },
        "rules": permissions,
    })
}
