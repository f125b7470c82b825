//! Rewrites shorthands to one form before the file is checked: the shorthands of upstream's files, and the oldest form
//! of these files with a warning.

use mirror_spec::key::{HasKeys, Keys};
use mirror_spec::{InjectFault, InjectValidatorsFault, MinerGroup, Newcomers, ValidatorGroup};

use crate::problem::Finding;
use crate::spelling::{behaviours, beside_behaviour, brief, suggest};
use crate::tree::{Content, Entry, Node, Origin};

/// Components that the oldest form of `model` does not have, and the defaults that are used for them.
const OLDEST_FORM_COMPONENTS: [(&str, &str); 2] = [
    ("dendrite_pool", "DummyDendritePool"),
    ("gating_model", "RandomGatingModel"),
];

/// Abstract base classes of upstream: the key of the component, the base class, and the component that replaces it.
const BASES: [(&str, &str, &str); 2] = [
    ("subtensor", "BaseSubtensor", "DummySubtensor"),
    ("metagraph", "BaseMetagraph", "DummyMetagraph"),
];

/// Rewrites the shorthands and outdated forms in the tree of a file.
pub(crate) fn fold(root: &mut Node, findings: &mut Vec<Finding>) {
    if let Some(model) = root.get_mut("model") {
        oldest_model(model, findings);
        for (component, base, stands_for) in BASES {
            abstract_base(model, component, base, stands_for, findings);
        }
        if let Some(args) = model
            .get_mut("dendrite_pool")
            .and_then(|pool| pool.get_mut("args"))
        {
            rate(args, "fail_rate", "baseline_fail_rate", findings);
            rate(args, "fitness", "baseline_fitness", findings);
        }
    }
    if let Some(data) = root.get_mut("data") {
        schema(data, findings);
    }
    if let Some(analysis) = root.get_mut("analysis") {
        features(analysis, findings);
        plots(analysis, findings);
    }
    if let Some(faults) = root.get_mut("faults") {
        injections(faults, findings);
    }
    for (name, keys) in [
        ("miners", MinerGroup::KEYS),
        ("validator_groups", ValidatorGroup::KEYS),
    ] {
        let network = root.get_mut("network");
        if let Some(groups) = network.and_then(|network| network.get_mut(name))
            && let Content::List(groups) = &mut groups.content
        {
            for (index, group) in groups.iter_mut().enumerate() {
                gather_arguments(group, keys, &format!("network.{name}[{index}]"), findings);
            }
        }
    }
}

/// Rewrites the shorthands of faults that replace or add behaviours: arguments next to the behaviour's name, and
/// `inject: validator-0` for `inject_validators: 0`.
fn injections(faults: &mut Node, findings: &mut Vec<Finding>) {
    let Content::List(faults) = &mut faults.content else {
        return;
    };
    for (index, fault) in faults.iter_mut().enumerate() {
        let path = format!("faults[{index}]");
        let named = fault.get("inject").and_then(Node::as_text);
        if let Some(indices) = named
            .and_then(|named| named.strip_prefix("validator-"))
            .map(str::to_owned)
            && let Some(entry) = fault.take("inject")
        {
            fault.put(
                "inject_validators",
                entry.key_origin,
                Node::text(&indices, entry.value.origin),
            );
        }
        if fault.get("inject").is_some() {
            gather_arguments(fault, InjectFault::KEYS, &path, findings);
        } else if fault.get("inject_validators").is_some() {
            gather_arguments(fault, InjectValidatorsFault::KEYS, &path, findings);
        }
        if let Some(join) = fault
            .get_mut("join")
            .filter(|join| join.get("behaviour").is_some())
        {
            gather_arguments(join, Newcomers::KEYS, &format!("{path}.join"), findings);
        }
    }
}

/// Rewrites the oldest form of `model`, which has a `path` for the reward model and no other components.
fn oldest_model(model: &mut Node, findings: &mut Vec<Finding>) {
    let Some(path) = model.take("path") else { return };
    findings.push(
        Finding::warning(path.key_origin, "`model.path` is outdated")
            .with_help("write `reward_model: {name: CustomRewardModel, args: {model_path: …}}` instead"),
    );
    if model.get("reward_model").is_none() {
        let args = map([("model_path", path.value)], path.key_origin);
        let name = Node::text("CustomRewardModel", path.key_origin);
        model.put(
            "reward_model",
            path.key_origin,
            map([("name", name), ("args", args)], path.key_origin),
        );
    } else {
        findings.push(
            Finding::warning(
                path.key_origin,
                "`model.path` has no effect: `model.reward_model` is used instead",
            )
            .with_help("remove `path`"),
        );
    }
    for (key, component) in OLDEST_FORM_COMPONENTS {
        if model.get(key).is_some() {
            continue;
        }
        let args = match key {
            "dendrite_pool" => map(
                [("data_path", Node::text("builtin", path.key_origin))],
                path.key_origin,
            ),
            _ => map([], path.key_origin),
        };
        let name = Node::text(component, path.key_origin);
        model.put(
            key,
            path.key_origin,
            map([("name", name), ("args", args)], path.key_origin),
        );
        findings.push(
            Finding::warning(
                path.key_origin,
                format!("`model` has no `{key}`, so `{component}` is used"),
            )
            .with_help(format!("add one: `{key}: {{name: {component}}}`")),
        );
    }
}

/// Replaces the name of an abstract base class with that of its simplest implementation.
fn abstract_base(
    model: &mut Node,
    component: &str,
    base: &str,
    stands_for: &str,
    findings: &mut Vec<Finding>,
) {
    let Some(node) = model.get_mut(component) else {
        return;
    };
    let name = if node.is_map() {
        node.get_mut("name")
    } else {
        Some(node)
    };
    let Some(name) = name.filter(|name| name.as_text() == Some(base)) else {
        return;
    };
    findings.push(
        Finding::warning(
            name.origin,
            format!("`{base}` is an abstract base class, so `{stands_for}` is used instead"),
        )
        .with_help(format!("write `{stands_for}`")),
    );
    *name = Node::text(stands_for, name.origin);
}

/// Rewrites a rate, which is one number for all uids or a map from uids with a baseline, to a map and a baseline.
fn rate(args: &mut Node, key: &str, baseline: &str, findings: &mut Vec<Finding>) {
    let Some(given) = args.get(key) else { return };
    let origin = given.origin;
    if given.is_map() {
        if args.get(baseline).is_none() {
            args.put(
                baseline,
                Origin::Default,
                Node::new(Content::Integer(0), Origin::Default),
            );
        }
        return;
    }
    // An invalid rate stays in its place and is reported by the checks.
    if !given.as_number().is_some_and(|rate| (0.0..=1.0).contains(&rate)) {
        return;
    }
    let Some(number) = args.take(key) else { return };
    if let Some(entry) = args.entry(baseline) {
        findings.push(
            Finding::warning(
                entry.key_origin,
                format!(
                    "`model.dendrite_pool.args.{baseline}` has no effect: `{key}` is one number for all uids"
                ),
            )
            .with_help(format!(
                "write the number as `{baseline}`, or write `{key}` as a map from uids"
            )),
        );
    }
    args.put(baseline, number.key_origin, number.value);
    args.put(key, origin, map([], origin));
}

/// Moves the two column names of `schema: {train: [{row:, question: …, answer: …}]}` into `data`.
fn schema(data: &mut Node, findings: &mut Vec<Finding>) {
    let Some(Entry {
        key_origin, value, ..
    }) = data.take("schema")
    else {
        return;
    };
    let splits = value.get("train").map(Node::items).unwrap_or_default();
    let columns = splits.first();
    let Some(columns) = columns.filter(|columns| columns.is_map()) else {
        findings.push(
            Finding::error(key_origin, "`data.schema` does not name the columns")
                .with_help("write `question: …` and `answer: …` instead, or `schema: {train: [{question: …, answer: …}]}`"),
        );
        return;
    };
    for split in value.entries().iter().filter(|split| split.key != "train") {
        findings.push(
            Finding::warning(
                split.key_origin,
                format!(
                    "`data.schema.{}` has no effect: only `train` is read",
                    brief(&split.key)
                ),
            )
            .with_help("remove it"),
        );
    }
    if let Some(further) = splits.get(1) {
        findings.push(
            Finding::warning(
                further.origin,
                "`data.schema.train[1]` and the items after it have no effect: only the first item is read",
            )
            .with_help("write one item with all columns"),
        );
    }
    for column in columns.entries() {
        match column.key.as_str() {
            "row" => {}
            "question" | "answer" if data.get(&column.key).is_some() => findings.push(
                Finding::error(
                    column.key_origin,
                    format!("`data.{}` is set both directly and in `data.schema`", column.key),
                )
                .with_help("keep one of the two"),
            ),
            "question" | "answer" => data.put(&column.key, column.key_origin, column.value.clone()),
            other => findings.push(
                Finding::error(
                    column.key_origin,
                    format!("unknown key `{}` in `data.schema`", brief(other)),
                )
                .with_help(suggest(other, &["row", "question", "answer"])),
            ),
        }
    }
}

/// Rewrites a list of `create_features`, or one feature, to a map, in which it applies to the column `message`. Renames
/// the outdated key `compute`, and moves the path of its `embedding` to `sentence_model`.
fn features(analysis: &mut Node, findings: &mut Vec<Finding>) {
    if let Some(compute) = analysis.take("compute") {
        findings.push(
            Finding::warning(compute.key_origin, "`analysis.compute` is outdated")
                .with_help("write `create_features` instead"),
        );
        let sentence_model = compute.value.items().iter().find_map(|feature| {
            let path = feature.get("embedding")?.entry("path")?;
            Some((path.key_origin, path.value.clone()))
        });
        if let (Some((origin, path)), None) = (sentence_model, analysis.get("sentence_model")) {
            analysis.put("sentence_model", origin, path);
        }
        if analysis.get("create_features").is_none() {
            let names = match &compute.value.content {
                Content::List(names) => Content::List(names.iter().map(oldest_feature).collect()),
                // The checks report a value that is not a list.
                other => other.clone(),
            };
            let names = Node::new(names, compute.value.origin);
            analysis.put("create_features", compute.key_origin, names);
        } else {
            findings.push(
                Finding::warning(
                    compute.key_origin,
                    "`analysis.compute` has no effect: `analysis.create_features` is used instead",
                )
                .with_help("remove `compute`"),
            );
        }
    }
    let Some(entry) = analysis.entry("create_features") else {
        return;
    };
    if matches!(entry.value.content, Content::List(_)) || entry.value.as_text().is_some() {
        let (origin, names) = (entry.key_origin, entry.value.clone());
        analysis.put("create_features", origin, map([("message", names)], origin));
    }
}

/// Returns the feature, or `embeddings` for `embedding: {…}` of the oldest form.
fn oldest_feature(feature: &Node) -> Node {
    match feature.entry("embedding") {
        Some(embedding) => Node::text("embeddings", embedding.key_origin),
        None => feature.clone(),
    }
}

/// Rewrites `plot` as a list of maps to one map.
fn plots(analysis: &mut Node, findings: &mut Vec<Finding>) {
    let Some(entry) = analysis.entry("plot") else {
        return;
    };
    let Content::List(maps) = &entry.value.content else {
        return;
    };
    let (key_origin, origin) = (entry.key_origin, entry.value.origin);
    findings.push(
        Finding::warning(key_origin, "`analysis.plot` as a list is outdated")
            .with_help("write a map from each y to its list of x columns"),
    );
    let mut plots: Vec<Entry> = Vec::new();
    for (index, single) in maps.iter().enumerate() {
        if single.entries().is_empty() {
            let message = format!("`analysis.plot[{index}]` cannot be {}", single.describe());
            findings.push(Finding::error(single.origin, message).with_help("write a plot as `y: [x]`"));
        }
        for plot in single.entries() {
            let mut plot = plot.clone();
            if plot.value.as_text().is_some() {
                plot.value = Node::new(Content::List(vec![plot.value.clone()]), plot.value.origin);
            }
            match plots.iter_mut().find(|other| other.key == plot.key) {
                Some(Entry {
                    value:
                        Node {
                            content: Content::List(columns),
                            ..
                        },
                    ..
                }) => {
                    columns.extend(plot.value.items().iter().cloned());
                }
                _ => plots.push(plot),
            }
        }
    }
    analysis.put("plot", key_origin, Node::new(Content::Map(plots), origin));
}

/// Moves the arguments of a behaviour that are written directly in its group at `path` into `behaviour.args`. Without a
/// name they are those of `honest`. If the name is unknown, every key is moved that is an argument of any behaviour and
/// not a key of the group. An argument that is written both in the group and in its `args` is reported, unless the
/// group has a key of the same name, which is then meant.
///
/// `keys` are the keys of the group. If they are not those of a group with a behaviour, or if `behaviour` is a map, the
/// function does nothing.
pub(crate) fn gather_arguments(
    group: &mut Node,
    keys: &'static Keys,
    path: &str,
    findings: &mut Vec<Finding>,
) {
    let Some(family) = behaviours(keys) else { return };
    let behaviour = group.get("behaviour").filter(|behaviour| !behaviour.is_null());
    if behaviour.is_some_and(Node::is_map) {
        return;
    }
    let name = behaviour.map_or_else(|| Node::text("honest", group.origin), Node::clone);
    let is_known = name.as_text().is_some_and(|name| family.variant(name).is_some());
    let mut beside = beside_behaviour(family, group);
    beside.retain(|key| *key != "args" && (is_known || keys.get(key).is_none()));
    let args = group.take("args").filter(|entry| !entry.value.is_null());
    let mut args = args.map(|entry| (entry.key_origin, entry.value));
    let in_args = |key: &str| args.as_ref().is_some_and(|(_, args)| args.entry(key).is_some());
    // With `args: {latency: …}` of `slow`, a `latency` of the group is that of the link.
    beside.retain(|key| keys.get(key).is_none() || !in_args(key));
    for key in beside {
        let Some(entry) = group.take(key) else { continue };
        let (_, args) = args.get_or_insert_with(|| (entry.key_origin, map([], entry.key_origin)));
        match args.entry(key).map(|other| other.value.origin.overridden_by()) {
            Some(other) if other > entry.value.origin.overridden_by() => {}
            Some(other) if other == entry.value.origin.overridden_by() => findings.push(
                Finding::error(
                    entry.key_origin,
                    format!("`{key}` is written twice: in `{path}` and in `{path}.args`"),
                )
                .with_help("keep one of the two"),
            ),
            // If `args` is not a map, the checks report it.
            _ => args.put(key, entry.key_origin, entry.value),
        }
    }
    // A behaviour that is neither a name nor a map is reported by the checks.
    let (Some((args_origin, args)), Some(_)) = (args, name.as_text()) else {
        return;
    };
    let (key_origin, name) = group
        .take("behaviour")
        .filter(|entry| !entry.value.is_null())
        .map_or(
            (
                args_origin,
                Node {
                    origin: args_origin,
                    ..name
                },
            ),
            |entry| (entry.key_origin, entry.value),
        );
    let origin = name.origin;
    group.put(
        "behaviour",
        key_origin,
        map([("name", name), ("args", args)], origin),
    );
}

fn map<const N: usize>(entries: [(&str, Node); N], origin: Origin) -> Node {
    let entry = |(key, value): (&str, Node)| Entry {
        key: key.to_owned(),
        key_origin: value.origin,
        value,
    };
    Node::new(Content::Map(entries.into_iter().map(entry).collect()), origin)
}
