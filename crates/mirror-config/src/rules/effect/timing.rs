//! Faults that do not happen before the last step, and delays that exceed a deadline.

use mirror_spec::{BehaviourSpec, Fault, KillFault, Latency, Method, SlowArgs, Step, Uids};

use super::super::{Place, origin, stack};
use super::Sound;
use crate::problem::Finding;

pub(super) fn check(sound: Sound<'_>, found: &mut Vec<Finding>) {
    faults(sound, found);
    latencies(sound, found);
}

/// Warns of faults and restarts after the last step.
fn faults(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let Some(steps) = sound.steps() else { return };
    let places = sound.file.resolved.faults().items();
    for (fault, place) in sound.experiment.faults.iter().zip(places) {
        let Fault::Kill(KillFault {
            at: Step(at),
            kill,
            restart_after,
        }) = fault;
        if *at >= steps {
            let message = format!("step {at} is never reached: the query has {steps} steps, counted from 0");
            let help = "choose an earlier step, or run more steps";
            found.push(Finding::warning(origin(place.at()), message).with_help(help));
        } else if let Some(after) = restart_after
            && at.saturating_add(after.0) >= steps
        {
            let message = format!(
                "uid {kill} is killed after step {at} and restarted after step {}, but the query has {steps} steps, \
                 counted from 0, so the restart never happens",
                at.saturating_add(after.0)
            );
            let help = "restart it earlier, run more steps, or remove `restart_after`";
            found.push(Finding::warning(origin(place), message).with_help(help));
        }
    }
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
    let places = sound.file.resolved.network().miners().items();
    for (group, place) in sound.experiment.network.miners.iter().zip(places) {
        let uids = &group.uids;
        if let Some(latency) = &group.latency {
            found.extend(too_slow(latency, place.latency(), uids, &deadline));
        }
        let behaviours = group.behaviour.iter().chain(&group.over);
        for (behaviour, place) in behaviours.zip(stack(place)) {
            if let BehaviourSpec::Slow(SlowArgs { latency }) = behaviour {
                let place = place.args::<SlowArgs>().latency();
                found.extend(too_slow(latency, place, uids, &deadline));
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
    seconds: f64,
}

fn too_slow<T>(latency: &Latency, place: Place<'_, T>, uids: &Uids, deadline: &Deadline) -> Option<Finding> {
    let Slowness {
        calls,
        end,
        what,
        seconds,
    } = slowness(latency);
    if seconds < deadline.seconds {
        return None;
    }
    let message = format!(
        "{calls} uids {uids} {end}: {what} of {seconds} s reaches the deadline of {} s (`{}`)",
        deadline.seconds, deadline.key
    );
    // The number is probably meant in milliseconds if it would then be below the deadline.
    let help = if seconds / 1_000.0 < deadline.seconds {
        format!(
            "a number without a unit is in seconds: write `{seconds}ms` for milliseconds, or raise the deadline"
        )
    } else {
        "use a shorter delay, or raise the deadline".to_owned()
    };
    Some(Finding::warning(origin(place), message).with_help(help))
}

fn slowness(latency: &Latency) -> Slowness {
    let every = |what, seconds| Slowness {
        calls: "every call to",
        end: "times out",
        what,
        seconds,
    };
    let half = |what, seconds| Slowness {
        calls: "half of the calls to",
        end: "time out",
        what,
        seconds,
    };
    match latency {
        Latency::Fixed(delay) => every("the delay", delay.fixed),
        Latency::Normal(delay) => half("the mean delay", delay.mean),
        Latency::Lognormal(delay) => half("the median delay", delay.p50),
        Latency::Zipf(delay) => every("the delay of the first rank", delay.unit),
        Latency::Recorded(delays) => {
            let shortest = delays.recorded.iter().copied().fold(f64::INFINITY, f64::min);
            every("the shortest delay", shortest)
        }
    }
}
