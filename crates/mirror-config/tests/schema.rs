//! The schema and the types say the same.

use mirror_config::parse;
use mirror_config::schema::{self, Family, Key, Kind, Need, Readiness, components};

/// Arguments that have no default, as a file would give them.
fn required(component: &str) -> &'static str {
    match component {
        "DummyDendritePool" => "{data_path: builtin}",
        "SequentialGatingModel" => "{tokenizer_name: bert-base-cased, hidden_size: [8, 8], embedding_dim: 8}",
        "Subtensor" => "{chain_endpoint: '127.0.0.1:9944'}",
        "cabal" | "bribed" => "{members: 0-3}",
        "stale" => "{after: 3}",
        "slow" => "{latency: {fixed: 80ms}}",
        "malformed" => "{how: drip}",
        "copycat" => "{victims: [1]}",
        "outside" => "{command: [answer]}",
        "CustomRewardModel" => "{model_path: models/gpt}",
        _ => "{}",
    }
}

/// A file in which this component stands at its family's place.
fn file_with(family: &Family, component: &str) -> String {
    let mut parts = [
        (
            "dendrite_pool",
            "DummyDendritePool".to_owned(),
            required("DummyDendritePool"),
        ),
        ("gating_model", "RandomGatingModel".into(), "{}"),
        ("reward_model", "RandomRewardModel".into(), "{}"),
        ("subtensor", "DummySubtensor".into(), "{}"),
        ("metagraph", "DummyMetagraph".into(), "{}"),
        ("method", "train".into(), "{}"),
        ("value", "ConstantValue".into(), "{}"),
        ("behaviour", "honest".into(), "{}"),
        ("validator_behaviour", "honest".into(), "{}"),
        ("estimator", "GradientBoostingRegressor".into(), "{}"),
    ];
    let place = parts
        .iter_mut()
        .find(|(name, ..)| *name == family.name)
        .expect("every family has a place");
    (place.1, place.2) = (component.to_owned(), required(component));
    let [
        pool,
        gating,
        reward,
        subtensor,
        metagraph,
        method,
        value,
        behaviour,
        validator_behaviour,
        estimator,
    ] = parts.map(|(_, name, args)| format!("{{name: {name}, args: {args}}}"));
    let gating = match family.name {
        "value" => format!("{{name: ConstantGatingModel, args: {{value: {value}}}}}"),
        _ => gating,
    };
    format!(
        "model: {{id: m, dendrite_pool: {pool}, gating_model: {gating}, reward_model: {reward}, \
         subtensor: {subtensor}, metagraph: {metagraph}}}\n\
         data: {{id: d, path: builtin}}\n\
         query: {{id: q, method: {method}}}\n\
         network: {{miners: [{{uids: 0, behaviour: {behaviour}}}], \
         validator_groups: [{{validators: 0, behaviour: {validator_behaviour}}}]}}\n\
         analysis: {{requires: [q], estimators: {{trees: {estimator}}}}}\n"
    )
}

#[test]
fn every_component_deserialises_with_its_defaults() {
    for family in schema::families() {
        for variant in family.variants {
            let text = file_with(family, variant.name);
            let loaded = parse(&text, variant.name).unwrap_or_else(|problems| panic!("{}", problems.plain()));
            let yaml = loaded.experiment.to_yaml();
            assert!(yaml.contains(&format!("name: {}", variant.name)), "{yaml}");
            for key in variant
                .args
                .iter()
                .filter(|key| matches!(key.need, Need::Default(_) | Need::Required))
            {
                assert!(
                    yaml.contains(&format!("{}:", key.name)),
                    "{} of {} in {yaml}",
                    key.name,
                    variant.name
                );
            }
            let planned = loaded
                .warnings
                .plain()
                .contains(&format!("{} cannot run yet", variant.name));
            assert_eq!(
                planned,
                variant.readiness == Readiness::Planned,
                "{}",
                variant.name
            );
        }
    }
}

#[test]
fn every_key_of_the_types_is_in_the_schema() {
    // An unknown key of a map would be an error, and an unknown argument a warning, when the resolved file is read.
    for family in schema::families() {
        for variant in family.variants {
            let loaded = parse(&file_with(family, variant.name), "first").expect("the test above");
            let again =
                parse(&loaded.experiment.to_yaml(), "again").unwrap_or_else(|e| panic!("{}", e.plain()));
            assert_eq!(again.experiment, loaded.experiment);
            let ignored = again
                .warnings
                .problems
                .iter()
                .find(|problem| problem.message.contains("ignored"));
            assert!(ignored.is_none(), "{ignored:?}");
        }
    }
}

#[test]
fn names_are_unique_and_documented() {
    fn walk(keys: &[Key]) {
        for (index, key) in keys.iter().enumerate() {
            assert!(
                keys[..index].iter().all(|other| other.name != key.name),
                "{} twice",
                key.name
            );
            assert!(key.doc.ends_with('.'), "{} is described by a sentence", key.name);
            if let Kind::Table(inner) = &key.kind {
                walk(inner);
            }
        }
    }
    walk(schema::sections::EXPERIMENT);
    for family in components::FAMILIES {
        for variant in family.variants {
            walk(variant.args);
        }
    }
}

#[test]
fn the_json_schema_knows_sections_ranges_and_components() {
    let schema = schema::json_schema();
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
    let list = serde_json::to_value(schema::families()).unwrap();
    let gating = &list[1];
    assert_eq!(gating["name"], "gating_model");
    assert_eq!(gating["variants"][3]["name"], "SequentialGatingModel");
    assert_eq!(gating["variants"][3]["readiness"], "built");
    let method = list
        .as_array()
        .unwrap()
        .iter()
        .find(|family| family["name"] == "method")
        .unwrap();
    let max_iter = &method["variants"][0]["args"][0];
    assert_eq!(max_iter["kind"], "a whole number, 1 to 1000000000");
    assert_eq!(max_iter["need"]["default"], "1");
}
