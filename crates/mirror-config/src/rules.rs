//! What must hold between the values of a file, beyond each one's own range.
//!
//! The rules see what the walk along the schema found sound: a value that is missing here was told already, and a
//! rule that needs it is silent.

use std::ops::RangeInclusive;

use crate::check::suggest;
use crate::latency::FORMS;
use crate::notation;
use crate::problem::Finding;
use crate::schema::list;
use crate::tree::{Content, Node, Origin};

/// Settings of the neuron that never exceed the number of miners.
const TOPKS: [&str; 2] = ["training_topk", "inference_topk"];
/// Rates of an honest miner: its own, then the dendrite pool's map and baseline.
const RATES: [(&str, &str); 2] = [
    ("fail_rate", "baseline_fail_rate"),
    ("fitness", "baseline_fitness"),
];
/// Behaviours that never ask what they are laid over.
const ASK_NOBODY: [&str; 4] = ["honest", "malformed", "constant", "echo"];
/// Neurons of a subnet: uids travel as 16 bits.
const MAX_NEURONS: u32 = 65_536;

/// Checks what must hold between values. `given` is the file's tree, `resolved` what the schema made of it.
pub(crate) fn check(given: &Node, resolved: &mut Node, findings: &mut Vec<Finding>) {
    let mut found = Vec::new();
    sections(given, resolved, &mut found);
    sample(resolved, &mut found);
    analysis(given, resolved, &mut found);
    network(resolved, &mut found);
    latencies(resolved, &mut found);
    behaviours(resolved, &mut found);
    validator_groups(resolved, &mut found);
    started_from(resolved, &mut found);
    running_chain(resolved, &mut found);
    faults_in_time(resolved, &mut found);
    faults_need_steps(resolved, &mut found);
    clamp_topk(resolved);
    inherit_rates(resolved, &mut found);
    findings.append(&mut found);
}

fn sections(given: &Node, resolved: &Node, found: &mut Vec<Finding>) {
    let there = |section: &str| given.get(section).is_some_and(|node| !node.is_null());
    if !["model", "data", "query", "analysis"].into_iter().any(there) {
        found.push(
            Finding::error(
                given.origin,
                "there is nothing to do: no section of `model`, `data`, `query`, `analysis`",
            )
            .with_help("configs/quickstart.yml is a file to begin with"),
        );
    }
    let Some(query) = given.entry("query").filter(|_| there("query")) else {
        return;
    };
    if !there("model") {
        found.push(
            Finding::error(
                query.key_origin,
                "`query` needs a `model` section: there is nobody to ask",
            )
            .with_help("add `model`, or leave `query` out"),
        );
    }
    let method = resolved.at(&["query", "method", "name"]);
    if let Some(method) = method.filter(|method| matches!(method.as_text(), Some("forward" | "inference")))
        && !there("data")
    {
        let name = method.as_text().unwrap_or_default();
        found.push(
            Finding::error(
                method.origin,
                format!("`{name}` needs a `data` section: it asks the questions of the data"),
            )
            .with_help("add `data`, as in `data: {id: my_data, path: builtin}`"),
        );
    }
}

fn sample(resolved: &Node, found: &mut Vec<Finding>) {
    let Some(sample) = resolved.at(&["data", "sample"]) else {
        return;
    };
    let method = sample.get("method").and_then(Node::as_text);
    if let Some(method @ ("first" | "random")) = method
        && sample.get("n").is_none()
    {
        found.push(
            Finding::error(
                sample.origin,
                format!("`data.sample` by `{method}` does not say how many rows"),
            )
            .with_help("add `n: 100`"),
        );
    }
}

fn analysis(given: &Node, resolved: &Node, found: &mut Vec<Finding>) {
    let Some(analysis) = resolved.entry("analysis") else {
        return;
    };
    let (key_origin, analysis) = (analysis.key_origin, &analysis.value);
    let query = resolved.at(&["query", "id"]).and_then(Node::as_text);
    let requires = analysis.get("requires").map(Node::items).unwrap_or_default();
    let has_query = given.get("query").is_some_and(|query| !query.is_null());
    if requires.is_empty() && !has_query && given.at(&["analysis", "requires"]).is_none_or(Node::is_null) {
        found.push(
            Finding::error(
                key_origin,
                "`analysis` has nothing to read: no `query` in this file, and nothing in `requires`",
            )
            .with_help("name a run, as in `requires: [last]`"),
        );
    }
    for required in requires {
        let Some(name) = required.as_text() else { continue };
        // Without a query here, a name is that of a query whose run came before.
        if let Some(query) = query
            && query != name
            && !names_a_result(name)
        {
            found.push(
                Finding::error(
                    required.origin,
                    format!("`{name}` is no query of this file, no run's id and no path of a run"),
                )
                .with_help(suggest(name, &[query])),
            );
        }
    }
    if let Some(columns) = analysis.at(&["embedding_plot", "columns"])
        && columns.items().len() != 3
    {
        let count = columns.items().len();
        found.push(
            Finding::error(
                columns.origin,
                format!("`analysis.embedding_plot.columns` names {count} columns"),
            )
            .with_help("name three: x, y and z"),
        );
    }
    let estimators = analysis.get("estimators").map(Node::entries).unwrap_or_default();
    let known: Vec<&str> = estimators.iter().map(|entry| entry.key.as_str()).collect();
    for prediction in analysis.get("predict").map(Node::entries).unwrap_or_default() {
        let Some(estimator) = prediction.value.get("estimator") else {
            continue;
        };
        if let Some(name) = estimator.as_text().filter(|name| !known.contains(name)) {
            found.push(
                Finding::error(estimator.origin, format!("no estimator is called `{name}`")).with_help(
                    format!(
                        "estimators are named in `analysis.estimators`; {}",
                        suggest(name, &known)
                    ),
                ),
            );
        }
    }
}

/// A path, or a run's id, which begins with its date.
fn names_a_result(name: &str) -> bool {
    let date: String = name
        .chars()
        .take(10)
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    date == "0000-00-00" || name.contains(['/', '\\', '.'])
}

/// How many uids can be miners; unknown while a metagraph that the subnet starts from was not read.
fn num_nodes(resolved: &Node) -> Option<u32> {
    if resolved.at(&["network", "metagraph"]).is_some() {
        return None;
    }
    resolved
        .at(&["model", "metagraph", "args", "num_nodes"])
        .and_then(Node::as_u32)
}

/// What is said of uids and numbers of axons must fit the number of miners.
fn network(resolved: &Node, found: &mut Vec<Finding>) {
    if let Some(validators) = resolved.at(&["network", "validators"])
        && let Some(count) = validators.as_u32()
    {
        let stakes = resolved.at(&["network", "stakes"]);
        if let Some(stakes) = stakes.filter(|stakes| stakes.items().len() > count as usize) {
            let named = stakes.items().len();
            found.push(
                Finding::warning(
                    stakes.origin,
                    format!("{named} stakes for {count} validators: the last have no effect"),
                )
                .with_help("name as many stakes as validators, or fewer: the last one repeats"),
            );
        }
        if let Some(miners) = num_nodes(resolved).filter(|miners| miners + count > MAX_NEURONS) {
            found.push(
                Finding::error(
                    validators.origin,
                    format!("{miners} miners and {count} validators are too many"),
                )
                .with_help(format!("a subnet has at most {MAX_NEURONS} neurons")),
            );
        }
    }
    let Some(miners) = num_nodes(resolved) else { return };
    let mut topks: Vec<(&str, Option<&Node>)> = TOPKS
        .iter()
        .map(|key| (*key, resolved.at(&["model", "neuron", key])))
        .collect();
    topks.push(("topk", resolved.at(&["query", "method", "args", "topk"])));
    for (key, topk) in topks {
        let Some(topk) = topk.filter(|topk| topk.origin != Origin::Default) else {
            continue;
        };
        if let Some(count) = topk.as_u32().filter(|count| *count > miners) {
            found.push(
                Finding::error(
                    topk.origin,
                    format!("`{key}` asks {count} axons, but the network has {miners} miners"),
                )
                .with_help(format!(
                    "at most {miners}, or a larger `model.metagraph.args.num_nodes`"
                )),
            );
        }
    }
    let gating = resolved.at(&["model", "gating_model"]);
    let masked = gating.and_then(|gating| gating.at(&["args", "gating_model"]));
    for gating in [gating, masked].into_iter().flatten() {
        outputs_for(miners, gating, found);
    }
    let mut outside = |origin: Origin, uids: RangeInclusive<u32>| {
        if *uids.end() >= miners && origin != Origin::Default {
            let uids = notation::write_uids(&uids);
            found.push(
                Finding::error(
                    origin,
                    format!("uid {uids} is outside the network of {miners} miners"),
                )
                .with_help(format!("uids go from 0 to {}", miners - 1)),
            );
        }
    };
    if let Some(mask) = gating.and_then(|gating| gating.at(&["args", "mask"])) {
        if let Some(count) = mask.as_u32() {
            let written = mask.origin != Origin::Default;
            let origin = gating
                .filter(|_| !written)
                .map_or(mask.origin, |gating| gating.origin);
            outside(origin, 0..=count.saturating_sub(1));
        } else if let Some((origin, uids)) = written(Some(mask), notation::uids) {
            outside(origin, uids);
        }
        mask.items()
            .iter()
            .filter_map(|uid| Some((uid.origin, uid.as_u32()?)))
            .for_each(|(at, uid)| outside(at, uid..=uid));
    }
    for (rates, _) in RATES {
        let rates = resolved
            .at(&["model", "dendrite_pool", "args", rates])
            .map(Node::entries)
            .unwrap_or_default();
        for entry in rates {
            if let Ok(uid) = entry.key.parse() {
                outside(entry.key_origin, uid..=uid);
            }
        }
    }
    for group in resolved
        .at(&["network", "miners"])
        .map(Node::items)
        .unwrap_or_default()
    {
        if let Some((origin, uids)) = written(group.get("uids"), notation::uids) {
            outside(origin, uids);
        }
    }
    for fault in resolved.get("faults").map(Node::items).unwrap_or_default() {
        if let Some((origin, uids)) = written(fault.get("kill"), notation::victims) {
            outside(origin, uids);
        }
    }
}

fn validator_groups(resolved: &Node, found: &mut Vec<Finding>) {
    let count = resolved.at(&["network", "validators"]).and_then(Node::as_u32);
    let groups = resolved
        .at(&["network", "validator_groups"])
        .map(Node::items)
        .unwrap_or_default();
    for group in groups {
        if let Some(count) = count
            && let Some((origin, named)) = written(group.get("validators"), notation::uids)
            && *named.end() >= count
        {
            let named = notation::write_uids(&named);
            found.push(
                Finding::error(origin, format!("there is no validator {named} among {count}"))
                    .with_help(format!("validators go from 0 to {}", count - 1)),
            );
        }
        let members = group.at(&["behaviour", "args", "members"]);
        if let Some(miners) = num_nodes(resolved)
            && let Some((origin, uids)) = written(members, notation::uids)
            && *uids.end() >= miners
        {
            let uids = notation::write_uids(&uids);
            found.push(
                Finding::error(
                    origin,
                    format!("uid {uids} is outside the network of {miners} miners"),
                )
                .with_help(format!("uids go from 0 to {}", miners - 1)),
            );
        }
    }
}

/// A subnet that starts from a metagraph has its size and its stakes from there.
fn started_from(resolved: &Node, found: &mut Vec<Finding>) {
    if resolved.at(&["network", "metagraph"]).is_none() {
        return;
    }
    let others = [
        &["network", "stakes"][..],
        &["model", "metagraph", "args", "num_nodes"],
    ];
    for path in others {
        if let Some(node) = resolved.at(path).filter(|node| node.origin != Origin::Default) {
            found.push(
                Finding::warning(
                    node.origin,
                    format!("`{}` has no effect beside `network.metagraph`", path.join(".")),
                )
                .with_help("leave it out: the metagraph says it"),
            );
        }
    }
}

/// A chain that runs already began somewhere else, and does not stand still for a schedule that it was not told of.
fn running_chain(resolved: &Node, found: &mut Vec<Finding>) {
    let name = resolved
        .at(&["model", "subtensor", "name"])
        .and_then(Node::as_text);
    if name != Some("Subtensor") {
        return;
    }
    let first = resolved.get("faults").and_then(|faults| faults.items().first());
    if let Some(fault) = first {
        found.push(
            Finding::error(
                fault.origin,
                "faults stop the chain for a moment, and `Subtensor` is one that runs already",
            )
            .with_help("use `DummySubtensor`, which the run starts itself"),
        );
    }
    if let Some(metagraph) = resolved.at(&["network", "metagraph"]) {
        found.push(
            Finding::error(
                metagraph.origin,
                "`network.metagraph` is what a chain starts from, and `Subtensor` is one that runs already",
            )
            .with_help("use `DummySubtensor`, which the run starts itself"),
        );
    }
}

/// A gating model scores every miner.
fn outputs_for(miners: u32, gating: &Node, found: &mut Vec<Finding>) {
    let Some(outputs) = gating.at(&["args", "num_uids"]) else {
        return;
    };
    if let Some(count) = outputs.as_u32().filter(|count| *count < miners) {
        let origin = if outputs.origin == Origin::Default {
            gating.origin
        } else {
            outputs.origin
        };
        found.push(
            Finding::error(
                origin,
                format!("the gating model scores {count} uids, but the network has {miners} miners"),
            )
            .with_help(format!("set its `num_uids` to {miners} or more, or leave it out")),
        );
    }
}

/// A text in a notation that the walk has already checked.
fn written<T>(node: Option<&Node>, read: fn(&str) -> Result<T, String>) -> Option<(Origin, T)> {
    let node = node?;
    // A text that cannot be read never comes here: the walk along the schema leaves it out.
    Some((node.origin, read(node.as_text()?).ok()?))
}

/// The keys of a latency say which distribution it is.
fn latencies(resolved: &Node, found: &mut Vec<Finding>) {
    let groups = resolved
        .at(&["network", "miners"])
        .map(Node::items)
        .unwrap_or_default();
    for group in groups {
        let of_behaviours = stack(group).filter_map(|behaviour| behaviour.at(&["args", "latency"]));
        for latency in group.get("latency").into_iter().chain(of_behaviours) {
            distribution(latency, found);
        }
    }
}

/// The behaviours of a group of miners, the uppermost first.
fn stack(group: &Node) -> impl Iterator<Item = &Node> {
    let below = group.get("over").map(Node::items).unwrap_or_default();
    group.get("behaviour").into_iter().chain(below)
}

fn distribution(latency: &Node, found: &mut Vec<Finding>) {
    let given: Vec<&str> = latency.entries().iter().map(|entry| entry.key.as_str()).collect();
    let has = |form: &[&str]| form.iter().filter(|key| given.contains(key)).count();
    let Some(form) = FORMS
        .iter()
        .max_by_key(|form| has(form))
        .filter(|form| has(form) > 0)
    else {
        found.push(
            Finding::error(latency.origin, "this latency names no distribution")
                .with_help("write a duration as `80ms`, or `{p50: 80ms, p99: 900ms}`"),
        );
        return;
    };
    for key in form.iter().filter(|key| !given.contains(key)) {
        found.push(
            Finding::error(
                latency.origin,
                format!("`{key}` is missing beside {}", list(&given)),
            )
            .with_help(format!("one distribution has {}", list(form))),
        );
    }
    for entry in latency
        .entries()
        .iter()
        .filter(|entry| !form.contains(&entry.key.as_str()))
    {
        found.push(
            Finding::error(
                entry.key_origin,
                format!(
                    "`{}` belongs to another distribution than {}",
                    entry.key,
                    list(form)
                ),
            )
            .with_help("name one distribution"),
        );
    }
    let quantile = |key| {
        latency
            .get(key)
            .and_then(|node| Some((node.origin, node.as_number()?)))
    };
    if let (Some((_, p50)), Some((origin, p99))) = (quantile("p50"), quantile("p99"))
        && p99 < p50
    {
        found.push(
            Finding::error(origin, format!("`p99` is {p99} s, less than `p50`, {p50} s"))
                .with_help("99 of 100 calls take at least as long as half of them"),
        );
    }
    if let Some(recorded) = latency
        .get("recorded")
        .filter(|recorded| recorded.items().is_empty())
    {
        found.push(Finding::error(recorded.origin, "no delay was recorded").with_help("name at least one"));
    }
}

/// Whom a behaviour names must be in the network, and no axon copies itself.
fn behaviours(resolved: &Node, found: &mut Vec<Finding>) {
    let validators = resolved
        .at(&["network", "validators"])
        .and_then(Node::as_u32)
        .unwrap_or(0);
    let Some(miners) = num_nodes(resolved) else { return };
    for group in resolved
        .at(&["network", "miners"])
        .map(Node::items)
        .unwrap_or_default()
    {
        let own = written(group.get("uids"), notation::uids).map(|(_, uids)| uids);
        for behaviour in stack(group) {
            let named = |key| behaviour.at(&["args", key]).map(Node::items).unwrap_or_default();
            for victim in named("victims") {
                let Some(uid) = victim.as_u32() else { continue };
                if uid >= miners {
                    found.push(
                        Finding::error(
                            victim.origin,
                            format!("uid {uid} is outside the network of {miners} miners"),
                        )
                        .with_help(format!("uids go from 0 to {}", miners - 1)),
                    );
                } else if own.as_ref().is_some_and(|own| own.contains(&uid)) {
                    found.push(
                        Finding::error(victim.origin, format!("uid {uid} is a victim of itself"))
                            .with_help("name uids of another entry"),
                    );
                }
            }
            for caller in named("callers") {
                let Some(uid) = caller.as_u32().filter(|uid| *uid >= miners + validators) else {
                    continue;
                };
                found.push(
                    Finding::error(caller.origin, format!("nobody has uid {uid}")).with_help(format!(
                        "validators have uids {miners} to {}",
                        miners + validators - 1
                    )),
                );
            }
        }
        let mut behaviours = stack(group).peekable();
        while let Some(behaviour) = behaviours.next() {
            let name = behaviour.get("name").and_then(Node::as_text).unwrap_or_default();
            if let (true, Some(below)) = (ASK_NOBODY.contains(&name), behaviours.peek()) {
                found.push(
                    Finding::warning(
                        below.origin,
                        format!("`{name}` asks nobody below it: this has no effect"),
                    )
                    .with_help(format!("lay `{name}` over nothing")),
                );
                break;
            }
        }
    }
}

fn faults_in_time(resolved: &Node, found: &mut Vec<Finding>) {
    let steps = resolved.at(&["query", "method", "args", "max_iter"]);
    let Some(steps) = steps.and_then(Node::as_u32).map(u64::from) else {
        return;
    };
    for fault in resolved.get("faults").map(Node::items).unwrap_or_default() {
        if let Some((origin, step)) = written(fault.get("at"), notation::step)
            && step >= steps
        {
            found.push(
                Finding::warning(
                    origin,
                    format!("step {step} never comes: the query has {steps} steps, from 0"),
                )
                .with_help("name an earlier step, or raise `max_iter`"),
            );
        }
    }
}

/// A fault happens while the block barrier stands still, and a chain on the clock has no barrier.
fn faults_need_steps(resolved: &Node, found: &mut Vec<Finding>) {
    let per_step = resolved
        .at(&["network", "block_time"])
        .and_then(Node::as_text)
        .is_none_or(|block_time| block_time == "per_step");
    let first = resolved.get("faults").and_then(|faults| faults.items().first());
    if let Some(fault) = first
        && !per_step
    {
        found.push(
            Finding::error(
                fault.origin,
                "faults are scheduled by steps, and `network.block_time` is a duration",
            )
            .with_help("use `block_time: per_step`"),
        );
    }
}

/// Defaults ask no more axons than there are.
fn clamp_topk(resolved: &mut Node) {
    let Some(miners) = num_nodes(resolved) else { return };
    let Some(neuron) = resolved
        .get_mut("model")
        .and_then(|model| model.get_mut("neuron"))
    else {
        return;
    };
    for key in TOPKS {
        if let Some(topk) = neuron.get_mut(key)
            && topk.origin == Origin::Default
            && topk.as_u32().is_some_and(|count| count > miners)
        {
            topk.content = Content::Integer(miners.into());
        }
    }
}

/// Rates that an honest miner's entry leaves out are the dendrite pool's, if those are one number for all its uids.
fn inherit_rates(resolved: &mut Node, found: &mut Vec<Finding>) {
    let pool = resolved.at(&["model", "dendrite_pool", "args"]).cloned();
    let Some(miners) = resolved
        .get_mut("network")
        .and_then(|network| network.get_mut("miners"))
    else {
        return;
    };
    let Content::List(groups) = &mut miners.content else {
        return;
    };
    for group in groups {
        let Some((_, uids)) = written(group.get("uids"), notation::uids) else {
            continue;
        };
        let mut stack: Vec<&mut Node> = Vec::new();
        if let Content::Map(entries) = &mut group.content {
            for entry in entries {
                if entry.key == "behaviour" {
                    stack.push(&mut entry.value);
                } else if let ("over", Content::List(below)) = (entry.key.as_str(), &mut entry.value.content)
                {
                    stack.extend(below);
                }
            }
        }
        for behaviour in stack {
            inherit(behaviour, &uids, pool.as_ref(), found);
        }
    }
}

fn inherit(behaviour: &mut Node, uids: &RangeInclusive<u32>, pool: Option<&Node>, found: &mut Vec<Finding>) {
    if behaviour.get("name").and_then(Node::as_text) != Some("honest") {
        return;
    }
    let Some(args) = behaviour.get_mut("args") else {
        return;
    };
    for (rate, baseline) in RATES {
        if args.get(rate).is_some() {
            continue;
        }
        match pool.map_or(Ok(0.0), |pool| rate_of(pool, rate, baseline, uids)) {
            Ok(number) => args.put(
                rate,
                Origin::Default,
                Node::new(Content::Number(number), Origin::Default),
            ),
            Err(NotOne) => found.push(
                Finding::error(
                    args.origin,
                    format!(
                        "uids {} have more than one `{rate}` in the dendrite pool",
                        notation::write_uids(uids)
                    ),
                )
                .with_help(format!("write `{rate}` here too")),
            ),
        }
    }
}

/// Uids that do not share one rate.
struct NotOne;

fn rate_of(pool: &Node, rate: &str, baseline: &str, uids: &RangeInclusive<u32>) -> Result<f64, NotOne> {
    let baseline = pool.get(baseline).and_then(Node::as_number).unwrap_or_default();
    let named = pool.get(rate).map(Node::entries).unwrap_or_default().iter();
    let named: Vec<f64> = named
        .filter(|entry| entry.key.parse().is_ok_and(|uid: u32| uids.contains(&uid)))
        .filter_map(|entry| entry.value.as_number())
        .collect();
    let all_named = named.len() as u64 == u64::from(uids.end() - uids.start()) + 1;
    let rates: Vec<f64> = if all_named {
        named
    } else {
        named.into_iter().chain([baseline]).collect()
    };
    match rates.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other.total_cmp(first).is_eq()) => Ok(*first),
        Some(_) => Err(NotOne),
        None => Ok(baseline),
    }
}
