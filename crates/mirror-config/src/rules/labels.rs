//! Rules about the labels of miners and validators, and about their control groups.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use mirror_spec::{MinerGroup, Uids, ValidatorGroup};

use super::{Place, Walked, is_given, miners as miners_of, origin};
use crate::problem::Finding;
use crate::spelling::suggest;
use crate::tree::Origin;

/// Maximum length of a label in characters, so that legends and tables remain readable.
const LONGEST: usize = 40;

/// Label of honest miners.
const HONEST: &str = "honest";

/// Label of honest validators.
const VALIDATOR: &str = "validator";

/// Label and control of an entry, each with its place in the file.
struct Entry {
    label: Option<(String, Origin)>,
    control: Option<(String, Origin)>,
    /// Label that it gives its neurons. `None` if the entry sets neither a label nor a behaviour.
    called: Option<String>,
    /// The uids or indices of its neurons.
    neurons: Uids,
}

/// Returns the value with its place. `None` if it is not written.
fn written(place: Place<'_, String>) -> Option<(String, Origin)> {
    is_given(place)
        .then(|| Some((place.get()?, origin(place))))
        .flatten()
}

/// Reports labels that are too long, controls that no neuron has as its label, groups that are their own control, and
/// labels with two controls.
pub(super) fn check(file: Walked<'_>, found: &mut Vec<Finding>) {
    let network = file.resolved.network();
    // An entry that cannot be read is reported elsewhere.
    let miners: Option<Vec<Entry>> = network.miners().items().map(of_miners).collect();
    let validators: Option<Vec<Entry>> = network.validator_groups().items().map(of_validators).collect();
    let accomplices: BTreeSet<&str> = network
        .validator_groups()
        .items()
        .filter_map(|group| Some(group.behaviour().get()??.members()?.1))
        .collect();
    if let Some(entries) = miners {
        let mut usual = accomplices;
        if miners_of(file).is_none_or(|count| has_usual(count, HONEST, &entries)) {
            usual.insert(HONEST);
        }
        check_kind("miners", &entries, &usual, found);
    }
    if let Some(entries) = validators {
        let count = network.validators().get();
        let has_usual = count.is_none_or(|count| has_usual(count, VALIDATOR, &entries));
        let usual = BTreeSet::from_iter(has_usual.then_some(VALIDATOR));
        check_kind("validators", &entries, &usual, found);
    }
}

fn of_miners(place: Place<'_, MinerGroup>) -> Option<Entry> {
    let group = place.get()?;
    Some(Entry {
        label: written(place.label().inner()),
        control: written(place.control().inner()),
        called: group
            .label()
            .or_else(|| group.behaves().then(|| HONEST.to_owned())),
        neurons: group.uids,
    })
}

fn of_validators(place: Place<'_, ValidatorGroup>) -> Option<Entry> {
    let group = place.get()?;
    let behaves = group.behaviour.is_some();
    Some(Entry {
        label: written(place.label().inner()),
        control: written(place.control().inner()),
        called: group.label().or_else(|| behaves.then(|| VALIDATOR.to_owned())),
        neurons: group.validators,
    })
}

/// Returns whether an entry gives its neurons the label `usual`, or one of `count` neurons is in no entry that sets a
/// label or a behaviour.
fn has_usual(count: u32, usual: &str, entries: &[Entry]) -> bool {
    let naming = || entries.iter().filter(|entry| entry.called.is_some());
    let mut ranges: Vec<&RangeInclusive<u32>> = naming().flat_map(|entry| entry.neurons.ranges()).collect();
    ranges.sort_by_key(|range| *range.start());
    let mut covered = 0;
    for range in ranges {
        if *range.start() > covered {
            break;
        }
        covered = covered.max(range.end().saturating_add(1));
    }
    covered < count || naming().any(|entry| entry.called.as_deref() == Some(usual))
}

/// Checks the entries of one kind of neurons. `usual` are the labels that neurons have without an entry.
fn check_kind(kind: &str, entries: &[Entry], usual: &BTreeSet<&str>, found: &mut Vec<Finding>) {
    for (label, place) in entries.iter().filter_map(|entry| entry.label.as_ref()) {
        let length = label.chars().count();
        let is_forbidden = |letter: char| letter.is_control() || letter == '`';
        if length > LONGEST || label.chars().any(is_forbidden) {
            found.push(
                Finding::error(
                    *place,
                    format!("a label has at most {LONGEST} characters, none of them a line break, a tab or a backtick"),
                )
                .with_help("write a short name, such as `good`"),
            );
        }
    }
    let written: BTreeSet<&str> = entries
        .iter()
        .filter_map(|entry| entry.called.as_deref())
        .collect();
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
        let Some(label) = entry.called.as_deref() else {
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
