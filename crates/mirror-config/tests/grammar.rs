//! Property tests of the grammar over every key that `mirror-spec` declares. The tests contain no list of keys.

use std::collections::BTreeSet;

use mirror_config::{Loaded, Problem, Problems, Severity, parse, parse_with, to_yaml};
use mirror_spec::key::{Family, HasKeys, Key, Keys, Kind, Need, Variant};
use mirror_spec::{
    BehaviourSpec, Estimator, Experiment, FAMILIES, Method, MinerGroup, ValidatorBehaviour, ValidatorGroup,
    Value as ValueComponent,
};
use serde_json::{Map, Value, json};

// --- a valid file that contains a map ---

/// Returns a value that the key and the other rules of the file from [`whole`] allow: `max_allowed_uids` must be at
/// least the number of its 16 miners and 2 validators, and `control` must name a label that a neuron of the kind has.
fn allowed_at(key: &Key) -> Value {
    match key.name {
        "max_allowed_uids" => json!(64),
        "control" if ValidatorGroup::KEYS.iter().any(|own| std::ptr::eq(own, key)) => json!("validator"),
        "control" => json!("honest"),
        _ => allowed(&key.kind),
    }
}

/// Returns a value that a kind and the other rules of a file allow.
fn allowed(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => json!(true),
        Kind::Integer(range) | Kind::StepCount(range) | Kind::StepNumber(range) => {
            // The number of miners.
            let number = 16.clamp(*range.start(), *range.end());
            json!(i64::try_from(number).expect("a small number"))
        }
        Kind::Number(range) | Kind::Duration(range) => json!(1.0_f64.clamp(*range.start(), *range.end())),
        Kind::Text | Kind::Anything => json!("step"),
        Kind::Choice(words) => json!(words[0]),
        Kind::Or(_, kind) => allowed(kind),
        Kind::Either(one, _) => allowed(one),
        Kind::Notation(notation) => json!(notation.example),
        Kind::UidSet(_) => json!(1),
        Kind::List(Kind::Text) => json!(["step", "block", "call_time"]),
        Kind::List(kind) | Kind::OneOrMany(kind) => json!([allowed(kind)]),
        Kind::Map(kind) => json!({ "message": allowed(kind) }),
        Kind::ByUid(kind) => json!({ "1": allowed(kind) }),
        Kind::Table(keys) => required(keys),
        Kind::Forms(forms) => required(forms.forms[0]),
        Kind::Component(family) => named(family().variants().next().expect("a family has components")),
    }
}

/// Returns a map of the required keys.
fn required(keys: &'static Keys) -> Value {
    let keys = keys.iter().filter(|key| matches!(key.need, Need::Required));
    let entries: Map<String, Value> = keys.map(|key| (key.name.to_owned(), allowed_at(key))).collect();
    Value::Object(entries)
}

fn named(variant: &'static Variant) -> Value {
    json!({ "name": variant.name, "args": required(variant.args) })
}

/// Returns a file with every section.
fn whole() -> Value {
    json!({
        "model": {
            "id": "m",
            "dendrite_pool": {"name": "DummyDendritePool", "args": {"data_path": "builtin"}},
            "gating_model": {"name": "RandomGatingModel"},
            "reward_model": {"name": "RandomRewardModel"},
            "subtensor": {"name": "DummySubtensor"},
            "metagraph": {"name": "DummyMetagraph"},
            "neuron": {},
        },
        "data": {"id": "d", "path": "builtin", "sample": {"method": "all"}},
        "query": {"id": "step", "method": {"name": "train", "args": {"max_iter": 20}}},
        "network": {"validators": 2, "hyperparameters": {"alpha_low": 0}, "restart": {}, "miners": [], "validator_groups": []},
        "analysis": {
            "requires": ["step"],
            "estimators": {"step": Estimator::FAMILY.variants().map(named).next()},
        },
        "faults": [],
        "expect": [],
    })
}

/// A map of the grammar and its place in a file.
struct Place {
    /// Path of the map, as errors print it.
    path: String,
    /// Declared keys of the map.
    keys: Vec<&'static Key>,
    /// Other names that are valid in the map.
    besides: Vec<&'static str>,
    /// Whether the map contains the arguments of a component.
    is_args: bool,
    /// A valid file that contains the map.
    file: Value,
    /// JSON pointer to the map in the file.
    pointer: String,
}

/// Returns every map of the grammar.
fn places() -> Vec<Place> {
    let mut places = Vec::new();
    tables(Experiment::KEYS, "", whole(), false, &mut places);
    for family in FAMILIES {
        for variant in family.variants() {
            let (file, pointer) = file_with(family, named(variant));
            let pointer = format!("{pointer}/args");
            tables(variant.args, &pointer, file, true, &mut places);
        }
    }
    places
}

fn path_of(pointer: &str) -> String {
    let parts = pointer
        .split('/')
        .skip(1)
        .map(|part| match part.parse::<usize>() {
            Ok(index) => format!("[{index}]"),
            Err(_) => format!(".{part}"),
        });
    parts.collect::<String>().trim_start_matches('.').to_owned()
}

fn tables(keys: &'static Keys, pointer: &str, file: Value, is_args: bool, places: &mut Vec<Place>) {
    for key in keys.iter() {
        inner(&key.kind, &format!("{pointer}/{}", key.name), &file, places);
    }
    places.push(Place {
        path: path_of(pointer),
        keys: keys.iter().collect(),
        besides: besides(keys),
        is_args,
        file,
        pointer: pointer.to_owned(),
    });
}

/// Adds the maps inside the value of a key.
fn inner(kind: &'static Kind, pointer: &str, file: &Value, places: &mut Vec<Place>) {
    let with = |value: Value| {
        let mut file = file.clone();
        put(&mut file, pointer, value);
        file
    };
    match kind {
        Kind::Table(keys) => {
            let is_there = file.pointer(pointer).is_some_and(|value| !value.is_null());
            let file = if is_there {
                file.clone()
            } else {
                with(required(keys))
            };
            tables(keys, pointer, file, false, places);
        }
        Kind::Forms(forms) => {
            for form in forms.forms {
                places.push(Place {
                    path: path_of(pointer),
                    keys: form.iter().collect(),
                    besides: forms
                        .forms
                        .iter()
                        .flat_map(|form| form.iter())
                        .map(|key| key.name)
                        .collect(),
                    is_args: false,
                    file: with(required(form)),
                    pointer: pointer.to_owned(),
                });
            }
        }
        Kind::List(each) => {
            let item = format!("{pointer}/0");
            if matches!(each, Kind::Table(_) | Kind::Forms(_)) {
                inner(each, &item, &with(json!([allowed(each)])), places);
            }
        }
        Kind::Map(each) if matches!(each, Kind::Table(_)) => {
            let file = with(json!({ "message": allowed(each) }));
            inner(each, &format!("{pointer}/message"), &file, places);
        }
        _ => {}
    }
}

/// Returns names that are valid in a map without being declared there: the arguments of a behaviour in its group, or
/// the keys of outdated forms.
fn besides(keys: &'static Keys) -> Vec<&'static str> {
    let family = if std::ptr::eq(keys, MinerGroup::KEYS) {
        BehaviourSpec::FAMILY
    } else if std::ptr::eq(keys, ValidatorGroup::KEYS) {
        ValidatorBehaviour::FAMILY
    } else {
        return vec!["path", "schema", "compute"];
    };
    let arguments = family.variants().flat_map(|variant| variant.args.iter());
    arguments.map(|key| key.name).chain(["args"]).collect()
}

fn put(file: &mut Value, pointer: &str, value: Value) {
    let (outer, key) = pointer.rsplit_once('/').expect("a pointer has a part");
    match file
        .pointer_mut(outer)
        .unwrap_or_else(|| panic!("{pointer} leads nowhere"))
    {
        Value::Array(items) => {
            let index: usize = key.parse().expect("an index");
            if index == items.len() {
                items.push(value);
            } else {
                items[index] = value;
            }
        }
        Value::Object(entries) => {
            entries.insert(key.to_owned(), value);
        }
        _ => panic!("{pointer} leads nowhere"),
    }
}

/// Returns a valid file that contains a component of a family, and the pointer to the component.
fn file_with(family: &Family, component: Value) -> (Value, String) {
    let mut file = whole();
    let pointer = if family.name == ValueComponent::FAMILY.name {
        file["model"]["gating_model"] = json!({ "name": "ConstantGatingModel", "args": {} });
        "/model/gating_model/args/value".to_owned()
    } else if family.name == BehaviourSpec::FAMILY.name {
        file["network"]["miners"] = json!([{ "uids": 9 }]);
        "/network/miners/0/behaviour".to_owned()
    } else if family.name == ValidatorBehaviour::FAMILY.name {
        file["network"]["validator_groups"] = json!([{ "validators": 0 }]);
        "/network/validator_groups/0/behaviour".to_owned()
    } else if family.name == Method::FAMILY.name {
        "/query/method".to_owned()
    } else if family.name == Estimator::FAMILY.name {
        "/analysis/estimators/trees".to_owned()
    } else {
        format!("/model/{}", family.name)
    };
    put(&mut file, &pointer, component);
    (file, pointer)
}

// --- the problems of a file ---

fn read(file: &Value) -> Result<Loaded, Problems> {
    parse(&file.to_string(), "grammar.yml")
}

fn errors(read: &Result<Loaded, Problems>) -> Vec<&Problem> {
    let problems = match read {
        Ok(_) => return Vec::new(),
        Err(problems) => &problems.problems,
    };
    problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .collect()
}

fn all(read: &Result<Loaded, Problems>) -> &[Problem] {
    match read {
        Ok(loaded) => &loaded.warnings.problems,
        Err(problems) => &problems.problems,
    }
}

fn reported(read: &Result<Loaded, Problems>) -> String {
    match read {
        Ok(loaded) => loaded.warnings.plain(),
        Err(problems) => problems.plain(),
    }
}

/// Returns the names that a problem suggests.
fn suggested(problem: &Problem) -> Vec<String> {
    let help = problem.help.as_deref().unwrap_or_default();
    let Some(question) = help
        .strip_prefix("did you mean ")
        .and_then(|rest| rest.split_once('?'))
    else {
        return Vec::new();
    };
    let names = question.0.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

#[test]
fn every_map_of_the_grammar_has_a_valid_file() {
    let places = places();
    for place in &places {
        assert!(
            read(&place.file).is_ok(),
            "{}\n{}",
            place.path,
            reported(&read(&place.file))
        );
        assert!(place.file.pointer(&place.pointer).is_some(), "{}", place.path);
    }
    let keys: usize = places.iter().map(|place| place.keys.len()).sum();
    assert!(
        places.len() > 60 && keys > 250,
        "{} maps, {keys} keys",
        places.len()
    );
}

// --- misspelt names ---

/// Returns the misspellings of a name with one wrong letter: each letter removed, doubled, swapped with the next, and
/// replaced.
fn misspellings(name: &str) -> BTreeSet<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut made = BTreeSet::new();
    for at in 0..letters.len() {
        let mut left_out = letters.clone();
        left_out.remove(at);
        let mut doubled = letters.clone();
        doubled.insert(at, letters[at]);
        let mut swapped = letters.clone();
        if at + 1 < letters.len() {
            swapped.swap(at, at + 1);
        }
        let mut exchanged = letters.clone();
        exchanged[at] = if letters[at] == 'q' { 'z' } else { 'q' };
        made.extend([left_out, doubled, swapped, exchanged].map(String::from_iter));
    }
    made.remove(name);
    made
}

/// Returns whether two names differ in one letter, which is removed, inserted, replaced, or swapped with its neighbour.
fn is_one_letter_away(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (
        one.to_lowercase().chars().collect(),
        other.to_lowercase().chars().collect(),
    );
    let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (a, b) = (&one[same..], &other[same..]);
    let without = |letters: &[char], count: usize| letters.get(count..).map(<[char]>::to_vec);
    let is_swapped = matches!((a, b), ([a1, a2, ..], [b1, b2, ..]) if a1 == b2 && a2 == b1);
    let (a1, b1) = (without(a, 1), without(b, 1));
    a1.as_deref() == Some(b)
        || b1.as_deref() == Some(a)
        || a1.is_some() && a1 == b1
        || is_swapped && without(a, 2) == without(b, 2)
}

/// Returns the file of a place in which a key is renamed, or added with another name if the map does not have it.
fn misspelt(place: &Place, key: &Key, name: &str) -> Value {
    let mut file = place.file.clone();
    let map = file
        .pointer_mut(&place.pointer)
        .and_then(Value::as_object_mut)
        .expect("the value is a map");
    let value = map.remove(key.name).unwrap_or_else(|| allowed_at(key));
    map.insert(name.to_owned(), value);
    file
}

#[test]
fn a_misspelt_key_is_reported_once_with_the_right_one() {
    let mut tried = 0;
    for place in places() {
        let with_effect = place
            .keys
            .iter()
            .filter(|key| !matches!(key.need, Need::Ignored(_)));
        for key in with_effect {
            let spelt = read(&misspelt(&place, key, key.name));
            assert!(spelt.is_ok(), "{}", reported(&spelt));
            for name in misspellings(key.name) {
                let is_key = place.keys.iter().any(|key| key.name == name);
                if is_key || place.besides.contains(&&*name) {
                    continue;
                }
                let file = misspelt(&place, key, &name);
                let read = read(&file);
                let context = || {
                    format!(
                        "`{}` as `{name}` in {}\n{}",
                        key.name,
                        place.path,
                        reported(&read)
                    )
                };
                let is_required = matches!(key.need, Need::Required);
                let problems: Vec<&Problem> = if place.is_args && !is_required {
                    assert!(read.is_ok(), "{}", context());
                    all(&read)
                        .iter()
                        .filter(|problem| problem.message.contains(&format!("`{name}`")))
                        .collect()
                } else {
                    errors(&read)
                };
                let [problem] = problems[..] else {
                    panic!("{}", context())
                };
                assert!(problem.message.contains(&format!("`{name}`")), "{}", context());
                assert!(problem.place.is_some(), "{}", context());
                let suggested = suggested(problem);
                assert!(suggested.iter().any(|name| name == key.name), "{}", context());
                for other in place
                    .keys
                    .iter()
                    .filter(|key| !matches!(key.need, Need::Ignored(_)))
                {
                    let is_near = is_one_letter_away(&name, other.name);
                    assert!(
                        !is_near || suggested.iter().any(|name| name == other.name),
                        "{}",
                        context()
                    );
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn a_misspelt_component_is_reported_once_with_the_right_one() {
    let mut tried = 0;
    for family in FAMILIES {
        let names: Vec<&str> = family.variants().map(|variant| variant.name).collect();
        for variant in family.variants() {
            for name in misspellings(variant.name) {
                if names.contains(&&*name) {
                    continue;
                }
                let mut component = named(variant);
                component["name"] = json!(name);
                let (file, pointer) = file_with(family, component);
                let mut files = vec![file.clone()];
                // The component as only a name, and the arguments of a behaviour in its group.
                let mut alone = file.clone();
                put(&mut alone, &pointer, json!(name));
                files.push(alone.clone());
                if pointer.ends_with("/behaviour") {
                    for key in variant.args.iter() {
                        let beside = pointer.replace("/behaviour", &format!("/{}", key.name));
                        if alone.pointer(&beside).is_none() && matches!(key.need, Need::Required) {
                            put(&mut alone, &beside, allowed_at(key));
                        }
                    }
                    files.push(alone);
                }
                for file in files {
                    let read = read(&file);
                    let errors = errors(&read);
                    let [problem] = errors[..] else {
                        panic!("{file}\n{}", reported(&read))
                    };
                    let suggested = suggested(problem);
                    assert!(
                        problem.message.contains(&format!("is called `{name}`")),
                        "{}",
                        reported(&read)
                    );
                    for near in names.iter().filter(|known| is_one_letter_away(&name, known)) {
                        assert!(suggested.iter().any(|name| name == near), "{}", reported(&read));
                    }
                    assert!(
                        suggested.iter().any(|name| name == variant.name),
                        "{}",
                        reported(&read)
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 2_000, "{tried}");
}

#[test]
fn misspelt_arguments_in_a_group_are_reported_once_with_the_right_one() {
    let groups = [
        (BehaviourSpec::FAMILY, MinerGroup::KEYS, "miners"),
        (
            ValidatorBehaviour::FAMILY,
            ValidatorGroup::KEYS,
            "validator_groups",
        ),
    ];
    let mut tried = 0;
    for (family, keys, section) in groups {
        for variant in family.variants() {
            let mut group = required(keys);
            group["behaviour"] = json!(variant.name);
            if keys.get("uids").is_some() {
                group["uids"] = json!(0);
            }
            for key in variant
                .args
                .iter()
                .filter(|key| matches!(key.need, Need::Required))
            {
                group[key.name] = allowed_at(key);
            }
            for key in variant.args.iter() {
                for name in misspellings(key.name) {
                    let known = besides(keys);
                    if known.contains(&&*name) || keys.get(&name).is_some() {
                        continue;
                    }
                    let mut file = whole();
                    let mut group = group.clone();
                    let map = group.as_object_mut().expect("the value is a map");
                    let value = map.remove(key.name).unwrap_or_else(|| allowed_at(key));
                    map.insert(name.clone(), value);
                    file["network"][section] = json!([group]);
                    let read = read(&file);
                    let errors = errors(&read);
                    let [problem] = errors[..] else {
                        panic!("{file}\n{}", reported(&read))
                    };
                    assert!(
                        suggested(problem).iter().any(|name| name == key.name),
                        "{}",
                        reported(&read)
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

// --- values of the wrong type ---

/// Returns whether a value has a type that a kind allows, regardless of its range.
fn is_of_type(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Anything => true,
        Kind::Bool => value.is_boolean(),
        Kind::Integer(_) | Kind::Number(_) | Kind::Duration(_) | Kind::StepCount(_) | Kind::StepNumber(_) => {
            value.is_number()
        }
        Kind::Text | Kind::Choice(_) => value.is_string(),
        Kind::Notation(notation) => {
            let is_number = value.is_number() && (notation.check)(&value.to_string()).is_ok();
            value.is_string() || is_number
        }
        Kind::Or(_, other) => is_of_type(other, value),
        Kind::Either(one, other) => is_of_type(one, value) || is_of_type(other, value),
        Kind::UidSet(_) => value.is_number() || value.is_array(),
        Kind::List(_) => value.is_array(),
        Kind::OneOrMany(each) => value.is_array() || is_of_type(each, value),
        Kind::Map(_) | Kind::ByUid(_) | Kind::Table(_) => value.is_object(),
        Kind::Forms(forms) => {
            let plain = forms.forms.iter().find_map(|form| form.get(forms.plain?));
            value.is_object() || plain.is_some_and(|key| is_of_type(&key.kind, value))
        }
        Kind::Component(family) => {
            let family = family();
            value.is_object() || value.is_string() || family.number_means.is_some() && value.is_number()
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_is_reported_once_at_its_place() {
    let wrong = [
        json!(true),
        json!(7),
        json!(1.5),
        json!("nonsense"),
        json!(["a"]),
        json!({"a": 1}),
    ];
    let mut tried = 0;
    for place in places() {
        let with_effect = place
            .keys
            .iter()
            .filter(|key| !matches!(key.need, Need::Ignored(_)));
        for key in with_effect {
            for value in &wrong {
                if is_of_type(&key.kind, value) {
                    continue;
                }
                let mut file = place.file.clone();
                let pointer = format!("{}/{}", place.pointer, key.name);
                let marked = "the value under test";
                put(&mut file, &pointer, json!(marked));
                let text = file.to_string();
                let column = text.find(marked).expect("the file contains the marker");
                let column = text[..column].chars().count();
                put(&mut file, &pointer, value.clone());
                let read = read(&file);
                let context = || format!("{pointer}: {value}\n{}", reported(&read));
                let errors = errors(&read);
                let [problem] = errors[..] else {
                    panic!("{}", context())
                };
                let at = problem.place.map(|place| (place.line, place.column));
                let inside = if value.is_array() || value.is_object() {
                    6
                } else {
                    0
                };
                let is_there =
                    at.is_some_and(|(line, at)| line == 1 && (column..=column + inside).contains(&at));
                assert!(is_there, "{at:?}, not {column}: {}", context());
                assert!(
                    problem.message.contains(&format!("`{}", path_of(&pointer))),
                    "{}",
                    context()
                );
                assert!(problem.help.is_some(), "{}", context());
                tried += 1;
            }
        }
    }
    assert!(tried > 800, "{tried}");
}

// --- uids, steps and durations ---

/// Sets each value at each key of a kind in turn, and calls `look` with the result of reading the file.
fn at_each(
    is_meant: fn(&Kind) -> bool,
    values: &[Value],
    mut look: impl FnMut(&str, &Value, Result<Loaded, Problems>),
) {
    let mut tried = 0;
    for place in places() {
        for key in place.keys.iter().filter(|key| is_meant(&key.kind)) {
            for value in values {
                let mut file = place.file.clone();
                let pointer = format!("{}/{}", place.pointer, key.name);
                put(&mut file, &pointer, value.clone());
                look(&path_of(&pointer), value, read(&file));
                tried += 1;
            }
        }
    }
    assert!(tried > 0, "there is no such key");
}

fn names_uids(kind: &Kind) -> bool {
    match kind {
        Kind::UidSet(_) => true,
        Kind::Either(_, other) => names_uids(other),
        _ => false,
    }
}

#[test]
fn uids_are_written_the_same_everywhere() {
    let same = [
        json!("0-1"),
        json!("0,1"),
        json!(["0", 1]),
        json!(["0-1"]),
        json!([0, 1.0]),
        json!("uids 0-1"),
    ];
    let mut first = String::new();
    at_each(names_uids, &same, |path, value, read| {
        if path.ends_with("validators") && *value == json!("uids 0-1") {
            let reason = "validator indices are required";
            assert!(reported(&read).contains(reason), "{}", reported(&read));
            return;
        }
        let read = read.map(|loaded| to_yaml(&loaded.experiment));
        let read = read.unwrap_or_else(|problems| panic!("{path}: {value}\n{}", problems.plain()));
        if *value == same[0] {
            first = read;
        } else {
            assert_eq!(read, first, "{path}: {value}");
        }
    });
    let wrong = [
        (json!("1,"), "is not a set of uids"),
        (json!("1-"), "is not a set of uids"),
        (json!("-1"), "is not a set of uids"),
        (json!("3-1"), "ends before it begins"),
        (json!("0-4294967295"), "the maximum is 65535"),
        (json!("0,0-1"), "uid 0 is named twice"),
        (json!([1, 1]), "uid 1 is named twice"),
        (json!([0, "x"]), "is not a set of uids"),
        (json!([0, true]), "cannot be `true`"),
        (json!([0, 1.5]), "cannot be the number 1.5"),
    ];
    for (value, word) in wrong {
        at_each(names_uids, &[value], |path, value, read| {
            let errors = errors(&read);
            let [problem] = errors[..] else {
                panic!("{path}: {value}\n{}", reported(&read))
            };
            let word = if path.ends_with("validators") {
                word.replace("a set of uids", "a set of validator indices")
            } else {
                word.to_owned()
            };
            assert!(
                problem.message.contains(&word),
                "{path}: {value}\n{}",
                reported(&read)
            );
            assert!(
                problem.message.contains(path),
                "{path}: {value}\n{}",
                reported(&read)
            );
        });
    }
}

/// The order of uids is kept, because random draws depend on it.
#[test]
fn uids_keep_their_order_and_are_written_as_ranges() {
    let written = |uids: &str| uids.parse::<mirror_spec::Uids>().map(|uids| uids.to_string());
    assert_eq!(written("0,1,2,5").as_deref(), Ok("0-2,5"));
    assert_eq!(written("5, 0-2").as_deref(), Ok("5,0-2"));
    assert_eq!(written("2,1,0").as_deref(), Ok("2,1,0"));
    assert_eq!(written("uid 7").as_deref(), Ok("7"));
    let uids: mirror_spec::Uids = "5,0-2".parse().expect("it names uids");
    assert_eq!(uids.iter().collect::<Vec<u32>>(), [5, 0, 1, 2]);
    assert_eq!((uids.count(), uids.least(), uids.greatest()), (4, 0, 5));
    assert_eq!((uids.get(0), uids.get(3), uids.get(4)), (Some(5), Some(2), None));
}

#[test]
fn a_key_of_a_map_by_uid_may_be_several_uids() {
    let by_uid = |kind: &Kind| matches!(kind, Kind::Either(_, Kind::ByUid(_)));
    at_each(by_uid, &[json!({"0-2,5": 0.5, "3": 1})], |path, _, read| {
        let loaded = read.unwrap_or_else(|problems| panic!("{path}\n{}", problems.plain()));
        let text = to_yaml(&loaded.experiment);
        for line in ["0: 0.5", "1: 0.5", "2: 0.5", "3: 1.0", "5: 0.5"] {
            assert!(text.contains(line), "{path}\n{text}");
        }
    });
    at_each(by_uid, &[json!({"0-2": 0.5, "1": 1})], |path, _, read| {
        assert!(
            reported(&read).contains("uid 1 is named twice"),
            "{path}\n{}",
            reported(&read)
        );
    });
}

fn is_duration(kind: &Kind) -> bool {
    match kind {
        Kind::Duration(_) => true,
        Kind::Or(_, kind) => is_duration(kind),
        Kind::Forms(forms) => {
            let plain = forms.forms.iter().find_map(|form| form.get(forms.plain?));
            plain.is_some_and(|key| is_duration(&key.kind))
        }
        _ => false,
    }
}

#[test]
fn durations_have_units_or_are_seconds_everywhere() {
    let same = [
        json!("1s"),
        json!("1000ms"),
        json!("1000 ms"),
        json!(1),
        json!(1.0),
    ];
    let mut first = String::new();
    at_each(is_duration, &same, |path, value, read| {
        let read = read.map(|loaded| to_yaml(&loaded.experiment));
        let read = read.unwrap_or_else(|problems| panic!("{path}: {value}\n{}", problems.plain()));
        if *value == same[0] {
            first = read;
        } else {
            assert_eq!(read, first, "{path}: {value}");
        }
    });
    let wrong = [
        json!("5 steps"),
        json!("step 5"),
        json!("1 sec"),
        json!("ms"),
        json!("1,5s"),
    ];
    at_each(is_duration, &wrong, |path, value, read| {
        let errors = errors(&read);
        let [problem] = errors[..] else {
            panic!("{path}: {value}\n{}", reported(&read))
        };
        let help = problem.help.as_deref().unwrap_or_default();
        assert!(
            help.contains("`80ms` or `1.5s`, or a number of seconds"),
            "{path}: {value}\n{}",
            reported(&read)
        );
    });
}

#[test]
fn steps_have_a_unit_or_are_counts_everywhere() {
    let is_count = |kind: &Kind| matches!(kind, Kind::StepCount(_));
    at_each(
        is_count,
        &[json!(20), json!("20 steps"), json!(2e1)],
        |path, value, read| {
            let loaded = read.unwrap_or_else(|problems| panic!("{path}: {value}\n{}", problems.plain()));
            let key = path.rsplit('.').next().expect("a path has a last part");
            let text = to_yaml(&loaded.experiment);
            assert!(text.contains(&format!("{key}: 20\n")), "{path}: {value}\n{text}");
        },
    );
    let is_number = |kind: &Kind| matches!(kind, Kind::StepNumber(_));
    at_each(is_number, &[json!(5), json!("step 5")], |path, value, read| {
        let loaded = read.unwrap_or_else(|problems| panic!("{path}: {value}\n{}", problems.plain()));
        assert!(
            to_yaml(&loaded.experiment).contains("after: 5\n"),
            "{path}: {value}"
        );
    });
    let is_step = |kind: &Kind| is_count_or_number(kind);
    at_each(
        is_step,
        &[json!("5s"), json!("80ms"), json!("5 blocks"), json!(1.5)],
        |path, value, read| {
            let errors = errors(&read);
            let [problem] = errors[..] else {
                panic!("{path}: {value}\n{}", reported(&read))
            };
            let help = problem.help.as_deref().unwrap_or_default();
            assert!(
                help.contains("`20 steps` or `20`") || help.contains("`step 50` or `50`"),
                "{}",
                reported(&read)
            );
        },
    );
}

fn is_count_or_number(kind: &Kind) -> bool {
    matches!(kind, Kind::StepCount(_) | Kind::StepNumber(_))
}

/// If a number without a unit could be seconds, the unit is required, and the message contains the correct form.
#[test]
fn a_missing_unit_of_a_step_is_reported_with_the_correct_form() {
    let is_step = |kind: &Kind| matches!(kind, Kind::Notation(notation) if notation.example.contains("step"));
    let mut forms = BTreeSet::new();
    at_each(
        is_step,
        &[json!(50), json!("50"), json!(5e1)],
        |path, value, read| {
            let errors = errors(&read);
            let [problem] = errors[..] else {
                panic!("{path}: {value}\n{}", reported(&read))
            };
            let form = problem
                .message
                .split_once("has no unit: write ")
                .unwrap_or_else(|| panic!("{}", reported(&read)))
                .1;
            forms.insert(form.to_owned());
        },
    );
    assert_eq!(
        forms,
        BTreeSet::from([
            "`step 50`, `block 50` or `50s`".to_owned(),
            "`50 steps`, `50 blocks` or `50s`".to_owned()
        ])
    );
}

// --- switches and whole numbers ---

#[test]
fn a_switch_is_only_true_or_false() {
    let is_switch = |kind: &Kind| matches!(kind, Kind::Bool);
    let wrong = [
        json!(1),
        json!(0),
        json!("yes"),
        json!("true"),
        json!("off"),
        json!([]),
    ];
    at_each(is_switch, &wrong, |path, value, read| {
        let errors = errors(&read);
        let [problem] = errors[..] else {
            panic!("{path}: {value}\n{}", reported(&read))
        };
        assert!(problem.message.contains(path), "{}", reported(&read));
        let help = problem.help.as_deref().unwrap_or_default();
        assert!(help.contains("write `true` or `false`"), "{}", reported(&read));
    });
}

/// The chain represents its switches as numbers.
#[test]
fn switches_among_hyperparameters_become_ones_and_zeros() {
    let switches = json!({"yuma3_on": true, "commit_reveal_weights_enabled": false, "tempo": 3});
    let rules: mirror_spec::Hyperparameters =
        serde_json::from_value(switches).expect("the map contains hyperparameters");
    let given = rules.given();
    let given: Vec<(&str, u64)> = given
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    assert_eq!(
        given,
        [
            ("commit_reveal_weights_enabled", 0),
            ("tempo", 3),
            ("yuma3_on", 1)
        ]
    );
}

#[test]
fn whole_numbers_may_have_a_decimal_point_or_an_exponent() {
    let text = |seed: &str| format!("seed: {seed}\ndata: {{id: d, path: builtin}}\n");
    for (written, seed) in [
        ("1e3", 1_000),
        ("1000.0", 1_000),
        ("1.5e1", 15),
        ("9e15", 9_000_000_000_000_000),
    ] {
        let loaded = parse(&text(written), "a.yml").unwrap_or_else(|problems| panic!("{}", problems.plain()));
        assert_eq!(loaded.experiment.seed, seed, "{written}");
    }
    // From 2^53 a number with a decimal point may have been rounded.
    for written in [
        "1.5",
        "1e-3",
        "-1.0",
        ".inf",
        ".nan",
        "1e300",
        "9007199254740993.0e1",
    ] {
        let problems = parse(&text(written), "a.yml").expect_err(written);
        let [problem] = problems.problems.as_slice() else {
            panic!("{}", problems.plain())
        };
        assert_eq!(
            problem.place.map(|place| (place.line, place.column)),
            Some((1, 7))
        );
        assert!(
            problem.message.contains("`seed` cannot be the number"),
            "{}",
            problems.plain()
        );
        assert!(
            problem
                .help
                .as_deref()
                .is_some_and(|help| help.contains("whole number")),
            "{}",
            problems.plain()
        );
    }
    let is_integer = |kind: &Kind| matches!(kind, Kind::Integer(range) if range.contains(&16));
    at_each(is_integer, &[json!(16), json!(16.0)], |path, value, read| {
        // Another rule rejects 16 as the limit of uids, since the file has more neurons.
        let is_too_few = path.ends_with(".max_allowed_uids") && reported(&read).contains("18 neurons");
        assert!(is_too_few || read.is_ok(), "{path}: {value}\n{}", reported(&read));
    });
    at_each(is_integer, &[json!(1.5)], |path, _, read| {
        let errors = errors(&read);
        let [problem] = errors[..] else {
            panic!("{path}\n{}", reported(&read))
        };
        assert!(
            problem
                .help
                .as_deref()
                .is_some_and(|help| help.contains("whole number")),
            "{}",
            reported(&read)
        );
    });
}

// --- overrides ---

fn set(file: &Value, path: &str, value: &Value) -> Result<Loaded, Problems> {
    parse_with(
        &file.to_string(),
        "set.yml",
        &[(path.to_owned(), value.to_string())],
    )
}

/// The path of each key, as an error prints it, sets that key regardless of the rest of the file.
#[test]
fn each_key_is_set_by_the_path_that_errors_print() {
    let mut tried = 0;
    for place in places() {
        for key in place
            .keys
            .iter()
            .filter(|key| !matches!(key.need, Need::Ignored(_)))
        {
            let pointer = format!("{}/{}", place.pointer, key.name);
            let path = path_of(&pointer);
            let mut expected = place.file.clone();
            put(&mut expected, &pointer, allowed_at(key));
            let expected = read(&expected).unwrap_or_else(|problems| panic!("{path}\n{}", problems.plain()));
            let dotted = path.replace('[', ".").replace(']', "");
            for path in [&path, &dotted] {
                let read = set(&place.file, path, &allowed_at(key));
                let read = read.unwrap_or_else(|problems| panic!("{path}\n{}", problems.plain()));
                assert_eq!(read.experiment, expected.experiment, "{path}");
            }
            if let Some(wrong) = [json!({"a": 1}), json!(true)]
                .iter()
                .find(|wrong| !is_of_type(&key.kind, wrong))
            {
                let read = set(&place.file, &path, wrong);
                let errors = errors(&read);
                let [problem] = errors[..] else {
                    panic!("{path}: {wrong}\n{}", reported(&read))
                };
                let (_, message) = problem
                    .message
                    .split_once(": ")
                    .expect("the message names the override");
                let printed = message.split('`').find(|printed| printed.starts_with(&path));
                assert!(printed.is_some(), "{path}\n{}", reported(&read));
            }
            tried += 1;
        }
    }
    assert!(tried > 250, "{tried}");
}

#[test]
fn an_unknown_path_is_reported_once_with_the_nearest_key() {
    let mut tried = 0;
    for place in places() {
        for key in place
            .keys
            .iter()
            .filter(|key| !matches!(key.need, Need::Ignored(_)))
        {
            for name in misspellings(key.name) {
                let is_key = place.keys.iter().any(|key| key.name == name);
                if is_key || place.besides.contains(&&*name) || name.is_empty() {
                    continue;
                }
                let path = format!("{}.{name}", place.path)
                    .trim_start_matches('.')
                    .to_owned();
                let read = set(&place.file, &path, &allowed_at(key));
                let errors = errors(&read);
                let [problem] = errors[..] else {
                    panic!("{path}\n{}", reported(&read))
                };
                assert!(
                    problem.message.starts_with(&format!("override `{path}=")),
                    "{}",
                    reported(&read)
                );
                assert!(
                    suggested(problem).iter().any(|name| name == key.name),
                    "{path}\n{}",
                    reported(&read)
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

/// Arguments can be set if the file contains only the name of a component, or a behaviour's arguments in its group.
#[test]
fn arguments_can_be_set_in_every_form_of_a_component() {
    let mut file = whole();
    file["model"]["gating_model"] = json!("RandomGatingModel");
    file["network"]["miners"] = json!([
        {"uids": 0, "behaviour": "slow", "latency": "1s"},
        {"uids": 1, "over": "copycat", "fitness": 1, "args": {"fail_rate": 0}},
    ]);
    let experiment = |overrides: &[(&str, &str)]| {
        let overrides: Vec<(String, String)> = overrides
            .iter()
            .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
            .collect();
        let read = parse_with(&file.to_string(), "set.yml", &overrides);
        read.unwrap_or_else(|problems| panic!("{}", problems.plain()))
            .experiment
    };
    let victims = ("network.miners[1].over.args.victims", "0");
    let text = to_yaml(&experiment(&[
        victims,
        ("model.gating_model.args.frozen", "true"),
        ("network.miners[0].behaviour.args.latency", "250ms"),
        ("network.miners[1].behaviour.args.fitness", "0.25"),
    ]));
    for line in ["frozen: true", "fixed: 0.25", "fitness: 0.25", "fail_rate: 0.0"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let link = to_yaml(&experiment(&[victims, ("network.miners[1].latency", "80ms")]));
    assert!(
        link.contains("fixed: 0.08") && link.contains("fixed: 1.0"),
        "{link}"
    );
}

#[test]
fn paths_that_lead_nowhere_are_errors() {
    for (path, words) in [
        (
            "network.miners[0].latency",
            "`network.miners` is a list of length 0 and has no item `0`",
        ),
        (
            "network.stakes[0]",
            "`network.stakes` is not set, so it has no item `0`",
        ),
        (
            "network.validators[0]",
            "`network.validators` is the number 2, not a list",
        ),
        (
            "network.miners[x].latency",
            "`[x]` in the path is not a list index in brackets",
        ),
        (
            "network.miners[0",
            "`[0` in the path is not a list index in brackets",
        ),
        (
            "network.miners[0]x",
            "`x` in the path is not a list index in brackets",
        ),
        ("[0]", "the path has an empty part"),
        ("network..validators", "the path has an empty part"),
        ("seed.x", "`seed` cannot be a map"),
    ] {
        let read = set(&whole(), path, &json!(1));
        let errors = errors(&read);
        let [problem] = errors[..] else {
            panic!("{path}\n{}", reported(&read))
        };
        assert!(problem.message.contains(words), "{}", reported(&read));
        assert!(problem.help.is_some(), "{}", reported(&read));
    }
}
