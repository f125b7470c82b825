//! Rules about the labels of miners and validators, and about their control groups.

use std::collections::{BTreeMap, BTreeSet};

use mirror_spec::key::Family;
use mirror_spec::{BehaviourSpec, ValidatorBehaviour};

use super::{Place, Walked, is_given, origin};
use crate::problem::Finding;
use crate::spelling::suggest;
use crate::tree::Origin;

/// Maximum length of a label in characters, so that legends and tables remain readable.
const LONGEST: usize = 40;

/// Labels of miners that are accomplices of a validator, unless the file sets others.
const ACCOMPLICES: [&str; 2] = ["cabal", "briber"];

/// Label of honest validators.
const VALIDATOR: &str = "validator";

/// Label and control of an entry, each with its place in the file.
#[derive(Default)]
struct Entry {
    label: Option<(String, Origin)>,
    control: Option<(String, Origin)>,
    /// Name of its behaviour, which is its label if it sets none.
    behaviour: Option<String>,
}

impl Entry {
    fn new(label: Place<'_, String>, control: Place<'_, String>, behaviour: Option<&str>) -> Self {
        let text = |place: Place<'_, String>| is_given(place).then(|| Some((place.get()?, origin(place))));
        Self {
            label: text(label).flatten(),
            control: text(control).flatten(),
            behaviour: behaviour.map(str::to_owned),
        }
    }

    fn called(&self) -> Option<&str> {
        let label = self.label.as_ref().map(|(label, _)| label);
        label.or(self.behaviour.as_ref()).map(String::as_str)
    }
}

/// Reports labels that are too long, controls that no group has as its label, groups that are their own control, and
/// labels with two controls.
pub(super) fn check(file: Walked<'_>, found: &mut Vec<Finding>) {
    let network = file.resolved.network();
    let miners = network.miners().items().map(|group| {
        let behaviour = group.behaviour().inner().component();
        let label = group.label().inner();
        Entry::new(label, group.control().inner(), behaviour.map(|(name, _)| name))
    });
    let miners: Vec<Entry> = miners.collect();
    let mut usual = of_family(BehaviourSpec::FAMILY);
    usual.extend(ACCOMPLICES);
    check_kind("miners", &miners, &usual, found);
    let validators = network.validator_groups().items().map(|group| {
        let behaviour = group.behaviour().inner().component();
        let label = group.label().inner();
        Entry::new(label, group.control().inner(), behaviour.map(|(name, _)| name))
    });
    let validators: Vec<Entry> = validators.collect();
    let mut usual = of_family(ValidatorBehaviour::FAMILY);
    usual.insert(VALIDATOR);
    check_kind("validators", &validators, &usual, found);
}

fn of_family(family: &'static Family) -> BTreeSet<&'static str> {
    family.variants().map(|variant| variant.name).collect()
}

/// Checks the entries of one kind of neurons. `usual` are the labels that neurons without one can have.
fn check_kind(kind: &str, entries: &[Entry], usual: &BTreeSet<&str>, found: &mut Vec<Finding>) {
    for (label, place) in entries.iter().filter_map(|entry| entry.label.as_ref()) {
        let length = label.chars().count();
        if length > LONGEST || label.chars().any(char::is_control) {
            found.push(
                Finding::error(
                    *place,
                    format!("a label has at most {LONGEST} characters, none of them a line break or a tab"),
                )
                .with_help("write a short name, such as `good`"),
            );
        }
    }
    let written: BTreeSet<&str> = entries.iter().filter_map(Entry::called).collect();
    let mut known: Vec<&str> = written.iter().copied().collect();
    known.extend(usual.iter().filter(|name| !written.contains(*name)));
    let mut controls: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in entries {
        let Some((control, place)) = &entry.control else {
            continue;
        };
        if !known.contains(&control.as_str()) {
            let message = format!("no group of {kind} has the label `{control}`");
            found.push(Finding::error(*place, message).with_help(suggest(control, &known)));
            continue;
        }
        let Some(label) = entry.called() else {
            continue;
        };
        if label == control {
            found.push(
                Finding::error(*place, format!("`{label}` cannot be its own control"))
                    .with_help("name the label of another group, or remove `control`"),
            );
        } else if let Some(other) = controls.insert(label, control).filter(|other| other != control) {
            found.push(
                Finding::error(
                    *place,
                    format!("`{label}` has two controls: `{other}` and `{control}`"),
                )
                .with_help("name the same control in all entries with this label"),
            );
        }
    }
}
