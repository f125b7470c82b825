//! Entries of miners and validators that later entries override, and behaviours that never have their effect.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use mirror_spec::{
    BehaviourSpec, FlappingArgs, Mask, MaskedGatingArgs, Method, MinerGroup, TwoFacedArgs, Uids,
    ValidatorBehaviour,
};

use super::super::{Place, is_written, key_origin, origin, stack};
use super::{Sound, counted, named};
use crate::problem::Finding;

pub(super) fn check(sound: Sound<'_>, found: &mut Vec<Finding>) {
    miners(sound, found);
    validators(sound, found);
    uncalled_miners(sound, found);
    masks(sound, found);
}

/// The uids that no later entry overrides.
struct Left(BTreeSet<u32>);

impl Left {
    fn new(count: u32) -> Self {
        Self((0..count).collect())
    }

    /// A metagraph has at most one neuron per possible uid.
    fn of_all_uids() -> Self {
        Self::new(mirror_spec::key::MAX_UID + 1)
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

/// Returns for each entry of `network.miners` whether its latency applies to any uid: whether it has one that later
/// entries do not override for all of its uids.
pub(super) fn applied_latencies(groups: &[MinerGroup]) -> Vec<bool> {
    let mut linked = Left::of_all_uids();
    let mut applied: Vec<bool> = groups
        .iter()
        .rev()
        .map(|group| group.latency.is_some() && linked.take(group.uids.ranges()))
        .collect();
    applied.reverse();
    applied
}

fn miners(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let places: Vec<_> = sound.file.resolved.network().miners().items().collect();
    let groups = &sound.experiment.network.miners;
    let mut behaving = Left::of_all_uids();
    let applied = applied_latencies(groups);
    for ((group, place), latency_applies) in groups.iter().zip(places).zip(applied).rev() {
        let uids = &group.uids;
        let behaves = group.behaves();
        if !behaves && group.latency.is_none() && group.label.is_none() {
            let message = format!(
                "this entry of `network.miners` sets nothing for {} and has no effect",
                named(uids)
            );
            let help = "add a `label`, a `behaviour` or a `latency`, or remove the entry";
            found.push(Finding::warning(origin(place), message).with_help(help));
        }
        let what = if group.outside().is_some() {
            "program"
        } else {
            "behaviour"
        };
        if behaves && behaving.take(uids.ranges()) {
            behaviours(sound, group, place, found);
        } else if behaves {
            found.push(overridden(origin(place), what, "network.miners", uids));
        }
        if group.latency.is_some() && !latency_applies {
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
        if group.behaviour.is_none() && group.label.is_none() {
            let message = format!(
                "this entry of `network.validator_groups` sets nothing for validators {validators} and has no effect"
            );
            let help = "add a `label` or a `behaviour`, or remove the entry";
            found.push(Finding::warning(origin(place), message).with_help(help));
        }
        let Some(behaviour) = &group.behaviour else {
            continue;
        };
        if !left.take(validators.ranges()) {
            let list = "network.validator_groups";
            found.push(overridden(origin(place), "behaviour", list, validators));
        } else if let (ValidatorBehaviour::Stale(args), Some(steps)) = (behaviour, sound.steps())
            && args.after >= steps
        {
            let after = args.after;
            let message = format!(
                "`stale` has no effect: it stops querying in step {after}, but the query has {}, counted from 0",
                counted(steps, "step")
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
                match sound.experiment.query.as_ref().map(|query| &query.method) {
                    Some(Method::Inference(_)) => {
                        "use the method `train` or `forward` with `train_network: true`".to_owned()
                    }
                    _ => "set `train_network: true` in the arguments of the query's method".to_owned(),
                },
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
                            "it first fails in step {up}, but the query has {}, counted from 0",
                            counted(steps, "step")
                        ),
                        format!("set `up` to less than {steps}"),
                    )
                })
            }
            _ => None,
        };
        if let BehaviourSpec::TwoFaced(TwoFacedArgs {
            callers: Some(callers),
            ..
        }) = behaviour
            && let Some(message) = favours_no_caller(sound, callers)
        {
            let help = "name validators in `callers`, or use `failing`";
            found.push(Finding::warning(origin(place), message).with_help(help));
        }
        if let Some((why, help)) = idle {
            let message = format!("`{}` has no effect: {why}", behaviour.name());
            found.push(Finding::warning(origin(place), message).with_help(help));
        }
    }
}

/// Returns a message if a `two_faced` miner favours only miners, which call nothing unless one of them is a `copycat`.
fn favours_no_caller(sound: Sound<'_>, callers: &Uids) -> Option<String> {
    let groups = &sound.experiment.network.miners;
    let mut behaviours = groups
        .iter()
        .flat_map(|group| group.behaviour.iter().chain(&group.over));
    let some_miner_calls = behaviours.any(|behaviour| matches!(behaviour, BehaviourSpec::Copycat(_)));
    let miners = sound.miners()?;
    (callers.greatest() < miners && !some_miner_calls).then(|| {
        format!(
            "`two_faced` fails every call: it favours only calls from miners (`callers`: {callers}), and no miner of this \
             file calls another"
        )
    })
}

/// Warns once of all entries of miners if no validator calls a miner.
fn uncalled_miners(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let network = &sound.experiment.network;
    let miners = sound.file.resolved.network().miners();
    if sound.experiment.query.is_none() || network.miners.is_empty() || !is_written(miners) {
        return;
    }
    let mut left = Left::new(network.validators);
    for group in network.validator_groups.iter().rev() {
        let Some(behaviour) = &group.behaviour else {
            continue;
        };
        let applies = left.take(group.validators.ranges());
        let calls = match behaviour {
            ValidatorBehaviour::Copier(_) | ValidatorBehaviour::Lazy(_) => false,
            ValidatorBehaviour::Stale(args) => args.after > 0,
            ValidatorBehaviour::Honest(_)
            | ValidatorBehaviour::Cabal(_)
            | ValidatorBehaviour::Random(_)
            | ValidatorBehaviour::Bribed(_) => true,
        };
        if applies && calls {
            return;
        }
    }
    if left.0.is_empty() {
        let message = "`network.miners` has no effect: no validator calls a miner, because the behaviours of all \
                       validators in `network.validator_groups` call none";
        let help =
            "give one validator a behaviour that calls miners, such as `honest`, or remove the entries";
        found.push(Finding::warning(key_origin(miners), message).with_help(help));
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
