//! The faults of an experiment as objects of Chaos Mesh (<https://chaos-mesh.org/docs>), which disturbs pods without the
//! coordinator.

use std::collections::BTreeSet;
use std::fmt::Write;

use mirror_coordinator::PlannedNetwork;
use mirror_kubernetes::plan::Plan;
use mirror_spec::{Fault, NodeSet, Span, WireDirection};
use serde_json::{Value, json};

/// Returns manifests for the faults that have an equivalent, and a comment for each of the others. An object begins
/// when it is created, so a comment states when and for how long the file has the fault.
pub(super) fn of(
    faults: &[Fault],
    network: &PlannedNetwork,
    plan: &Plan,
    namespace: &str,
) -> anyhow::Result<String> {
    let pods = plan.pods_of_nodes();
    let selector = |sets: &[NodeSet]| {
        let nodes = network.nodes_in(sets);
        let names: BTreeSet<&String> = nodes.iter().filter_map(|node| pods.get(node)).collect();
        json!({ "namespaces": [namespace], "pods": { namespace: names } })
    };
    let mut text = String::new();
    for (index, fault) in faults.iter().enumerate() {
        writeln!(text, "# faults/{index}: {}, at {}", fault.kind(), fault.start())?;
        let specs = specs(fault, &selector);
        if specs.is_empty() {
            writeln!(text, "# Chaos Mesh has no equivalent.")?;
        }
        let duration = match fault.lasts() {
            Some(Span::Time(seconds)) => Some(format!("{}ms", (seconds * 1e3).round())),
            Some(other) => {
                writeln!(text, "# It lasts {other}: delete the object then.")?;
                None
            }
            None => None,
        };
        for (number, (kind, mut spec)) in specs.into_iter().enumerate() {
            spec["mode"] = "all".into();
            if let Some(duration) = &duration {
                spec["duration"] = duration.clone().into();
            }
            let object = json!({
                "apiVersion": "chaos-mesh.org/v1alpha1",
                "kind": kind,
                "metadata": { "name": format!("{}-fault-{index}-{number}", plan.run), "namespace": namespace },
                "spec": spec,
            });
            write!(text, "---\n{}", serde_yaml::to_string(&object)?)?;
        }
    }
    Ok(text)
}

/// Returns the kinds and specifications of the objects for a fault.
fn specs(fault: &Fault, selector: &impl Fn(&[NodeSet]) -> Value) -> Vec<(&'static str, Value)> {
    let everything = [NodeSet::Miners, NodeSet::AllValidators, NodeSet::Chain];
    match fault {
        Fault::Kill(kill) => vec![(
            "PodChaos",
            json!({ "action": "pod-failure", "selector": selector(&kill.kill) }),
        )],
        Fault::Leave(leave) => vec![(
            "PodChaos",
            json!({ "action": "pod-failure", "selector": selector(&leave.leave) }),
        )],
        Fault::Partition(partition) => {
            let sets = &partition.partition;
            // In one way, only the bytes of the first set are cut.
            let (direction, cut) = if partition.one_way {
                ("to", 1)
            } else {
                ("both", sets.len())
            };
            let pairs = sets.iter().enumerate().take(cut).flat_map(|(index, from)| {
                let others = sets[index + 1..].iter();
                others.map(move |to| (from, to))
            });
            pairs
                .map(|(from, to)| {
                    let spec = json!({
                        "action": "partition",
                        "direction": direction,
                        "selector": selector(from),
                        "target": { "mode": "all", "selector": selector(to) },
                    });
                    ("NetworkChaos", spec)
                })
                .collect()
        }
        Fault::Wire(wire) => {
            let effects = &wire.effects;
            let mut specs = Vec::new();
            let mut with = |action: &str, arguments: Value| {
                let mut spec = json!({
                    "action": action,
                    "direction": match effects.direction {
                        WireDirection::Both => "both",
                        WireDirection::Requests => "to",
                        WireDirection::Replies => "from",
                    },
                    "selector": selector(wire.wire.from.as_deref().unwrap_or(&everything)),
                    "target": { "mode": "all", "selector": selector(&wire.wire.to) },
                });
                spec[action] = arguments;
                specs.push(("NetworkChaos", spec));
            };
            if let Some(seconds) = effects.delay {
                with(
                    "delay",
                    json!({ "latency": format!("{}ms", (seconds * 1e3).round()) }),
                );
            }
            if let Some(bytes) = effects.bandwidth {
                let rate = format!("{}bps", bytes.0);
                with(
                    "bandwidth",
                    json!({ "rate": rate, "limit": 1 << 20, "buffer": 16 << 10 }),
                );
            }
            if effects.silence {
                with("loss", json!({ "loss": "100" }));
            }
            specs
        }
        _ => Vec::new(),
    }
}
