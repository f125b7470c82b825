//! Rules about miners whose programs are not part of this project: entries of `network.miners` with an `address` or a
//! `command`, and faults that would need such a program to take part.

use std::collections::BTreeMap;

use mirror_spec::{Fault, MinerGroup, NodeSet, OutsideMiner};

use super::{Place, Walked, is_given, is_written, key_origin, origin};
use crate::problem::Finding;

/// Reports entries that cannot be carried out, and faults of outside miners that only a node of this project can have.
pub(super) fn check(file: Walked<'_>, found: &mut Vec<Finding>) {
    let mut hotkeys: BTreeMap<String, u32> = BTreeMap::new();
    let mut outside: BTreeMap<u32, Outside> = BTreeMap::new();
    for place in file.resolved.network().miners().items() {
        entry(place, found);
        let Some(group) = place.get().filter(MinerGroup::behaves) else {
            continue;
        };
        if let (Some(hotkey), uid) = (group.hotkey, group.uids.least())
            && let Some(other) = hotkeys
                .insert(hotkey.to_string(), uid)
                .filter(|other| *other != uid)
        {
            found.push(
                Finding::error(
                    origin(place.hotkey()),
                    format!("uids {other} and {uid} have the same hotkey {hotkey}"),
                )
                .with_help("a hotkey has one uid of the subnet: name another one"),
            );
        }
        let label = group.label();
        let kind = group.outside().map(|miner| match miner {
            OutsideMiner::Running { .. } => Kind::Running,
            OutsideMiner::Started { .. } => Kind::Started,
        });
        for uid in group.uids.iter() {
            match kind {
                Some(kind) => outside.insert(
                    uid,
                    Outside {
                        kind,
                        label: label.clone(),
                    },
                ),
                None => outside.remove(&uid),
            };
        }
    }
    if outside.is_empty() {
        return;
    }
    for place in file.resolved.faults().items() {
        let Some(fault) = place.get() else { continue };
        let Some(needs) = needs(&fault) else { continue };
        let affected = outside
            .iter()
            .find(|(uid, miner)| needs.excludes(miner.kind) && miner.is_in(**uid, &needs.nodes));
        if let Some((uid, miner)) = affected {
            found.push(
                Finding::error(origin(place), needs.message(*uid, miner.kind))
                    .with_help("name other miners, or use a `link` or `wire` fault with the uid in `to`"),
            );
        }
    }
}

/// The kind of an outside miner.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It has an `address`.
    Running,
    /// It has a `command`.
    Started,
}

/// A miner whose program is not part of this project.
struct Outside {
    kind: Kind,
    label: Option<String>,
}

impl Outside {
    fn is_in(&self, uid: u32, sets: &[NodeSet]) -> bool {
        sets.iter().any(|set| match set {
            NodeSet::Uids(uids) => uids.contains(&uid),
            NodeSet::Label(label) => self.label.as_ref() == Some(label),
            NodeSet::Miners => true,
            NodeSet::Validators(_) | NodeSet::AllValidators | NodeSet::Chain => false,
        })
    }
}

/// The nodes that a fault affects in a way that not every program allows.
struct Needs {
    nodes: Vec<NodeSet>,
    /// The effect, such as `be killed`.
    effect: &'static str,
    /// Whether the program itself must carry out the effect.
    takes_part: bool,
}

impl Needs {
    fn excludes(&self, kind: Kind) -> bool {
        self.takes_part || kind == Kind::Running
    }

    fn message(&self, uid: u32, kind: Kind) -> String {
        let effect = self.effect;
        match kind {
            Kind::Running => {
                format!(
                    "uid {uid} cannot {effect}: it is a program at an `address`, which the run does not start"
                )
            }
            Kind::Started => {
                format!(
                    "uid {uid} cannot {effect}: its `command` starts a program that is not part of this project"
                )
            }
        }
    }
}

fn needs(fault: &Fault) -> Option<Needs> {
    let (nodes, effect, takes_part) = match fault {
        Fault::Kill(kill) => (kill.kill.clone(), "be killed", false),
        Fault::CrashLoop(crash) => (crash.crash_loop.clone(), "be in a crash loop", false),
        Fault::Pause(pause) => (pause.pause.clone(), "be paused", false),
        Fault::Limit(limit) => (limit.limit.clone(), "have limits", false),
        Fault::DiskFull(full) => (full.disk_full.clone(), "have a full disk", false),
        Fault::Leave(leave) => (leave.leave.clone(), "leave the network", false),
        Fault::Clock(clock) => (clock.clock.clone(), "have its clock shifted", true),
        Fault::Inject(inject) => (
            vec![NodeSet::Uids(inject.inject.clone())],
            "have its behaviour replaced",
            true,
        ),
        Fault::Link(link) => (
            link.link.from.clone()?,
            "be a caller (`from`) of a link fault",
            true,
        ),
        Fault::Wire(_) | Fault::Partition(_) | Fault::InjectValidators(_) | Fault::Join(_) => return None,
    };
    Some(Needs {
        nodes,
        effect,
        takes_part,
    })
}

/// Returns whether the file itself has a value at this place.
fn is_set<T>(place: Place<'_, T>) -> bool {
    is_given(place) && is_written(place)
}

/// Reports an entry whose keys contradict each other.
fn entry(place: Place<'_, MinerGroup>, found: &mut Vec<Finding>) {
    let has_address = is_set(place.address());
    let has_hotkey = is_set(place.hotkey());
    let has_command = place.command().items().len() > 0;
    if has_hotkey && !has_address {
        found.push(
            Finding::warning(
                key_origin(place.hotkey()),
                "`hotkey` has no effect: it is the key of an axon at an `address`, which this entry does not have",
            )
            .with_help("add the `address`, or remove `hotkey`"),
        );
    }
    let mut wrong = |origin, message: &str, help: &str| {
        found.push(Finding::error(origin, message).with_help(help));
    };
    if has_address && has_command {
        wrong(
            key_origin(place.command()),
            "an entry has either an `address` or a `command`: a program at an address is already running",
            "remove one of them",
        );
        return;
    }
    if !has_address && !has_command {
        return;
    }
    let behaviours = [
        (
            is_set(place.behaviour()),
            "behaviour",
            key_origin(place.behaviour()),
        ),
        (place.over().items().len() > 0, "over", key_origin(place.over())),
    ];
    for (_, key, origin) in behaviours.into_iter().filter(|(is_set, ..)| *is_set) {
        wrong(
            origin,
            &format!("`{key}` cannot apply: the program of this entry is not part of this project"),
            &format!("remove `{key}`; `label`, `control` and `latency` apply"),
        );
    }
    let Some(address) = place.address().inner().get().filter(|_| has_address) else {
        return;
    };
    if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
        wrong(
            origin(place.address()),
            &format!("no program can be called at `{address}`"),
            "write the IP address and the port at which the axon can be called",
        );
    }
    if place
        .uids()
        .get()
        .is_some_and(|uids| uids.least() != uids.greatest())
    {
        wrong(
            origin(place.uids()),
            "an entry with an `address` is one miner, but `uids` names more",
            "name one uid, and write one entry for each axon",
        );
    }
}
