//! Entries of miners and validators that later entries override, and behaviours that never have their effect.

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

/// The uids that no later entry overrides.
struct Left(BTreeSet<u32>);

impl Left {
    fn new(count: u32) -> Self {
        Self((0..count).collect())
    }

    /// Removes the uids of an entry. Returns whether any of them were left.
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
    // A metagraph has at most one neuron per possible uid.
    let count = mirror_spec::key::MAX_UID + 1;
    let (mut behaving, mut linked) = (Left::new(count), Left::new(count));
    for (group, place) in groups.iter().zip(places).rev() {
        let uids = &group.uids;
        let behaves = group.behaviour.is_some() || !group.over.is_empty();
        if !behaves && group.latency.is_none() {
            let message =
                format!("this entry of `network.miners` sets nothing for uids {uids} and has no effect");
            let help = "add a `behaviour` or a `latency`, or remove the entry";
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
                "`stale` has no effect: it stops querying in step {after}, but the query has {steps} steps, counted \
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
    Finding::warning(place, message).with_help("remove it, or move the entry after those that override it")
}

/// Warns of behaviours of a group that never differ from the behaviour below them.
fn behaviours(sound: Sound<'_>, group: &MinerGroup, place: Place<'_, MinerGroup>, found: &mut Vec<Finding>) {
    let behaviours = group.behaviour.iter().chain(&group.over);
    for (behaviour, place) in behaviours.zip(stack(place)) {
        let idle = match behaviour {
            BehaviourSpec::Climbing(_) if !sends_rewards(sound) => Some((
                "no reward is sent to it, so it cannot compare its tricks".to_owned(),
                "set `train_network: true` in the arguments of the query's method".to_owned(),
            )),
            BehaviourSpec::TwoFaced(TwoFacedArgs {
                least_stake: None,
                callers: None,
                while_immune: false,
                chance: 1.0,
                ..
            }) => Some((
                "it favours every caller".to_owned(),
                "set which callers it favours: `least_stake`, `callers`, `while_immune` or `chance`"
                    .to_owned(),
            )),
            BehaviourSpec::Flapping(FlappingArgs { up, .. }) => {
                let steps = sound.steps().filter(|steps| u64::from(*up) >= *steps);
                steps.map(|steps| {
                    (
                        format!(
                            "it first fails in step {up}, but the query has {steps} steps, counted from 0"
                        ),
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

/// Returns whether rewards are sent to axons. True without a query, since manual forwards may send them.
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

/// Warns of masks that exclude all miners.
fn masks(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let Some(miners) = sound.miners() else { return };
    let gating = sound.file.resolved.model().inner().gating_model();
    let mask = gating.args::<MaskedGatingArgs>().mask();
    let Some(masked) = mask.get() else { return };
    let mut left = Left::new(miners);
    left.take(&Mask::ranges(&masked).into_iter().collect::<Vec<_>>());
    if left.0.is_empty() {
        let message = format!("the mask excludes all {miners} miners, so no uid is ever queried");
        let help = "exclude fewer uids, or add miners with `model.metagraph.args.num_nodes`";
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
