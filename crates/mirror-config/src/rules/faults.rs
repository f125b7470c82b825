//! Rules about faults: the nodes that they name, their time, and faults that the block barrier would wait for.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use mirror_spec::{
    BlockTime, CodedError, ErrorReply, Fault, LinkEffects, LinkFault, NodeSet, PartitionFault, Registration,
    Span, StatusCode, Unit, WireEffects, WireFault,
};

use super::{Walked, miners as miners_of, origin, uids_for_newcomers};
use crate::problem::Finding;
use crate::spelling::suggest;
use crate::tree::Origin;

/// Maximum number of entries of `faults`.
const MOST: usize = 10_000;

/// Maximum number of miners that join during a run.
const MOST_NEWCOMERS: u32 = 1_024;

/// Reports faults that name nodes which do not exist, that cannot happen with the rule by which blocks close, that
/// block the run, or that have the same name.
pub(super) fn check(file: Walked<'_>, found: &mut Vec<Finding>) {
    let faults = file.resolved.faults();
    let count = faults.items().len();
    if count > MOST {
        found.push(
            Finding::error(origin(faults), format!("`faults` has {count} entries")).with_help(format!(
                "write at most {MOST}, with `every` for those that repeat"
            )),
        );
        return;
    }
    let per_step = file.resolved.network().block_time().get() == Some(BlockTime::PerStep);
    let network = Named::of(file);
    let mut ids = BTreeSet::new();
    let room = file.resolved.network().room_for();
    let mut newcomers = room.get().unwrap_or_default();
    if newcomers > 0 && !network.can_register {
        found.push(cannot_join(origin(room)));
    }
    for place in faults.items() {
        let Some(fault) = place.get() else { continue };
        let at = origin(place);
        for nodes in fault.nodes() {
            network.check(&nodes, at, found);
        }
        if let Some(id) = &fault.when().id
            && !ids.insert(id.clone())
        {
            found.push(
                Finding::error(
                    origin(place.when().id()),
                    format!("two faults have the id `{id}`"),
                )
                .with_help("give each fault a different id"),
            );
        }
        if per_step {
            endless(&fault, &network, at, found);
        } else {
            by_the_clock(&fault, at, found);
        }
        role(&fault, &network, at, found);
        if matches!(fault, Fault::Join(_)) && !network.can_register {
            found.push(cannot_join(at));
        }
        let before = newcomers;
        newcomers = newcomers.saturating_add(fault.newcomers());
        if before <= MOST_NEWCOMERS && newcomers > MOST_NEWCOMERS {
            found.push(
                Finding::error(
                    at,
                    format!("with this fault and those before it, {newcomers} miners join the network"),
                )
                .with_help(format!(
                    "let at most {MOST_NEWCOMERS} miners join in one run, including those of `network.room_for`"
                )),
            );
        }
    }
}

/// Returns the error of miners that are to join although registration is closed.
fn cannot_join(at: Origin) -> Finding {
    Finding::error(at, "miners cannot join: registration is closed")
        .with_help("remove `registration: closed` and `network_registration_allowed: false` from `network`")
}

/// The nodes of a file.
struct Named {
    miners: Option<u32>,
    validators: Option<u32>,
    /// Number of uids for miners that join.
    newcomers: u32,
    /// Whether further hotkeys can register with the chain.
    can_register: bool,
    labels: Vec<String>,
    /// The labels of validators.
    of_validators: Vec<String>,
}

impl Named {
    fn of(file: Walked<'_>) -> Self {
        let network = file.resolved.network();
        let of_miners = network.miners().items().filter_map(|group| group.get()?.label());
        let of_validators = network
            .validator_groups()
            .items()
            .filter_map(|group| group.get()?.label())
            .chain(["validator".to_owned()]);
        let of_validators: Vec<String> = of_validators.collect();
        let accomplices = network
            .validator_groups()
            .items()
            .filter_map(|group| Some(group.behaviour().get()??.members()?.1.to_owned()));
        let joining = file
            .resolved
            .faults()
            .items()
            .filter_map(|fault| match fault.get()? {
                Fault::Join(join) => join.join.label(),
                _ => None,
            });
        let mut labels: Vec<String> = of_miners
            .chain(of_validators.iter().cloned())
            .chain(accomplices)
            .chain(joining)
            .collect();
        labels.push("honest".to_owned());
        let allowed = network.hyperparameters().network_registration_allowed().get();
        let is_closed = network.registration().get() == Some(Registration::Closed);
        Self {
            can_register: !is_closed && allowed != Some(Some(false)),
            miners: miners_of(file),
            validators: network.validators().get(),
            newcomers: uids_for_newcomers(file),
            labels,
            of_validators,
        }
    }

    /// Returns whether the barrier waits for one of these nodes.
    fn has_member(&self, nodes: &NodeSet) -> bool {
        match nodes {
            NodeSet::Validators(_) | NodeSet::AllValidators | NodeSet::Chain => true,
            NodeSet::Uids(uids) => match (self.miners, self.validators) {
                (Some(miners), Some(validators)) => {
                    let is_validator = |range: &RangeInclusive<u32>| {
                        *range.start() < miners + validators && *range.end() >= miners
                    };
                    uids.ranges().iter().any(is_validator)
                }
                _ => false,
            },
            NodeSet::Label(label) => self.of_validators.contains(label),
            NodeSet::Miners => false,
        }
    }

    fn check(&self, nodes: &NodeSet, at: Origin, found: &mut Vec<Finding>) {
        match (nodes, self.miners, self.validators) {
            (NodeSet::Uids(uids), Some(miners), Some(validators))
                if uids.greatest() >= (miners + validators).saturating_add(self.newcomers) =>
            {
                let of_newcomers = match self.newcomers {
                    0 => String::new(),
                    newcomers => format!(
                        ", miners that join have uids {} to {}",
                        miners + validators,
                        (miners + validators).saturating_add(newcomers) - 1
                    ),
                };
                found.push(
                    Finding::error(
                        at,
                        format!("`faults` names uid {}, which no neuron has", uids.greatest()),
                    )
                    .with_help(format!(
                        "miners have uids 0 to {}, validators have uids {miners} to {}{of_newcomers}",
                        miners.saturating_sub(1),
                        miners + validators - 1
                    )),
                );
            }
            (NodeSet::Validators(indices), _, Some(validators)) if indices.greatest() >= validators => {
                found.push(
                    Finding::error(
                        at,
                        format!(
                            "`faults` names validator-{}, which does not exist",
                            indices.greatest()
                        ),
                    )
                    .with_help(format!("validator indices go from 0 to {}", validators - 1)),
                );
            }
            (NodeSet::Label(label), _, _) if !self.labels.contains(label) => {
                let known: Vec<&str> = self.labels.iter().map(String::as_str).collect();
                found.push(
                    Finding::error(
                        at,
                        format!("`faults` names the label `{label}`, which no node has"),
                    )
                    .with_help(suggest(label, &known)),
                );
            }
            _ => {}
        }
    }
}

/// Reports steps in a network whose blocks close by the clock, where validators are in different steps.
fn by_the_clock(fault: &Fault, at: Origin, found: &mut Vec<Finding>) {
    let when = fault.when();
    let starts = when.at.map(|at| at.unit() == Unit::Step);
    let lasts = fault.lasts().map(|lasts| lasts.unit() == Unit::Step);
    if starts == Some(true) || lasts == Some(true) {
        found.push(
            Finding::error(
                at,
                "the fault is scheduled by steps, but `network.block_time` is a duration, so that no step is common to \
                 all validators",
            )
            .with_help("write a time such as `at: 5s` or a block such as `at: block 10`, or use `block_time: per_step`"),
        );
    }
}

/// Reports faults that the barrier would wait for without end: no step ends while a validator or the chain does not
/// take part, so a duration in steps never passes.
fn endless(fault: &Fault, network: &Named, at: Origin, found: &mut Vec<Finding>) {
    let by_time = fault.lasts().is_some_and(|lasts| lasts.unit() == Unit::Time)
        || fault.when().every.is_none() && fault.when().until.is_some_and(|until| until.unit() == Unit::Time);
    let is_continuous = matches!(
        (fault.lasts(), fault.when().every),
        (Some(Span::Time(lasts)), Some(Span::Time(every))) if lasts >= every
    );
    if by_time && !is_continuous {
        return;
    }
    let Some((who, what)) = stops_steps(fault, network) else {
        return;
    };
    let ends = match (fault.lasts(), fault.when().until) {
        (Some(Span::Steps(_) | Span::Blocks(_)), _) | (_, Some(_)) => {
            "the steps after which it ends never come"
        }
        _ => "it has no end",
    };
    let message = format!("{what} {who} stops the block barrier, which waits for it: {ends}");
    let help = if fault.kind() == "kill" {
        "restart it by the clock, such as `restart_after: 5s`"
    } else {
        "write an end by the clock, such as `for: 5s`"
    };
    found.push(Finding::error(at, message).with_help(help));
}

/// Returns the member of the barrier that a fault takes out of it, and how.
fn stops_steps(fault: &Fault, network: &Named) -> Option<(String, &'static str)> {
    let is_member = |nodes: &&NodeSet| network.has_member(nodes);
    let member = |nodes: &[NodeSet]| nodes.iter().find(is_member).map(NodeSet::to_string);
    match fault {
        Fault::Pause(pause) => Some((member(&pause.pause)?, "pausing")),
        Fault::DiskFull(full) => Some((member(&full.disk_full)?, "a full disk ends the process of")),
        Fault::CrashLoop(crash) => Some((member(&crash.crash_loop)?, "a crash loop of")),
        Fault::Kill(kill) => {
            let is_lasting =
                kill.restart_after.is_none() && kill.when.r#for.is_none() && kill.when.until.is_none();
            // A validator that is killed for good is retired from the barrier.
            let who = if is_lasting {
                kill.kill
                    .iter()
                    .find(|nodes| **nodes == NodeSet::Chain)?
                    .to_string()
            } else {
                member(&kill.kill)?
            };
            Some((who, "killing"))
        }
        Fault::Partition(PartitionFault { partition, .. }) => {
            let with_chain = partition.iter().position(|set| set.contains(&NodeSet::Chain))?;
            let others = partition
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != with_chain);
            let cut = others.flat_map(|(_, set)| set).find(is_member)?;
            Some((cut.to_string(), "separating the chain from"))
        }
        Fault::Link(LinkFault { link, effects, .. }) => {
            let from = link.from.as_ref().is_none_or(|from| member(from).is_some());
            (from && link.to.contains(&NodeSet::Chain) && loses_all(effects))
                .then(|| ("the chain".to_owned(), "losing all requests to"))
        }
        Fault::Wire(WireFault { wire, effects, .. }) => {
            let WireEffects {
                stall,
                silence,
                reset,
                ..
            } = effects;
            let from = wire.from.as_ref().is_none_or(|from| member(from).is_some());
            (from && wire.to.contains(&NodeSet::Chain) && (*stall || *silence || reset.is_some()))
                .then(|| ("the chain".to_owned(), "cutting the connections to"))
        }
        _ => None,
    }
}

/// Returns whether no request succeeds with these effects.
fn loses_all(effects: &LinkEffects) -> bool {
    let LinkEffects {
        refuse,
        drop,
        error,
        goaway,
        stall,
        drop_reply,
        ..
    } = effects;
    let certain = [*refuse, *drop, *goaway, *stall, *drop_reply].contains(&1.0);
    certain || matches!(error, Some(ErrorReply::Coded(CodedError { rate: 1.0, .. })))
}

/// Reports faults of nodes that cannot have them.
fn role(fault: &Fault, network: &Named, at: Origin, found: &mut Vec<Finding>) {
    match fault {
        Fault::Kill(kill) if fault.lasts().is_none() && kill.kill.contains(&NodeSet::AllValidators) => found
            .push(
                Finding::error(at, "without any validator the run fails").with_help(
                    "restart them, such as `restart_after: 5s`, or kill one of them: `kill: validator-0`",
                ),
            ),
        Fault::Partition(PartitionFault { partition, .. }) => {
            if let Some(nodes) = in_two_sets(partition) {
                let message =
                    format!("{nodes} is in two sets of the partition, so it would be separated from itself");
                found.push(Finding::error(at, message).with_help("name each node in one set"));
            }
        }
        Fault::Leave(leave) if leave.leave.iter().any(|nodes| network.has_member(nodes)) => found.push(
            Finding::error(at, "only miners can leave the network")
                .with_help("name miners, such as `leave: uid 3`, or kill the node"),
        ),
        Fault::Link(LinkFault { link, effects, .. }) if link.to.contains(&NodeSet::Chain) => {
            if let Some(ErrorReply::Coded(CodedError { code, .. })) = &effects.error
                && !is_retried(*code)
            {
                let message = format!(
                    "nodes do not repeat a request to the chain that fails with `{}`, so the run fails with the first one",
                    code.word()
                );
                let help = "write `unavailable`, `deadline_exceeded` or `cancelled`";
                found.push(Finding::error(at, message).with_help(help));
            }
        }
        _ => {}
    }
}

/// Returns nodes that two sets of a partition name.
fn in_two_sets(partition: &[Vec<NodeSet>]) -> Option<String> {
    for (index, set) in partition.iter().enumerate() {
        let others = || partition[..index].iter().flatten();
        for nodes in set {
            let common = others().any(|other| match (other, nodes) {
                (NodeSet::Uids(one), NodeSet::Uids(other)) => one.iter().any(|uid| other.contains(&uid)),
                (one, other) => one == other,
            });
            if common {
                return Some(nodes.to_string());
            }
        }
    }
    None
}

/// Returns whether a node repeats a request to the chain that fails with this code.
fn is_retried(code: StatusCode) -> bool {
    matches!(
        code,
        StatusCode::Unavailable | StatusCode::DeadlineExceeded | StatusCode::Cancelled
    )
}
