//! The objects of a run in a cluster.
//!
//! A person, `mirror kubernetes run` or the Helm chart creates the objects of [`launcher`]. Their job starts the
//! coordinator, and the coordinator creates the objects of [`nodes`].

pub mod launcher;
pub mod nodes;
mod pod;
pub mod rbac;

use serde_json::{Value, json};

use crate::name::RunName;
use crate::plan::Component;

/// Label of all objects of a run, with the name of the run.
pub const INSTANCE: &str = "app.kubernetes.io/instance";

/// Label with the kind of a pod.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// Label with the tool that has created an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Label of all objects of this project, with [`NAME_VALUE`].
pub const NAME: &str = "app.kubernetes.io/name";

/// Value of the label [`NAME`].
pub const NAME_VALUE: &str = "mirror-neuron";

/// Annotation with the label of the nodes in the tables of the run.
const NODE_LABEL: &str = "mirror-neuron/label";

/// Annotation of a stateful set with the names of its nodes, separated by commas.
const NODES: &str = "mirror-neuron/nodes";

/// Port of an agent.
pub const AGENT_PORT: u16 = 7070;

/// Port of health checks without TLS.
pub const HEALTH_PORT: u16 = 7071;

/// User and group of all containers.
const USER: u32 = 65_532;

/// Returns the labels that select the pods of a kind.
fn selector(run: &RunName, component: Component) -> Value {
    json!({ NAME: NAME_VALUE, INSTANCE: run.as_str(), COMPONENT: component.as_str() })
}

/// Returns the metadata of an object of a run.
fn metadata(run: &RunName, name: &str, component: Component) -> Value {
    json!({ "name": name, "labels": labels(run, component) })
}

fn labels(run: &RunName, component: Component) -> Value {
    let mut labels = selector(run, component);
    labels["app.kubernetes.io/part-of"] = NAME_VALUE.into();
    labels["app.kubernetes.io/version"] = env!("CARGO_PKG_VERSION").into();
    labels[MANAGED_BY] = "mirror".into();
    labels
}

/// Returns the label selector of the objects of all runs of this project.
pub fn of_all_runs() -> String {
    format!("{NAME}={NAME_VALUE}")
}

/// Returns the label selector of the objects of a run.
pub fn of_run(run: &RunName) -> String {
    format!("{NAME}={NAME_VALUE},{INSTANCE}={run}")
}
