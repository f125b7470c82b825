//! Faults that do not happen before the last step, and delays that exceed a deadline.

use mirror_spec::{
    BehaviourSpec, Fault, Latency, LinkFault, Method, Model, Moment, NodeSet, SlowArgs, SubtensorSpec, Uids,
    nodes_text,
};

use super::super::{Place, origin, stack};
use super::{Sound, counted, groups, named};
use crate::problem::Finding;
use crate::tree::{Node, Origin};

pub(super) fn check(sound: Sound<'_>, found: &mut Vec<Finding>) {
    faults(sound, found);
    latencies(sound, found);
}

/// Warns of faults that never occur, and of restarts after the last step.
fn faults(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let first_block = match &sound.experiment.model {
        Some(Model {
            subtensor: SubtensorSpec::DummySubtensor(chain),
            ..
        }) => chain.block,
        _ => 0,
    };
    let places = sound.file.resolved.faults().items();
    for (fault, place) in sound.experiment.faults.iter().zip(places) {
        let when = fault.when();
        if let Some((message, help)) = fault.without_effect() {
            found.push(Finding::warning(origin(place), message).with_help(help));
        }
        packed(sound, fault, origin(place), found);
        lost_requests(fault, origin(place), found);
        if when.probability == 0.0 {
            let message = "the fault never occurs, because its probability is 0";
            let help = "write a larger `probability`, or remove the fault";
            found.push(Finding::warning(origin(place.when().probability()), message).with_help(help));
            continue;
        }
        let Some(steps) = sound.steps() else { continue };
        let has = counted(steps, "step");
        let step = |moment| match moment {
            Moment::Step(step) => Some(step),
            Moment::Block(block) => Some(block.saturating_sub(first_block)),
            Moment::Time(_) => None,
        };
        let Some(begins) = step(fault.start()) else {
            continue;
        };
        if begins >= steps {
            let message = format!(
                "the fault never occurs: it begins at {}, but the query has {has}, counted from 0",
                fault.start()
            );
            let help = "choose an earlier step, or run more steps";
            found.push(Finding::warning(origin(place.when().at()), message).with_help(help));
            continue;
        }
        let Fault::Kill(kill) = fault else { continue };
        let killed = nodes_text(&kill.kill);
        let lasts = fault.lasts();
        let restart = lasts
            .and_then(|lasts| fault.start().after(1, lasts))
            .or(when.until)
            .and_then(step);
        if let Some(restart) = restart.filter(|restart| *restart >= steps) {
            let message = format!(
                "the fault kills {killed} before step {begins}, with a restart before step {restart}, but the query has \
                 {has}, counted from 0, so the restart never happens"
            );
            let help = "restart it earlier, run more steps, or remove `restart_after`";
            found.push(Finding::warning(origin(place), message).with_help(help));
        } else if restart.is_none() && lasts.is_none() && is_dead(sound, fault, begins) {
            let message = format!(
                "killing {killed} before step {begins} has no effect: an earlier fault has killed it, and no fault restarts it"
            );
            let help = "add `restart_after` to the earlier fault, or remove this one";
            found.push(Finding::warning(origin(place), message).with_help(help));
        }
    }
}

/// Warns of faults on processes that host more axons than the fault names.
fn packed(sound: Sound<'_>, fault: &Fault, at: Origin, found: &mut Vec<Finding>) {
    let size = sound.experiment.network.axons_per_process;
    let is_of_process = matches!(
        fault.kind(),
        "kill" | "crash_loop" | "pause" | "limit" | "disk_full" | "clock" | "leave"
    );
    if size == 1 || !is_of_process {
        return;
    }
    for nodes in fault.nodes() {
        let NodeSet::Uids(uids) = &nodes else { continue };
        let miners = sound.miners().unwrap_or(u32::MAX);
        let process = |uid: u32| uid - uid % size..(uid - uid % size + size).min(miners);
        let also = uids
            .iter()
            .filter(|uid| *uid < miners)
            .flat_map(process)
            .find(|uid| !uids.contains(uid));
        if let Some(uid) = also {
            let message = format!(
                "the fault also affects uid {uid}: `network.axons_per_process` is {size}, so it shares a process with one \
                 of {nodes}"
            );
            let help = "name all uids of the process, or set `axons_per_process: 1`";
            found.push(Finding::warning(at, message).with_help(help));
            return;
        }
    }
}

/// Warns of faults that lose a part of the requests to the chain, because steps wait until they are repeated.
fn lost_requests(fault: &Fault, at: Origin, found: &mut Vec<Finding>) {
    let Fault::Link(LinkFault { link, effects, .. }) = fault else {
        return;
    };
    let lost = [effects.drop, effects.drop_reply, effects.stall]
        .into_iter()
        .fold(0.0, f64::max);
    if lost > 0.0 && link.to.contains(&NodeSet::Chain) {
        let message = "the fault loses requests to the chain, and each lost one delays the step of all validators by 5 s";
        let help = "write `refuse` for requests that are repeated at once, or remove `chain` from `to`";
        found.push(Finding::warning(at, message).with_help(help));
    }
}

/// Returns whether each of the nodes that a fault kills is named by an earlier fault that kills it for good.
fn is_dead(sound: Sound<'_>, fault: &Fault, step: u64) -> bool {
    let lasting = sound.experiment.faults.iter().filter(|earlier| {
        let begins_earlier = matches!(earlier.start(), Moment::Step(begins) if begins < step);
        begins_earlier
            && earlier.lasts().is_none()
            && earlier.when().until.is_none()
            && earlier.kind() == "kill"
    });
    let dead: Vec<NodeSet> = lasting.flat_map(Fault::nodes).collect();
    let covers = |nodes: &NodeSet| match nodes {
        NodeSet::Uids(uids) => uids.iter().all(|uid| {
            let names = |dead: &NodeSet| matches!(dead, NodeSet::Uids(dead) if dead.contains(&uid));
            dead.iter().any(names)
        }),
        nodes => dead.contains(nodes),
    };
    fault.nodes().iter().all(covers)
}

/// The deadline of the calls of a query.
struct Deadline {
    seconds: f64,
    key: &'static str,
}

/// Warns of delays with which replies come after the deadline. `time_scale` applies to delays and deadlines alike.
fn latencies(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let (Some(model), Some(query)) = (&sound.experiment.model, &sound.experiment.query) else {
        return;
    };
    let neuron = &model.neuron;
    let (own, seconds, key) = match &query.method {
        Method::Train(_) => (None, neuron.training_timeout, "training_timeout"),
        Method::Forward(args) => (args.timeout, neuron.training_timeout, "training_timeout"),
        Method::Inference(args) => (args.timeout, neuron.inference_timeout, "inference_timeout"),
    };
    let deadline = own.map_or(Deadline { seconds, key }, |seconds| Deadline {
        seconds,
        key: "timeout",
    });
    let groups = &sound.experiment.network.miners;
    let places = sound.file.resolved.network().miners().items();
    let applied = groups::applied_latencies(groups);
    for ((group, place), latency_applies) in groups.iter().zip(places).zip(applied) {
        let uids = &group.uids;
        // An entry whose latency does not apply is reported as overridden.
        if let Some(latency) = group.latency.as_ref().filter(|_| latency_applies) {
            found.extend(too_slow(sound, latency, place.latency(), uids, &deadline));
        }
        let behaviours = group.behaviour.iter().chain(&group.over);
        for (behaviour, place) in behaviours.zip(stack(place)) {
            if let BehaviourSpec::Slow(SlowArgs { latency }) = behaviour {
                let place = place.args::<SlowArgs>().latency();
                found.extend(too_slow(sound, latency, place, uids, &deadline));
            }
        }
    }
}

/// The calls that a distribution of delays makes time out with any deadline of at most `seconds`.
struct Slowness {
    calls: &'static str,
    end: &'static str,
    /// Name of the parameter of the distribution.
    what: &'static str,
    /// Key of the parameter.
    key: &'static str,
    seconds: f64,
}

/// Returns a duration with its unit: `4 s`, or `80 ms` for less than a second.
fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        // Rounding to microseconds hides the error of the multiplication.
        format!("{} ms", (seconds * 1e6).round() / 1e3)
    } else {
        format!("{seconds} s")
    }
}

/// Returns whether a number is written at this place of the file, without a unit.
fn is_bare_number(node: Option<&Node>, origin: Origin, number: f64) -> bool {
    node.is_some_and(|node| {
        let is_it = node.origin == origin && node.as_number() == Some(number);
        let mut values = node
            .entries()
            .iter()
            .map(|entry| &entry.value)
            .chain(node.items());
        is_it || values.any(|value| is_bare_number(Some(value), origin, number))
    })
}

fn too_slow<T>(
    sound: Sound<'_>,
    latency: &Latency,
    place: Place<'_, T>,
    uids: &Uids,
    deadline: &Deadline,
) -> Option<Finding> {
    let Slowness {
        calls,
        end,
        what,
        key,
        seconds,
    } = slowness(latency);
    if seconds < deadline.seconds {
        return None;
    }
    let message = format!(
        "{calls} {} {end}: {what} of {} reaches the deadline of {} (`{}`)",
        named(uids),
        duration(seconds),
        duration(deadline.seconds),
        deadline.key
    );
    // The number is probably meant in milliseconds if it would then be below the deadline.
    let node = place.node().map(|node| node.get(key).unwrap_or(node));
    let bare = node.is_some_and(|node| is_bare_number(sound.file.given.node(), node.origin, seconds));
    let help = if bare && seconds / 1_000.0 < deadline.seconds {
        format!(
            "a number without a unit is in seconds: write `{seconds}ms` for milliseconds, or raise the deadline"
        )
    } else {
        "use a shorter delay, or raise the deadline".to_owned()
    };
    Some(Finding::warning(origin(place), message).with_help(help))
}

fn slowness(latency: &Latency) -> Slowness {
    let every = |what, key, seconds| Slowness {
        calls: "every call to",
        end: "times out",
        what,
        key,
        seconds,
    };
    let half = |what, key, seconds| Slowness {
        calls: "half of the calls to",
        end: "time out",
        what,
        key,
        seconds,
    };
    match latency {
        Latency::Fixed(delay) => every("the delay", "fixed", delay.fixed),
        Latency::Normal(delay) => half("the mean delay", "mean", delay.mean),
        Latency::Lognormal(delay) => half("the median delay", "p50", delay.p50),
        // The file is read only by a run.
        Latency::Trace(_) => every("the delay", "trace", 0.0),
        Latency::Zipf(delay) => every("the delay of the first rank", "unit", delay.unit),
        Latency::Recorded(delays) => {
            let shortest = delays.recorded.iter().copied().fold(f64::INFINITY, f64::min);
            every("the shortest delay", "recorded", shortest)
        }
    }
}
