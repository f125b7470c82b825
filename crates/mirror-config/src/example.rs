//! Examples of components, as they are written in an experiment file.

use mirror_spec::key::{Family, Key, Kind, Need, Variant, Whose};
use serde_yaml::{Mapping, Value};

/// Arguments of upstream's files that never have an effect, which examples do not contain.
const WITHOUT_EFFECT: [&str; 5] = [
    "network",
    "backward_value",
    "backward_p0",
    "backward_p1",
    "verbose",
];

/// Returns the part of an experiment file that contains `component`, a component of `family`, at its place in the file.
pub fn placed(family: &Family, component: Value) -> Value {
    match family.name {
        "value" => {
            let args = map([("value", component)]);
            let model = map([("name", "ConstantGatingModel".into()), ("args", args)]);
            map([("model", map([("gating_model", model)]))])
        }
        "behaviour" => {
            let group = map([("uids", 9.into()), ("behaviour", component)]);
            map([("network", map([("miners", vec![group].into())]))])
        }
        "validator_behaviour" => {
            let group = map([("validators", 0.into()), ("behaviour", component)]);
            let groups = ("validator_groups", vec![group].into());
            map([("network", map([("validators", 2.into()), groups]))])
        }
        "method" => map([("query", map([("method", component)]))]),
        "estimator" => {
            let prediction = map([("x", "call_time".into()), ("estimator", "fit".into())]);
            let analysis = map([
                ("estimators", map([("fit", component)])),
                ("predict", map([("rewards", prediction)])),
            ]);
            map([("analysis", analysis)])
        }
        place => map([("model", map([(place, component)]))]),
    }
}

/// Returns an example of `variant` in YAML: the part of a file that contains it, with an example value for each
/// required argument and each optional set of uids, and the default of each other argument that has one.
pub fn example(family: &Family, variant: &Variant) -> String {
    let args = variant
        .args
        .iter()
        .filter_map(|key| Some((key.name, argument(key)?)));
    let args = map(args);
    let component = if args == Value::Mapping(Mapping::new()) {
        variant.name.into()
    } else {
        map([("name", variant.name.into()), ("args", args)])
    };
    serde_yaml::to_string(&placed(family, component)).expect("every value can be written as YAML")
}

/// Returns the value of an argument in the example. `None` if the example does not contain the argument.
fn argument(key: &Key) -> Option<Value> {
    let takes_builtin = || key.doc.paragraphs().concat().contains("`builtin`");
    match (key.need, &key.kind) {
        _ if WITHOUT_EFFECT.contains(&key.name) => None,
        (Need::Required, Kind::Text) if takes_builtin() => Some("builtin".into()),
        (Need::Required, kind) | (Need::Optional, kind @ Kind::UidSet(_)) => Some(value(kind)),
        (Need::Default(default), _) => Some(serde_yaml::to_value(default()).expect("JSON is YAML")),
        (Need::Optional | Need::Inherited(_) | Need::Ignored(_), _) => None,
    }
}

/// Returns an example value of `kind`.
fn value(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => true.into(),
        Kind::Integer(range) => {
            let one = 1.clamp(*range.start(), *range.end());
            i64::try_from(one).unwrap_or(i64::MAX).into()
        }
        Kind::Number(range) if range.contains(&0.5) => 0.5.into(),
        Kind::Duration(range) if range.contains(&0.1) => "100ms".into(),
        Kind::Number(range) | Kind::Duration(range) => (*range.start()).into(),
        Kind::Text | Kind::Anything => "text".into(),
        Kind::Choice(words) => words[0].into(),
        Kind::Or(_, kind) | Kind::Either(kind, _) | Kind::OneOrMany(kind) => value(kind),
        Kind::Notation(notation) => notation.example.into(),
        Kind::UidSet(Whose::ValidatorIndex) => 1.into(),
        Kind::UidSet(Whose::Miner | Whose::Neuron) => "0-2,5".into(),
        Kind::StepCount(_) => "20 steps".into(),
        Kind::StepNumber(_) => "step 50".into(),
        Kind::List(kind) => vec![value(kind)].into(),
        Kind::Map(kind) => map([("name", value(kind))]),
        Kind::ByUid(kind) => map([("1", value(kind))]),
        Kind::Table(keys) => required(keys.iter()),
        Kind::Forms(forms) => required(forms.forms[0].iter()),
        Kind::Component(family) => {
            let first = family().variants().next().expect("a family has components");
            map([("name", first.name.into()), ("args", required(first.args.iter()))])
        }
    }
}

fn required(keys: impl Iterator<Item = &'static Key>) -> Value {
    let required = keys.filter(|key| matches!(key.need, Need::Required));
    map(required.map(|key| (key.name, value(&key.kind))))
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (key.into(), value));
    Value::Mapping(entries.collect())
}
