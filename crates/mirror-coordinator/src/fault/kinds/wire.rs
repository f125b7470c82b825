//! Faults on connections, which the proxy carries out. They change no node.

use mirror_proto::mirror::v1::wire_rule::Effect;
use mirror_proto::mirror::v1::{
    WireBandwidth, WireCut, WireDelay, WireDirection, WireReset, WireRule, WireSilence, WireSlice,
    WireSlowClose, WireStall,
};
use mirror_proto::protocol::{CHAIN_TARGET, axon_target};
use mirror_spec::{self as spec, NodeSet, PartitionFault, WireEffects, WireFault};

use super::{FaultKind, Node};
use crate::fault::{ActiveFault, NodeState};
use crate::network_spec::NetworkSpec;

/// The addresses of a set of callers, and the names of a set of targets, as the proxy knows them.
pub(crate) struct Ends<'a> {
    pub(crate) spec: &'a NetworkSpec,
    /// Returns the address from which the connections of a node come.
    pub(crate) source: &'a dyn Fn(&str) -> Option<std::net::IpAddr>,
}

impl Ends<'_> {
    /// Returns the addresses of the nodes in these sets. A set without nodes has an address that no caller has, because
    /// the proxy takes an empty list for every caller.
    fn callers(&self, sets: &[NodeSet]) -> Vec<String> {
        let nodes = self.spec.nodes_of(sets);
        let sources: Vec<String> = nodes
            .iter()
            .filter_map(|node| (self.source)(node))
            .map(|source| source.to_string())
            .collect();
        or_none(sources, "0.0.0.0")
    }

    fn targets(&self, sets: &[NodeSet]) -> Vec<String> {
        let mut targets: Vec<String> = self.spec.uids_of(sets).into_iter().map(axon_target).collect();
        if sets.contains(&NodeSet::Chain) {
            targets.push(CHAIN_TARGET.to_owned());
        }
        or_none(targets, "none")
    }
}

fn or_none(list: Vec<String>, none: &str) -> Vec<String> {
    if list.is_empty() {
        vec![none.to_owned()]
    } else {
        list
    }
}

/// Returns the rules of a fault for the proxy. Empty for a fault that is not on the wire.
pub(crate) fn rules(fault: &ActiveFault, ends: &Ends<'_>) -> Vec<WireRule> {
    match &fault.fault {
        spec::Fault::Wire(wire) => of_wire(&fault.id, wire, ends),
        spec::Fault::Partition(partition) => of_partition(&fault.id, partition, ends),
        _ => Vec::new(),
    }
}

fn of_wire(id: &str, fault: &WireFault, ends: &Ends<'_>) -> Vec<WireRule> {
    let WireEffects {
        direction,
        bandwidth,
        delay,
        slice,
        stall,
        silence,
        reset,
        slow_close,
    } = &fault.effects;
    let sources = fault
        .wire
        .from
        .as_ref()
        .map_or_else(Vec::new, |from| ends.callers(from));
    let targets = ends.targets(&fault.wire.to);
    let direction = match direction {
        spec::WireDirection::Both => WireDirection::Both,
        spec::WireDirection::Requests => WireDirection::Requests,
        spec::WireDirection::Replies => WireDirection::Replies,
    };
    let effects = [
        bandwidth.map(|bandwidth| {
            // The proxy takes at most this rate, which no connection on one machine reaches.
            let bytes_per_second = (bandwidth.0 as f64).min(1e12);
            ("bandwidth", Effect::Bandwidth(WireBandwidth { bytes_per_second }))
        }),
        delay.map(|seconds| ("delay", Effect::Delay(WireDelay { seconds }))),
        slice.map(|slice| {
            let slice = WireSlice {
                bytes: slice.bytes.into(),
                pause_seconds: slice.pause,
            };
            ("slice", Effect::Slice(slice))
        }),
        stall.then_some(("stall", Effect::Stall(WireStall {}))),
        silence.then_some(("silence", Effect::Silence(WireSilence {}))),
        reset.map(|after| {
            let after_bytes = after.0;
            ("reset", Effect::Reset(WireReset { after_bytes }))
        }),
        slow_close.map(|seconds| ("slow_close", Effect::SlowClose(WireSlowClose { seconds }))),
    ];
    let rules = effects.into_iter().flatten().map(|(name, effect)| WireRule {
        id: format!("{id}/{name}"),
        sources: sources.clone(),
        targets: targets.clone(),
        direction: direction.into(),
        effect: Some(effect),
    });
    rules.collect()
}

/// Cuts the connections between each two of the sets. One way, only the bytes from the first set to the others are cut:
/// the requests of its callers, and the replies to theirs.
fn of_partition(id: &str, fault: &PartitionFault, ends: &Ends<'_>) -> Vec<WireRule> {
    let sets = &fault.partition;
    let mut rules = Vec::new();
    for (from, callers) in sets.iter().enumerate() {
        for (to, targets) in sets.iter().enumerate().filter(|(to, _)| *to != from) {
            let direction = match (fault.one_way, from, to) {
                (false, ..) => WireDirection::Both,
                (true, 0, _) => WireDirection::Requests,
                (true, _, 0) => WireDirection::Replies,
                (true, ..) => continue,
            };
            rules.push(WireRule {
                id: format!("{id}/{from}-{to}"),
                sources: ends.callers(callers),
                targets: ends.targets(targets),
                direction: direction.into(),
                effect: Some(Effect::Cut(WireCut {})),
            });
        }
    }
    rules
}

impl FaultKind for WireFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(Vec::new())
    }

    fn shape(&self, _node: &Node<'_>, _fault: &ActiveFault, _state: &mut NodeState) {}
}

impl FaultKind for PartitionFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(Vec::new())
    }

    fn shape(&self, _node: &Node<'_>, _fault: &ActiveFault, _state: &mut NodeState) {}
}
