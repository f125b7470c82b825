//! Tests that the types accept what the declared keys allow: every component, every default, both ends of every range.

use mirror_config::{example, json_schema, parse, placed, to_yaml, without_links};
use mirror_spec::key::{Family, HasKeys, Key, Keys, Kind, Need, Variant};
use mirror_spec::{Experiment, FAMILIES};
use serde_json::{Map, Value, json};

/// Returns values that a kind allows, including both ends of a range. The other rules of a file accept each of them.
fn allowed(kind: &Kind) -> Vec<Value> {
    match kind {
        Kind::Bool => vec![json!(true), json!(false)],
        Kind::Integer(range) | Kind::StepCount(range) | Kind::StepNumber(range) => {
            [range.start(), range.end()].map(|end| integer(*end)).into()
        }
        Kind::Number(range) | Kind::Duration(range) => vec![json!(range.start()), json!(range.end())],
        Kind::Text | Kind::Anything => vec![json!("x")],
        Kind::Choice(words) => words.iter().map(|word| json!(word)).collect(),
        Kind::Or(word, kind) => {
            let word = word.parse::<i64>().map_or_else(|_| json!(word), Value::from);
            std::iter::once(word).chain(allowed(kind)).collect()
        }
        Kind::Either(one, other) => allowed(one).into_iter().chain(allowed(other)).collect(),
        Kind::Notation(notation) => vec![json!(notation.example)],
        Kind::UidSet(_) => vec![json!(1), json!("0-1"), json!([1, "0"])],
        Kind::List(kind) => vec![Value::Array(allowed(kind))],
        Kind::OneOrMany(kind) => allowed(kind)
            .into_iter()
            .chain([Value::Array(allowed(kind))])
            .collect(),
        Kind::Map(kind) => vec![json!({ "name": allowed(kind)[0] })],
        Kind::ByUid(kind) => vec![json!({ "1": allowed(kind)[0] })],
        Kind::Table(keys) => maps(keys),
        Kind::Forms(forms) => forms.forms.iter().flat_map(|form| maps(form)).collect(),
        Kind::Component(family) => family().variants().flat_map(component).collect(),
    }
}

fn integer(integer: i128) -> Value {
    let natural = u64::try_from(integer).map(Value::from);
    natural.unwrap_or_else(|_| i64::try_from(integer).map(Value::from).expect("64 bits"))
}

/// Returns a map with only the required keys, and for each key and each of its allowed values a map that also contains
/// it.
fn maps(keys: &'static Keys) -> Vec<Value> {
    let is_required = |key: &&Key| matches!(key.need, Need::Required);
    let required = keys.iter().filter(is_required);
    let base: Map<String, Value> = required
        .map(|key| (key.name.to_owned(), allowed(&key.kind).swap_remove(0)))
        .collect();
    let mut maps = vec![Value::Object(base.clone())];
    for key in keys.iter().filter(|key| !matches!(key.need, Need::Ignored(_))) {
        for value in allowed(&key.kind) {
            let mut map = base.clone();
            map.insert(key.name.to_owned(), value);
            maps.push(Value::Object(map));
        }
    }
    maps
}

fn component(variant: &'static Variant) -> Vec<Value> {
    let with = |args: Value| json!({ "name": variant.name, "args": args });
    maps(variant.args).into_iter().map(with).collect()
}

/// Returns a file that contains the component at the place of its family, with enough miners for its uids.
fn file_with(family: &Family, component: &Value) -> Value {
    let mut file = json!({
        "model": {
            "id": "m",
            "dendrite_pool": {"name": "DummyDendritePool", "args": {"data_path": "builtin"}},
            "gating_model": "RandomGatingModel",
            "reward_model": "RandomRewardModel",
        },
        "data": {"id": "d", "path": "builtin"},
        "query": {"id": "q", "method": "train"},
        "network": {"validators": 2},
        "telemetry": {"logs": "json"},
        "analysis": {"requires": ["q"]},
    });
    let component = serde_yaml::to_value(component).expect("JSON is YAML");
    let part = serde_json::to_value(placed(family, component)).expect("the keys are strings");
    merge(&mut file, part);
    file
}

/// Copies the entries of `part` into `file` and replaces those that exist.
fn merge(file: &mut Value, part: Value) {
    match (file, part) {
        (Value::Object(file), Value::Object(part)) => {
            for (key, value) in part {
                merge(file.entry(key).or_insert(Value::Null), value);
            }
        }
        (file, part) => *file = part,
    }
}

/// The example of every component, as `mirror components NAME` prints it, is valid at its place in a file.
#[test]
fn every_example_is_valid() {
    for family in FAMILIES {
        for variant in family.variants() {
            let text = example(family, variant);
            let part: Value = serde_yaml::from_str(&text).expect("an example is YAML");
            let method = json!({"name": "train", "args": {"max_iter": 200, "train_network": true}});
            let mut file = file_with(mirror_spec::Method::FAMILY, &method);
            merge(&mut file, part);
            // `train` gets its questions from the network, so that `data` would have no effect.
            if file["query"]["method"] == "train" || file["query"]["method"]["name"] == "train" {
                file.as_object_mut().expect("a map").remove("data");
            }
            let loaded = parse(&file.to_string(), variant.name);
            let loaded = loaded.unwrap_or_else(|problems| panic!("{text}\n{}", problems.plain()));
            assert!(to_yaml(&loaded.experiment).contains(variant.name), "{text}");
            let warnings = loaded.warnings.plain();
            assert!(!warnings.contains("has no effect"), "{text}\n{warnings}");
            let has_placeholder = text.contains("data_path: text") || text.contains("tokenizer_name: text");
            assert!(!has_placeholder, "{text}");
        }
    }
}

/// Returns whether a message comes from a rule between keys that rejects the value because of the rest of the file: too
/// many or too few uids, or hyperparameters that contradict each other.
fn is_told_by_a_rule(reported: &str) -> bool {
    [
        "but the network has",
        "is outside the network",
        "are too many",
        "has no number of rows",
        "less than `p50`",
        "would copy itself",
        "its rules allow",
        "no chain can start",
    ]
    .iter()
    .any(|rule| reported.contains(rule))
}

#[test]
fn the_types_accept_every_value_that_a_key_allows() {
    let mut tried = 0;
    for family in FAMILIES {
        for variant in family.variants() {
            for component in component(variant) {
                let text = file_with(family, &component).to_string();
                let loaded = match parse(&text, variant.name) {
                    Ok(loaded) => loaded,
                    Err(problems) if is_told_by_a_rule(&problems.plain()) => continue,
                    Err(problems) => panic!("{}", problems.plain()),
                };
                let again = to_yaml(&loaded.experiment);
                let again = parse(&again, "again").unwrap_or_else(|problems| panic!("{}", problems.plain()));
                assert_eq!(again.experiment, loaded.experiment);
                let reported = again.warnings.plain();
                assert!(!reported.contains("it is ignored"), "{reported}");
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn the_sections_accept_every_value_that_a_key_allows() {
    for (section, keys) in sections() {
        for map in maps(keys) {
            let mut file = file_with(mirror_spec::Method::FAMILY, &json!("train"));
            let entries = map.as_object().expect("a map of keys").clone();
            file["analysis"] = Value::Null;
            let place = file[section].as_object_mut().expect("every section is a map");
            place.extend(entries);
            // The number of miners is unknown with a metagraph, and faults need a number of steps with a query.
            if let Err(problems) = parse(&file.to_string(), section) {
                let reported = problems.plain();
                assert!(
                    is_told_by_a_rule(&reported) || reported.contains("names 1 columns"),
                    "{reported}"
                );
            }
        }
    }
}

/// Returns the sections of a file that are maps, with their keys.
fn sections() -> impl Iterator<Item = (&'static str, &'static Keys)> {
    let sections = Experiment::KEYS.iter().filter_map(|key| match key.kind {
        Kind::Table(keys) => Some((key.name, keys)),
        _ => None,
    });
    // The names in an analysis must exist.
    sections.filter(|(name, _)| *name != "analysis")
}

#[test]
fn names_are_unique_and_documented() {
    fn walk(keys: &'static Keys) {
        let mut names = Vec::new();
        for key in keys.iter() {
            assert!(!names.contains(&key.name), "{} is declared twice", key.name);
            names.push(key.name);
            let is_ignored = matches!(key.need, Need::Ignored(_));
            assert!(
                is_ignored || key.doc.summary().ends_with('.'),
                "{} has no description",
                key.name
            );
            walk_kind(&key.kind);
        }
    }
    fn walk_kind(kind: &Kind) {
        match kind {
            Kind::Table(keys) => walk(keys),
            Kind::Forms(forms) => forms.forms.iter().for_each(|form| walk(form)),
            Kind::List(kind) | Kind::OneOrMany(kind) | Kind::Map(kind) | Kind::ByUid(kind) => walk_kind(kind),
            _ => {}
        }
    }
    walk(Experiment::KEYS);
    for family in FAMILIES {
        for variant in family.variants() {
            assert!(
                variant.doc.summary().ends_with('.'),
                "{} has no description",
                variant.name
            );
            walk(variant.args);
        }
    }
}

#[test]
fn the_json_schema_contains_sections_ranges_and_components() {
    let schema = json_schema();
    let model = &schema["properties"]["model"];
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(model["properties"]["alpha"]["maximum"], 1.0);
    assert_eq!(model["properties"]["alpha"]["default"], 0.01);
    assert_eq!(model["required"][0], "id");
    let gating = &model["properties"]["gating_model"]["anyOf"];
    assert_eq!(gating[1]["properties"]["name"]["const"], "RandomGatingModel");
    assert_eq!(
        gating[1]["properties"]["args"]["properties"]["distribution"]["enum"][1],
        "normal"
    );
}

#[test]
fn components_are_listed_with_arguments_defaults_and_ranges() {
    let list = mirror_config::components();
    let gating = &list[1];
    assert_eq!(gating["name"], "gating_model");
    assert_eq!(gating["variants"][3]["name"], "SequentialGatingModel");
    let families = list.as_array().expect("a list of families");
    let method = families.iter().find(|family| family["name"] == "method");
    let max_iter = &method.expect("there are methods")["variants"][0]["args"][0];
    assert_eq!(
        max_iter["kind"],
        "a whole number of steps such as `20 steps` or `20`, from 1 to 1000000000"
    );
    assert_eq!(max_iter["need"]["default"], 1);
}

/// The text of each link stays and its target goes, in every description of a component and of an argument.
#[test]
fn descriptions_are_printed_without_links() {
    assert_eq!(
        without_links("see [`a`](#a), [`b[].c`](#bc) and [x] (y)"),
        "see `a`, `b[].c` and [x] (y)"
    );
    let mut links = 0;
    for variant in FAMILIES.iter().flat_map(|family| family.variants()) {
        let keys = variant.args.iter().map(|key| key.doc.paragraphs());
        for paragraph in keys.chain([variant.doc.paragraphs()]).flatten() {
            links += usize::from(paragraph.contains("]("));
            assert!(!without_links(&paragraph).contains("]("), "{paragraph}");
        }
    }
    assert!(links > 0);
}
