//! Rules between the values of a file, in addition to the range of each value.
//!
//! The rules see only the values that passed `check`. A value that is missing there has already been reported, so a
//! rule that needs it reports nothing. Values are accessed by typed places, so a misspelt path does not compile.

mod columns;
pub(crate) mod effect;
mod faults;
mod labels;
mod outside;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use mirror_spec::at::At;
use mirror_spec::key::{MAX_UID, Property, Whose};
use mirror_spec::notation::range_text;
use mirror_spec::{
    BehaviourSpec, CopycatArgs, DendritePool, DummyDendritePoolArgs, Experiment, ForwardArgs, GatingModel,
    HonestArgs, HuggingFaceGatingArgs, Mask, MaskedGatingArgs, MetagraphArgs, MinerGroup, NeuronSettings,
    SampleMethod, SequentialGatingArgs, SubtensorSpec, Uids,
};

use crate::check::NamedUids;
use crate::problem::Finding;
use crate::spelling::{brief, suggest};
use crate::tree::{Node, Origin};

/// Maximum number of neurons of a subnet.
const MAX_NEURONS: u32 = MAX_UID + 1;

/// Maximum length of the name of an estimator in characters.
const LONGEST_NAME: usize = 40;

/// The place of a value in the tree of a file.
type Place<'a, T> = At<'a, Node, T>;

/// A file after the check of its single values.
#[derive(Clone, Copy)]
pub(crate) struct Walked<'a> {
    /// The file as it was written.
    pub(crate) given: Place<'a, Experiment>,
    /// The file with every default filled in and without invalid values.
    pub(crate) resolved: Place<'a, Experiment>,
    /// All uids that the file names.
    pub(crate) uids: &'a [NamedUids],
}

/// Checks every rule between values.
pub(crate) fn check(file: Walked<'_>, found: &mut Vec<Finding>) {
    let rules = [
        sections,
        sample,
        expectations,
        analysis,
        columns::check,
        network_size,
        topks,
        gating_models,
        named_uids,
        labels::check,
        outside::check,
        self_copying,
        unreachable_behaviours,
        inherited_rates,
        started_from,
        running_chain,
        faults::check,
    ];
    for rule in rules {
        rule(file, found);
    }
}

/// Returns whether the tree has a value at this place that is not null.
fn is_given<T>(place: Place<'_, T>) -> bool {
    place.node().is_some_and(|node| !node.is_null())
}

/// Returns the origin of a value, or of the map that does not contain it.
fn origin<T>(place: Place<'_, T>) -> Origin {
    let outer = place.inside().map(|(map, _)| map);
    place.node().or(outer).map_or(Origin::Default, |node| node.origin)
}

/// Returns the origin of the key of a value.
fn key_origin<T>(place: Place<'_, T>) -> Origin {
    let entry = place.inside().and_then(|(map, key)| map.entry(key));
    entry.map_or_else(|| origin(place), |entry| entry.key_origin)
}

/// Returns whether a value is written in the file and is not a default.
fn is_written<T>(place: Place<'_, T>) -> bool {
    place.node().is_some_and(|node| node.origin != Origin::Default)
}

fn sections(file: Walked<'_>, found: &mut Vec<Finding>) {
    let given = file.given;
    let has_model = is_given(given.model());
    let others = is_given(given.data()) || is_given(given.query()) || is_given(given.analysis());
    if !has_model && !others {
        found.push(
            Finding::error(
                origin(given),
                "there is nothing to do: the file has none of the sections `model`, `data`, `query`, `analysis`",
            )
            .with_help("see `configs/quickstart.yml` for an example"),
        );
    }
    if !is_given(given.query()) {
        return;
    }
    if !has_model {
        found.push(
            Finding::error(
                key_origin(given.query()),
                "`query` needs a `model` section: without it there are no miners to query",
            )
            .with_help("add `model`, or remove `query`"),
        );
    }
    let method = file.resolved.query().inner().method();
    if let Some((name @ ("forward" | "inference"), node)) = method.component()
        && !is_given(given.data())
    {
        found.push(
            Finding::error(
                node.origin,
                format!("`{name}` needs a `data` section: its questions come from the data"),
            )
            .with_help("add `data`, such as `data: {id: my_data, path: builtin}`"),
        );
    }
}

fn sample(file: Walked<'_>, found: &mut Vec<Finding>) {
    let sample = file.resolved.data().inner().sample().keys();
    if let Some(method @ (SampleMethod::First | SampleMethod::Random)) = sample.method().get()
        && !is_given(file.given.data().inner().sample().keys().n())
    {
        found.push(
            Finding::error(
                origin(sample),
                format!(
                    "`data.sample` with the method `{}` has no number of rows",
                    method.word()
                ),
            )
            .with_help("add the number of rows, such as `n: 100`"),
        );
    }
}

fn expectations(file: Walked<'_>, found: &mut Vec<Finding>) {
    if file.given.expect().items().len() == 0 {
        return;
    }
    if !is_given(file.given.query()) {
        found.push(
            Finding::error(
                key_origin(file.given.expect()),
                "`expect` needs a `query` section: without it there is no run to evaluate",
            )
            .with_help("add `query`, or query an earlier run with `mirror sql`"),
        );
    }
    let mut names: Vec<String> = Vec::new();
    for expectation in file.resolved.expect().items() {
        let Some(name) = expectation.name().get() else {
            continue;
        };
        if names.contains(&name) {
            found.push(
                Finding::error(
                    origin(expectation.name()),
                    format!("two expectations have the name `{name}`"),
                )
                .with_help("give each expectation a different name"),
            );
        }
        names.push(name);
    }
}

fn analysis(file: Walked<'_>, found: &mut Vec<Finding>) {
    let analysis = file.resolved.analysis();
    if !is_given(analysis) {
        return;
    }
    let query = file.resolved.query().inner().id().get();
    let requires = analysis.inner().requires();
    let says_nothing = !is_given(file.given.analysis().inner().requires());
    if requires.items().len() == 0 && !is_given(file.given.query()) && says_nothing {
        found.push(
            Finding::error(
                key_origin(analysis),
                "`analysis` has nothing to read: the file has no `query`, and `analysis` has no `requires`",
            )
            .with_help("name a run, such as `requires: [last]`"),
        );
    }
    for required in requires.items() {
        // In a file without a query, a name may be that of a query of an earlier run.
        if let (Some(name), Some(query)) = (required.get(), &query)
            && *query != name
            && !names_a_result(&name)
        {
            found.push(
                Finding::error(
                    origin(required),
                    format!("`{name}` is neither the query of this file, nor the id of a run, nor the path of a run"),
                )
                .with_help(suggest(&name, &[query])),
            );
        }
    }
    let columns = analysis.inner().embedding_plot().inner().columns();
    let count = columns.items().len();
    if is_given(columns) && count != 3 {
        found.push(
            Finding::error(
                origin(columns),
                format!("`analysis.embedding_plot.columns` names {count} columns instead of 3"),
            )
            .with_help("name three columns: x, y and z"),
        );
    }
    let known = analysis
        .inner()
        .estimators()
        .node()
        .map(Node::entries)
        .unwrap_or_default();
    for estimator in known {
        let name = &estimator.key;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
            found.push(
                Finding::error(
                    estimator.key_origin,
                    format!(
                        "the name of an estimator has 1 to {LONGEST_NAME} letters, digits, `_` and `-`: plots and \
                         files are named after it"
                    ),
                )
                .with_help("write a short name, such as `fit`"),
            );
        }
    }
    let known: Vec<&str> = known.iter().map(|entry| entry.key.as_str()).collect();
    let predict = analysis.inner().predict();
    for target in predict.node().map(Node::entries).unwrap_or_default() {
        let estimator = predict.named(&target.key).estimator();
        if let Some(name) = estimator.get().filter(|name| !known.contains(&name.as_str())) {
            found.push(
                Finding::error(origin(estimator), format!("no estimator is called `{name}`")).with_help(
                    format!(
                        "define the estimator in `analysis.estimators`, or correct the name: {}",
                        suggest(&name, &known)
                    ),
                ),
            );
        }
    }
}

/// Returns whether a name can be a path or the id of a run, which begins with a date.
fn names_a_result(name: &str) -> bool {
    let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let date: String = name.chars().take(10).map(digits).collect();
    date == "0000-00-00" || name.contains(['/', '\\', '.'])
}

/// Returns the number of uids that can be miners. `None` if the subnet starts from a metagraph, which is not read here.
fn miners(file: Walked<'_>) -> Option<u32> {
    if is_given(file.resolved.network().metagraph()) {
        return None;
    }
    let metagraph = file.resolved.model().inner().metagraph();
    metagraph.args::<MetagraphArgs>().num_nodes().get()
}

/// Returns the number of uids for miners that join during the run. 0 if a value on which it depends is invalid.
fn uids_for_newcomers(file: Walked<'_>) -> u32 {
    let manually = file.resolved.network().room_for().get().unwrap_or_default();
    let faults = file.resolved.faults().items().filter_map(Place::get);
    let by_faults = faults.map(|fault| fault.newcomers());
    by_faults.fold(manually, u32::saturating_add)
}

/// Returns the number of uids that the gating models must score. `None` if the subnet starts from a metagraph.
fn scored_uids(file: Walked<'_>) -> Option<u32> {
    let miners = miners(file)?;
    match uids_for_newcomers(file) {
        0 => Some(miners),
        newcomers => {
            let genesis = miners.saturating_add(file.resolved.network().validators().get()?);
            Some(genesis.saturating_add(newcomers))
        }
    }
}

fn network_size(file: Walked<'_>, found: &mut Vec<Finding>) {
    let validators = file.resolved.network().validators();
    let Some(count) = validators.get() else { return };
    let stakes = file.resolved.network().stakes();
    let named = stakes.items().len();
    if named > count as usize {
        found.push(
            Finding::warning(
                origin(stakes),
                format!(
                    "`network.stakes` has {named} values for {count} validators: the last ones have no effect"
                ),
            )
            .with_help(
                "write at most one stake per validator: the last one applies to all validators after it",
            ),
        );
    }
    let newcomers = uids_for_newcomers(file);
    let is_too_many = |miners: &u32| miners.saturating_add(count).saturating_add(newcomers) > MAX_NEURONS;
    if let Some(miners) = miners(file).filter(is_too_many) {
        let message = match newcomers {
            0 => format!("{miners} miners and {count} validators are too many for a subnet"),
            newcomers => format!(
                "{miners} miners, {count} validators and {newcomers} miners that join are too many for a subnet"
            ),
        };
        found.push(
            Finding::error(origin(validators), message)
                .with_help(format!("a subnet has at most {MAX_NEURONS} neurons")),
        );
    }
}

/// Reports numbers of axons that are larger than the number of miners. Defaults are lowered by [`settle`] instead.
fn topks(file: Walked<'_>, found: &mut Vec<Finding>) {
    let Some(miners) = miners(file) else { return };
    let newcomers = uids_for_newcomers(file);
    let neuron = file.resolved.model().inner().neuron();
    let forward = file.resolved.query().inner().method().args::<ForwardArgs>();
    let mut fits = |key: &str, topk: Option<i64>, origin: Origin| {
        let most = i64::from(miners.saturating_add(newcomers));
        if let Some(count) = topk.filter(|count| *count > most && origin != Origin::Default) {
            found.push(
                Finding::error(
                    origin,
                    format!("`{key}` queries {count} axons, but the network has {miners} miners"),
                )
                .with_help(format!(
                    "write at most {most}, or set a larger `model.metagraph.args.num_nodes`"
                )),
            );
        }
    };
    for topk in [neuron.training_topk(), neuron.inference_topk()] {
        let key = topk.inside().map_or("", |(_, key)| key);
        fits(key, topk.get().map(i64::from), origin(topk));
    }
    let topk = forward.topk();
    fits("topk", topk.inner().get(), origin(topk));
}

/// Reports gating models that do not score every miner, and masks of uids that do not exist.
fn gating_models(file: Walked<'_>, found: &mut Vec<Finding>) {
    let (Some(miners), Some(scored)) = (miners(file), scored_uids(file)) else {
        return;
    };
    let gating = file.resolved.model().inner().gating_model();
    let masked = gating.args::<MaskedGatingArgs>();
    for gating in [gating, masked.gating_model().unboxed()] {
        scores_all(miners, scored, gating, found);
    }
    if let Some(Mask::First(count)) = masked.mask().get()
        && count > miners
    {
        let place = if is_written(masked.mask()) {
            origin(masked.mask())
        } else {
            origin(gating)
        };
        found.push(outside(&(0..=count - 1), miners, place));
    }
}

fn scores_all(miners: u32, scored: u32, gating: Place<'_, GatingModel>, found: &mut Vec<Finding>) {
    let of_sequential = gating.args::<SequentialGatingArgs>().num_uids();
    let of_transformer = gating.args::<HuggingFaceGatingArgs>().num_uids();
    let outputs = of_sequential.inner().get().or_else(|| of_transformer.get());
    let Some(count) = outputs.filter(|count| *count < scored) else {
        return;
    };
    let place = if is_written(of_sequential) {
        origin(of_sequential)
    } else if is_written(of_transformer) {
        origin(of_transformer)
    } else {
        origin(gating)
    };
    let message = if scored == miners {
        format!("the gating model scores {count} uids, but the network has {miners} miners")
    } else {
        format!(
            "the gating model scores {count} uids, but the network has {scored}, with the validators and the miners that \
             join"
        )
    };
    found.push(
        Finding::error(place, message).with_help(format!("set `num_uids` to {scored} or more, or remove it")),
    );
}

/// Reports uids and validator indices that do not exist.
fn named_uids(file: Walked<'_>, found: &mut Vec<Finding>) {
    let validators = file.resolved.network().validators().get();
    let miners = miners(file);
    let newcomers = uids_for_newcomers(file);
    for NamedUids {
        whose,
        uids,
        origin,
        in_fault,
    } in file.uids
    {
        let joins = |genesis: u32| {
            *in_fault && *uids.start() >= genesis && *uids.end() < genesis.saturating_add(newcomers)
        };
        let problem = match (whose, miners, validators) {
            (Whose::Miner, Some(miners), Some(validators)) if joins(miners.saturating_add(validators)) => {
                continue;
            }
            (Whose::Miner, Some(miners), _) if *uids.end() >= miners => outside(uids, miners, *origin),
            (Whose::Neuron, Some(miners), Some(validators)) if *uids.end() >= miners + validators => {
                Finding::error(*origin, format!("no neuron has uid {}", range_text(uids))).with_help(format!(
                    "miners have uids 0 to {}, validators have uids {miners} to {}",
                    miners.saturating_sub(1),
                    miners + validators - 1
                ))
            }
            (Whose::ValidatorIndex, _, Some(validators)) if *uids.end() >= validators => Finding::error(
                *origin,
                format!(
                    "there is no validator {} in a network of {validators} validators",
                    range_text(uids)
                ),
            )
            .with_help(format!("validator indices go from 0 to {}", validators - 1)),
            _ => continue,
        };
        found.push(problem);
    }
}

fn outside(uids: &RangeInclusive<u32>, miners: u32, origin: Origin) -> Finding {
    let uids = range_text(uids);
    Finding::error(
        origin,
        format!("uid {uids} is outside the network of {miners} miners"),
    )
    .with_help(format!("uids of miners go from 0 to {}", miners - 1))
}

/// Returns the behaviours of a group of miners, the topmost first.
fn stack(group: Place<'_, MinerGroup>) -> impl Iterator<Item = Place<'_, BehaviourSpec>> {
    let uppermost = group.behaviour();
    let uppermost = is_given(uppermost).then(|| uppermost.inner());
    uppermost.into_iter().chain(group.over().items())
}

/// Reports copycats that are among their own victims.
fn self_copying(file: Walked<'_>, found: &mut Vec<Finding>) {
    for group in file.resolved.network().miners().items() {
        let Some(own) = group.uids().get() else { continue };
        let own: BTreeSet<u32> = own.iter().collect();
        let copycats = stack(group).map(Place::args::<CopycatArgs>);
        for victims in copycats.map(Place::victims) {
            let named = victims.get();
            let uid = named.and_then(|named| named.iter().find(|uid| own.contains(uid)));
            if let Some(uid) = uid {
                found.push(
                    Finding::error(
                        origin(victims),
                        format!("uid {uid} would copy itself: it is in `uids` and in `victims`"),
                    )
                    .with_help("name uids that are not in this entry"),
                );
            }
        }
    }
}

/// Warns of behaviours below one that never calls them.
fn unreachable_behaviours(file: Walked<'_>, found: &mut Vec<Finding>) {
    for group in file.resolved.network().miners().items() {
        let mut behaviours = stack(group).peekable();
        while let Some(behaviour) = behaviours.next() {
            let Some((name, _)) = behaviour.component() else {
                continue;
            };
            let variant = BehaviourSpec::FAMILY.variant(name);
            let calls_no_next = variant.is_some_and(|variant| variant.has(Property::CallsNoNext));
            if let (true, Some(below)) = (calls_no_next, behaviours.peek()) {
                found.push(
                    Finding::warning(
                        origin(*below),
                        format!("this behaviour has no effect: `{name}` above it never calls it"),
                    )
                    .with_help(format!("remove the behaviours below `{name}`")),
                );
                break;
            }
        }
    }
}

/// Warns of a size and stakes next to a metagraph, which determines both.
fn started_from(file: Walked<'_>, found: &mut Vec<Finding>) {
    if !is_given(file.resolved.network().metagraph()) {
        return;
    }
    let mut has_no_effect = |path: &str, origin: Origin| {
        if origin != Origin::Default {
            found.push(
                Finding::warning(
                    origin,
                    format!("`{path}` has no effect: `network.metagraph` determines it"),
                )
                .with_help("remove it"),
            );
        }
    };
    let stakes = file.resolved.network().stakes();
    has_no_effect("network.stakes", origin(stakes));
    let metagraph = file.resolved.model().inner().metagraph();
    let num_nodes = metagraph.args::<MetagraphArgs>().num_nodes();
    has_no_effect("model.metagraph.args.num_nodes", origin(num_nodes));
}

/// Reports faults and a metagraph with a chain that is already running: it does not pause for scheduled faults and
/// cannot start from a metagraph.
fn running_chain(file: Walked<'_>, found: &mut Vec<Finding>) {
    let chain = file.resolved.model().inner().subtensor();
    let Some(SubtensorSpec::Subtensor(_)) = chain.get() else {
        return;
    };
    let mut impossible = |origin: Origin, message: &str| {
        let help = "use `DummySubtensor`, which the run starts";
        found.push(Finding::error(origin, message).with_help(help));
    };
    if let Some(fault) = file.resolved.faults().items().next() {
        impossible(
            origin(fault),
            "faults pause the chain, but `Subtensor` is a chain that is already running",
        );
    }
    if is_given(file.resolved.network().metagraph()) {
        impossible(
            origin(file.resolved.network().metagraph()),
            "`network.metagraph` is the initial state of a chain, but `Subtensor` is a chain that is already running",
        );
    }
}

/// Reports entries of honest miners that inherit a rate which is not the same for all of their uids.
fn inherited_rates(file: Walked<'_>, found: &mut Vec<Finding>) {
    let pool = file.resolved.model().inner().dendrite_pool().get();
    for group in file.resolved.network().miners().items() {
        let (Some(pool), Some(uids)) = (&pool, group.uids().get()) else {
            return;
        };
        let (fail_rate, fitness) = rates_of(pool, &uids);
        for honest in stack(group).map(Place::args::<HonestArgs>) {
            let rates = [(honest.fail_rate(), fail_rate), (honest.fitness(), fitness)];
            for (rate, inherited) in rates {
                if is_given(rate) && !is_written(rate) && inherited.is_none() {
                    let key = rate.inside().map_or("", |(_, key)| key);
                    found.push(
                        Finding::error(
                            origin(honest),
                            format!(
                                "uids {} have more than one `{key}` in the dendrite pool, so none can be inherited",
                                brief(&uids.to_string())
                            ),
                        )
                        .with_help(format!("set `{key}` in this entry")),
                    );
                }
            }
        }
    }
}

/// Returns the fail rate and the fitness of uids in a dendrite pool. `None` if the uids do not have the same one.
fn rates_of(pool: &DendritePool, uids: &Uids) -> (Option<f64>, Option<f64>) {
    let DendritePool::DummyDendritePool(DummyDendritePoolArgs {
        fail_rate,
        baseline_fail_rate,
        fitness,
        baseline_fitness,
        ..
    }) = pool;
    let one = |named: &BTreeMap<u32, f64>, baseline: f64| {
        let ranges = uids.ranges().iter();
        let named: Vec<f64> = ranges
            .flat_map(|range| named.range(range.clone()))
            .map(|(_, rate)| *rate)
            .collect();
        let has_unnamed = named.len() < uids.count();
        let mut rates = named.into_iter().chain(has_unnamed.then_some(baseline));
        let first = rates.next()?;
        rates.all(|rate| rate.total_cmp(&first).is_eq()).then_some(first)
    };
    (
        one(fail_rate, *baseline_fail_rate),
        one(fitness, *baseline_fitness),
    )
}

/// Fills in the values that depend on others: inherited rates, and defaults that are too large for the network.
pub(crate) fn settle(experiment: &mut Experiment, file: Walked<'_>) {
    let miners = miners(file);
    let newcomers = experiment.uids_for_newcomers();
    let Some(model) = &mut experiment.model else {
        return;
    };
    if let Some(miners) = miners {
        let NeuronSettings {
            training_topk,
            inference_topk,
            ..
        } = &mut model.neuron;
        // A value in the file that is too large has been rejected by `topks`.
        let miners = miners.saturating_add(newcomers);
        *training_topk = miners.min(*training_topk);
        *inference_topk = miners.min(*inference_topk);
    }
    let places = file.resolved.network().miners().items();
    for (group, place) in experiment.network.miners.iter_mut().zip(places) {
        let (fail_rate, fitness) = rates_of(&model.dendrite_pool, &group.uids);
        let behaviours = group.behaviour.iter_mut().chain(&mut group.over);
        for (behaviour, place) in behaviours.zip(stack(place)) {
            if let BehaviourSpec::Honest(args) = behaviour {
                let written = place.args::<HonestArgs>();
                inherit(&mut args.fail_rate, written.fail_rate(), fail_rate);
                inherit(&mut args.fitness, written.fitness(), fitness);
            }
        }
    }
}

fn inherit(rate: &mut f64, written: Place<'_, f64>, inherited: Option<f64>) {
    if let (false, Some(inherited)) = (is_written(written), inherited) {
        *rate = inherited;
    }
}
