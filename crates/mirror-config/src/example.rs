//! Examples of components, as a user would write them into an experiment file.

use mirror_spec::key::{Family, Key, Kind, Need, Variant};
use serde_json::{Map, Value, json};

/// The part of an experiment file that names `component`, a component of `family`, at its place in the file.
pub fn placed(family: &Family, component: &Value) -> Value {
    match family.name {
        "value" => json!({"model": {"gating_model": {
            "name": "ConstantGatingModel", "args": {"value": component},
        }}}),
        "behaviour" => json!({"network": {"miners": [{"uids": 0, "behaviour": component}]}}),
        "validator_behaviour" => json!({"network": {
            "validators": 2,
            "validator_groups": [{"validators": 0, "behaviour": component}],
        }}),
        "method" => json!({"query": {"method": component}}),
        "estimator" => json!({"analysis": {"estimators": {"trees": component}}}),
        place => json!({"model": {place: component}}),
    }
}

/// An example of `variant` in YAML: the part of a file that names it, with an example value for each required argument
/// and the default of each other argument that has one.
pub fn example(family: &Family, variant: &Variant) -> String {
    let args: Map<String, Value> = variant
        .args
        .iter()
        .filter_map(|key| Some((key.name.to_owned(), argument(key)?)))
        .collect();
    let component = if args.is_empty() {
        json!(variant.name)
    } else {
        json!({"name": variant.name, "args": args})
    };
    serde_yaml::to_string(&placed(family, &component)).expect("JSON is YAML")
}

/// The value that the example has for an argument. `None` for one that is left out.
fn argument(key: &Key) -> Option<Value> {
    match key.need {
        Need::Required => Some(value(&key.kind)),
        Need::Default(default) => Some(default()),
        Need::Optional | Need::Inherited(_) | Need::Ignored(_) => None,
    }
}

/// A value of `kind`.
fn value(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => json!(true),
        Kind::Integer(range) => {
            let one = 1.clamp(*range.start(), *range.end());
            json!(i64::try_from(one).unwrap_or(i64::MAX))
        }
        Kind::Number(range) if range.contains(&0.5) => json!(0.5),
        Kind::Duration(range) if range.contains(&0.1) => json!("100ms"),
        Kind::Number(range) | Kind::Duration(range) => json!(range.start()),
        Kind::Text | Kind::Anything => json!("text"),
        Kind::Choice(words) => json!(words[0]),
        Kind::Or(_, kind) | Kind::Either(kind, _) | Kind::OneOrMany(kind) => value(kind),
        Kind::Notation(notation) => json!(notation.example),
        Kind::UidText(notation, _) => json!(notation.example),
        Kind::Uid(_) => json!(1),
        Kind::List(kind) => json!([value(kind)]),
        Kind::Map(kind) => json!({"name": value(kind)}),
        Kind::ByUid(kind) => json!({"1": value(kind)}),
        Kind::Table(keys) => required(keys.iter()),
        Kind::Forms(forms) => required(forms.forms[0].iter()),
        Kind::Component(family) => {
            let first = family().variants().next().expect("a family has components");
            json!({"name": first.name, "args": required(first.args.iter())})
        }
    }
}

fn required(keys: impl Iterator<Item = &'static Key>) -> Value {
    let required = keys.filter(|key| matches!(key.need, Need::Required));
    required
        .map(|key| (key.name.to_owned(), value(&key.kind)))
        .collect::<Map<String, Value>>()
        .into()
}
