//! Entries of miners and validators that later entries override, and behaviours that cannot do what they are for.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use mirror_spec::{
    BehaviourSpec, FlappingArgs, Mask, MaskedGatingArgs, Method, MinerGroup, TwoFacedArgs, Uids,
    ValidatorBehaviour,
};

use super::super::{Place, origin, stack};
use super::Sound;
use crate::problem::Finding;

pub(super) fn check(sound: Sound<'_>, found: &mut Vec<Finding>) {
    miners(sound, found);
    validators(sound, found);
    masks(sound, found);
}

/// uids of which no later entry says the same.
struct Left(BTreeSet<u32>);

impl Left {
    fn new(count: u32) -> Self {
        Self((0..count).collect())
    }

    /// Takes out the uids of an entry. Returns whether there were any left.
    fn take(&mut self, ranges: &[RangeInclusive<u32>]) -> bool {
        let taken: Vec<u32> = ranges
            .iter()
            .flat_map(|range| self.0.range(range.clone()))
            .copied()
            .collect();
        for uid in &taken {
            self.0.remove(uid);
        }
        !taken.is_empty()
    }
}

fn miners(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let places: Vec<_> = sound.file.resolved.network().miners().items().collect();
    let groups = &sound.experiment.network.miners;
    // A metagraph has as many neurons as there are uids, at most.
    let count = mirror_spec::key::MAX_UID + 1;
    let (mut behaving, mut linked) = (Left::new(count), Left::new(count));
    for (group, place) in groups.iter().zip(places).rev() {
        let uids = &group.uids;
        let behaves = group.behaviour.is_some() || !group.over.is_empty();
        if !behaves && group.latency.is_none() {
            let message =
                format!("this entry of `network.miners` says nothing of uids {uids} and has no effect");
            let help = "give it a `behaviour` or a `latency`, or leave it out";
            found.push(Finding::warning(origin(place), message).with_help(help));
        }
        if behaves && behaving.take(uids.ranges()) {
            behaviours(sound, group, place, found);
        } else if behaves {
            found.push(overridden(origin(place), "behaviour", "network.miners", uids));
        }
        if group.latency.is_some() && !linked.take(uids.ranges()) {
            found.push(overridden(
                origin(place.latency()),
                "latency",
                "network.miners",
                uids,
            ));
        }
    }
}

fn validators(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let places: Vec<_> = sound.file.resolved.network().validator_groups().items().collect();
    let network = &sound.experiment.network;
    let mut left = Left::new(network.validators);
    for (group, place) in network.validator_groups.iter().zip(places).rev() {
        let validators = &group.validators;
        if !left.take(validators.ranges()) {
            let list = "network.validator_groups";
            found.push(overridden(origin(place), "behaviour", list, validators));
        } else if let (ValidatorBehaviour::Stale(args), Some(steps)) = (&group.behaviour, sound.steps())
            && args.after >= steps
        {
            let after = args.after;
            let message = format!(
                "`stale` has no effect: it asks nobody any more from step {after} on, and the query has {steps} steps, \
                 from 0"
            );
            let help = format!("set `after` to less than {steps}");
            found.push(Finding::warning(origin(place.behaviour()), message).with_help(help));
        }
    }
}

fn overridden(place: crate::tree::Origin, what: &str, list: &str, uids: &Uids) -> Finding {
    let message = format!(
        "the {what} of this entry has no effect: later entries of `{list}` override it for all of {uids}"
    );
    Finding::warning(place, message).with_help("leave it out, or put it after those that override it")
}

/// Behaviours of a group that never do anything else than what they are laid over.
fn behaviours(sound: Sound<'_>, group: &MinerGroup, place: Place<'_, MinerGroup>, found: &mut Vec<Finding>) {
    let behaviours = group.behaviour.iter().chain(&group.over);
    for (behaviour, place) in behaviours.zip(stack(place)) {
        let idle = match behaviour {
            BehaviourSpec::Climbing(_) if !sends_rewards(sound) => Some((
                "no reward is sent to it, so that it goes on trying any trick".to_owned(),
                "set `train_network: true` in the query's method".to_owned(),
            )),
            BehaviourSpec::TwoFaced(TwoFacedArgs {
                least_stake: None,
                callers: None,
                while_immune: false,
                chance: 1.0,
                ..
            }) => Some((
                "it favours every caller, and fails none".to_owned(),
                "say whom it favours: `least_stake`, `callers`, `while_immune` or `chance`".to_owned(),
            )),
            BehaviourSpec::Flapping(FlappingArgs { up, .. }) => {
                let steps = sound.steps().filter(|steps| u64::from(*up) >= *steps);
                steps.map(|steps| {
                    (
                        format!("it first fails in step {up}, and the query has {steps} steps, from 0"),
                        format!("set `up` to less than {steps}"),
                    )
                })
            }
            _ => None,
        };
        if let Some((why, help)) = idle {
            let message = format!("`{}` has no effect: {why}", behaviour.name());
            found.push(Finding::warning(origin(place), message).with_help(help));
        }
    }
}

/// Whether axons are told what their answers earned. Without a query, whoever asks by hand decides.
fn sends_rewards(sound: Sound<'_>) -> bool {
    sound
        .experiment
        .query
        .as_ref()
        .is_none_or(|query| match &query.method {
            Method::Train(args) => args.train_network,
            Method::Forward(args) => args.train_network,
            Method::Inference(_) => false,
        })
}

/// Masks that leave nobody to ask.
fn masks(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let Some(miners) = sound.miners() else { return };
    let gating = sound.file.resolved.model().inner().gating_model();
    let mask = gating.args::<MaskedGatingArgs>().mask();
    let Some(masked) = mask.get() else { return };
    let mut left = Left::new(miners);
    left.take(&Mask::ranges(&masked).into_iter().collect::<Vec<_>>());
    if left.0.is_empty() {
        let message = format!("the mask leaves out all {miners} miners: nobody is ever asked");
        let help = "mask out fewer uids, or add miners with `model.metagraph.args.num_nodes`";
        found.push(Finding::warning(if_written(mask, gating), message).with_help(help));
    }
}

fn if_written<T, U>(place: Place<'_, T>, outer: Place<'_, U>) -> crate::tree::Origin {
    if super::is_written(place) {
        origin(place)
    } else {
        origin(outer)
    }
}
