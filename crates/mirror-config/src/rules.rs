//! What must hold between the values of a file, beyond each one's own range.
//!
//! The rules see what the walk along the tables of keys found sound: a value that is missing there was told already,
//! and a rule that needs it is silent. They reach values by typed places, so a misspelt path does not compile.

pub(crate) mod effect;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use mirror_spec::at::At;
use mirror_spec::key::{MAX_UID, Property, Whose};
use mirror_spec::notation::range_text;
use mirror_spec::{
    BehaviourSpec, BlockTime, CopycatArgs, DendritePool, DummyDendritePoolArgs, Experiment, ForwardArgs,
    GatingModel, HonestArgs, HuggingFaceGatingArgs, Mask, MaskedGatingArgs, MetagraphArgs, MinerGroup,
    NeuronSettings, SampleMethod, SequentialGatingArgs, SubtensorSpec, Uids,
};

use crate::check::NamedUids;
use crate::problem::Finding;
use crate::spelling::{brief, suggest};
use crate::tree::{Node, Origin};

/// Neurons of a subnet.
const MAX_NEURONS: u32 = MAX_UID + 1;

/// The place of a value in the tree of a file.
type Place<'a, T> = At<'a, Node, T>;

/// A file whose values are each in their range.
#[derive(Clone, Copy)]
pub(crate) struct Walked<'a> {
    /// As it was written.
    pub(crate) given: Place<'a, Experiment>,
    /// With every default filled in, and without what was found wrong.
    pub(crate) resolved: Place<'a, Experiment>,
    /// All uids that it names.
    pub(crate) uids: &'a [NamedUids],
}

/// Checks what must hold between values.
pub(crate) fn check(file: Walked<'_>, found: &mut Vec<Finding>) {
    let rules = [
        sections,
        sample,
        expectations,
        analysis,
        network_size,
        topks,
        gating_models,
        named_uids,
        victims_of_themselves,
        deaf_behaviours,
        inherited_rates,
        started_from,
        running_chain,
        faults_need_steps,
    ];
    for rule in rules {
        rule(file, found);
    }
}

/// Whether a value is written in the file, be it right or wrong.
fn is_given<T>(place: Place<'_, T>) -> bool {
    place.node().is_some_and(|node| !node.is_null())
}

/// Where a value stands; where the map that it is missing from stands otherwise.
fn origin<T>(place: Place<'_, T>) -> Origin {
    let outer = place.inside().map(|(map, _)| map);
    place.node().or(outer).map_or(Origin::Default, |node| node.origin)
}

/// Where the key of a value stands.
fn key_origin<T>(place: Place<'_, T>) -> Origin {
    let entry = place.inside().and_then(|(map, key)| map.entry(key));
    entry.map_or_else(|| origin(place), |entry| entry.key_origin)
}

/// Whether a value is written in the file and not a default.
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
                "there is nothing to do: no section of `model`, `data`, `query`, `analysis`",
            )
            .with_help("configs/quickstart.yml is a file to begin with"),
        );
    }
    if !is_given(given.query()) {
        return;
    }
    if !has_model {
        found.push(
            Finding::error(
                key_origin(given.query()),
                "`query` needs a `model` section: there is nobody to ask",
            )
            .with_help("add `model`, or leave `query` out"),
        );
    }
    let method = file.resolved.query().inner().method();
    if let Some((name @ ("forward" | "inference"), node)) = method.component()
        && !is_given(given.data())
    {
        found.push(
            Finding::error(
                node.origin,
                format!("`{name}` needs a `data` section: it asks the questions of the data"),
            )
            .with_help("add `data`, as in `data: {id: my_data, path: builtin}`"),
        );
    }
}

fn sample(file: Walked<'_>, found: &mut Vec<Finding>) {
    let sample = file.resolved.data().inner().sample().keys();
    if let Some(method @ (SampleMethod::First | SampleMethod::Random)) = sample.method().get()
        && !is_given(sample.n())
    {
        found.push(
            Finding::error(
                origin(sample),
                format!("`data.sample` by `{}` does not say how many rows", method.word()),
            )
            .with_help("add `n: 100`"),
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
                "`expect` has no run to ask: there is no `query` section",
            )
            .with_help("add `query`, or ask an earlier run with `mirror sql`"),
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
                    format!("two expectations are called `{name}`"),
                )
                .with_help("give each a name of its own"),
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
                "`analysis` has nothing to read: no `query` in this file, and nothing in `requires`",
            )
            .with_help("name a run, as in `requires: [last]`"),
        );
    }
    for required in requires.items() {
        // Without a query here, a name is that of a query whose run came before.
        if let (Some(name), Some(query)) = (required.get(), &query)
            && *query != name
            && !names_a_result(&name)
        {
            found.push(
                Finding::error(
                    origin(required),
                    format!("`{name}` is no query of this file, no run's id and no path of a run"),
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
                format!("`analysis.embedding_plot.columns` names {count} columns"),
            )
            .with_help("name three: x, y and z"),
        );
    }
    let known = analysis
        .inner()
        .estimators()
        .node()
        .map(Node::entries)
        .unwrap_or_default();
    let known: Vec<&str> = known.iter().map(|entry| entry.key.as_str()).collect();
    let predict = analysis.inner().predict();
    for target in predict.node().map(Node::entries).unwrap_or_default() {
        let estimator = predict.named(&target.key).estimator();
        if let Some(name) = estimator.get().filter(|name| !known.contains(&name.as_str())) {
            found.push(
                Finding::error(origin(estimator), format!("no estimator is called `{name}`")).with_help(
                    format!(
                        "estimators are named in `analysis.estimators`; {}",
                        suggest(&name, &known)
                    ),
                ),
            );
        }
    }
}

/// A path, or a run's id, which begins with its date.
fn names_a_result(name: &str) -> bool {
    let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let date: String = name.chars().take(10).map(digits).collect();
    date == "0000-00-00" || name.contains(['/', '\\', '.'])
}

/// How many uids can be miners; unknown while a metagraph that the subnet starts from was not read.
fn miners(file: Walked<'_>) -> Option<u32> {
    if is_given(file.resolved.network().metagraph()) {
        return None;
    }
    let metagraph = file.resolved.model().inner().metagraph();
    metagraph.args::<MetagraphArgs>().num_nodes().get()
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
                format!("{named} stakes for {count} validators: the last have no effect"),
            )
            .with_help("name as many stakes as validators, or fewer: the last one repeats"),
        );
    }
    if let Some(miners) = miners(file).filter(|miners| miners + count > MAX_NEURONS) {
        found.push(
            Finding::error(
                origin(validators),
                format!("{miners} miners and {count} validators are too many"),
            )
            .with_help(format!("a subnet has at most {MAX_NEURONS} neurons")),
        );
    }
}

/// Nobody is asked who is not there. Defaults are lowered instead, in [`settle`].
fn topks(file: Walked<'_>, found: &mut Vec<Finding>) {
    let Some(miners) = miners(file) else { return };
    let neuron = file.resolved.model().inner().neuron();
    let forward = file.resolved.query().inner().method().args::<ForwardArgs>();
    let mut fits = |key: &str, topk: Option<i64>, origin: Origin| {
        if let Some(count) = topk.filter(|count| *count > i64::from(miners) && origin != Origin::Default) {
            found.push(
                Finding::error(
                    origin,
                    format!("`{key}` asks {count} axons, but the network has {miners} miners"),
                )
                .with_help(format!(
                    "at most {miners}, or a larger `model.metagraph.args.num_nodes`"
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

/// A gating model scores every miner, and what it masks out is there.
fn gating_models(file: Walked<'_>, found: &mut Vec<Finding>) {
    let Some(miners) = miners(file) else { return };
    let gating = file.resolved.model().inner().gating_model();
    let masked = gating.args::<MaskedGatingArgs>();
    scores_all(miners, gating, found);
    scores_all(miners, masked.gating_model().unboxed(), found);
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

fn scores_all(miners: u32, gating: Place<'_, GatingModel>, found: &mut Vec<Finding>) {
    let of_sequential = gating.args::<SequentialGatingArgs>().num_uids();
    let of_transformer = gating.args::<HuggingFaceGatingArgs>().num_uids();
    let outputs = of_sequential.inner().get().or_else(|| of_transformer.get());
    let Some(count) = outputs.filter(|count| *count < miners) else {
        return;
    };
    let place = if is_written(of_sequential) {
        origin(of_sequential)
    } else if is_written(of_transformer) {
        origin(of_transformer)
    } else {
        origin(gating)
    };
    found.push(
        Finding::error(
            place,
            format!("the gating model scores {count} uids, but the network has {miners} miners"),
        )
        .with_help(format!("set its `num_uids` to {miners} or more, or leave it out")),
    );
}

/// Whoever is named is there.
fn named_uids(file: Walked<'_>, found: &mut Vec<Finding>) {
    let validators = file.resolved.network().validators().get();
    let miners = miners(file);
    for NamedUids { whose, uids, origin } in file.uids {
        let problem = match (whose, miners, validators) {
            (Whose::Miner, Some(miners), _) if *uids.end() >= miners => outside(uids, miners, *origin),
            (Whose::Neuron, Some(miners), Some(validators)) if *uids.end() >= miners + validators => {
                Finding::error(*origin, format!("nobody has uid {}", range_text(uids))).with_help(format!(
                    "validators have uids {miners} to {}",
                    miners + validators - 1
                ))
            }
            (Whose::ValidatorIndex, _, Some(validators)) if *uids.end() >= validators => Finding::error(
                *origin,
                format!("there is no validator {} among {validators}", range_text(uids)),
            )
            .with_help(format!("validators go from 0 to {}", validators - 1)),
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
    .with_help(format!("uids go from 0 to {}", miners - 1))
}

/// The behaviours of a group of miners, the uppermost first.
fn stack(group: Place<'_, MinerGroup>) -> impl Iterator<Item = Place<'_, BehaviourSpec>> {
    let uppermost = group.behaviour();
    let uppermost = is_given(uppermost).then(|| uppermost.inner());
    uppermost.into_iter().chain(group.over().items())
}

/// No axon copies itself.
fn victims_of_themselves(file: Walked<'_>, found: &mut Vec<Finding>) {
    for group in file.resolved.network().miners().items() {
        let Some(own) = group.uids().get() else { continue };
        let own: BTreeSet<u32> = own.iter().collect();
        let copycats = stack(group).map(Place::args::<CopycatArgs>);
        for victims in copycats.map(Place::victims) {
            let named = victims.get();
            let uid = named.and_then(|named| named.iter().find(|uid| own.contains(uid)));
            if let Some(uid) = uid {
                found.push(
                    Finding::error(origin(victims), format!("uid {uid} is a victim of itself"))
                        .with_help("name uids of another entry"),
                );
            }
        }
    }
}

/// What a behaviour that asks nobody is laid over is never called.
fn deaf_behaviours(file: Walked<'_>, found: &mut Vec<Finding>) {
    for group in file.resolved.network().miners().items() {
        let mut behaviours = stack(group).peekable();
        while let Some(behaviour) = behaviours.next() {
            let Some((name, _)) = behaviour.component() else {
                continue;
            };
            let variant = BehaviourSpec::FAMILY.variant(name);
            let asks_nobody = variant.is_some_and(|variant| variant.has(Property::AsksNobody));
            if let (true, Some(below)) = (asks_nobody, behaviours.peek()) {
                found.push(
                    Finding::warning(
                        origin(*below),
                        format!("`{name}` asks nobody below it: this has no effect"),
                    )
                    .with_help(format!("lay `{name}` over nothing")),
                );
                break;
            }
        }
    }
}

/// A subnet that starts from a metagraph has its size and its stakes from there.
fn started_from(file: Walked<'_>, found: &mut Vec<Finding>) {
    if !is_given(file.resolved.network().metagraph()) {
        return;
    }
    let mut has_no_effect = |path: &str, origin: Origin| {
        if origin != Origin::Default {
            found.push(
                Finding::warning(
                    origin,
                    format!("`{path}` has no effect beside `network.metagraph`"),
                )
                .with_help("leave it out: the metagraph says it"),
            );
        }
    };
    let stakes = file.resolved.network().stakes();
    has_no_effect("network.stakes", origin(stakes));
    let metagraph = file.resolved.model().inner().metagraph();
    let num_nodes = metagraph.args::<MetagraphArgs>().num_nodes();
    has_no_effect("model.metagraph.args.num_nodes", origin(num_nodes));
}

/// A chain that runs already began somewhere else, and does not stand still for a schedule that it was not told of.
fn running_chain(file: Walked<'_>, found: &mut Vec<Finding>) {
    let chain = file.resolved.model().inner().subtensor();
    let Some(SubtensorSpec::Subtensor(_)) = chain.get() else {
        return;
    };
    let mut impossible = |origin: Origin, message: &str| {
        let help = "use `DummySubtensor`, which the run starts itself";
        found.push(Finding::error(origin, message).with_help(help));
    };
    if let Some(fault) = file.resolved.faults().items().next() {
        impossible(
            origin(fault),
            "faults stop the chain for a moment, and `Subtensor` is one that runs already",
        );
    }
    if is_given(file.resolved.network().metagraph()) {
        impossible(
            origin(file.resolved.network().metagraph()),
            "`network.metagraph` is what a chain starts from, and `Subtensor` is one that runs already",
        );
    }
}

/// A fault happens while the block barrier stands still, and a chain on the clock has no barrier.
fn faults_need_steps(file: Walked<'_>, found: &mut Vec<Finding>) {
    let by_the_clock = matches!(
        file.resolved.network().block_time().get(),
        Some(BlockTime::Seconds(_))
    );
    if let Some(fault) = file.resolved.faults().items().next()
        && by_the_clock
    {
        found.push(
            Finding::error(
                origin(fault),
                "faults are scheduled by steps, and `network.block_time` is a duration",
            )
            .with_help("use `block_time: per_step`"),
        );
    }
}

/// Rates that an honest miner's entry leaves out are one number in the dendrite pool.
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
                                "uids {} have more than one `{key}` in the dendrite pool",
                                brief(&uids.to_string())
                            ),
                        )
                        .with_help(format!("write `{key}` here too")),
                    );
                }
            }
        }
    }
}

/// The fail rate and the fitness of uids in a dendrite pool; `None` where they do not share one.
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

/// Fills in what depends on other values: rates that are inherited, and defaults that no network so small can have.
pub(crate) fn settle(experiment: &mut Experiment, file: Walked<'_>) {
    let miners = miners(file);
    let Some(model) = &mut experiment.model else {
        return;
    };
    if let Some(miners) = miners {
        let NeuronSettings {
            training_topk,
            inference_topk,
            ..
        } = &mut model.neuron;
        // What is written and too large was refused.
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
