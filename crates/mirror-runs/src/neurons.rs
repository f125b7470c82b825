//! The configured neurons of a run: kind, role, label and control of each uid. They are stored next to the tables,
//! which contain what the uids did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;

/// Maximum size of the file in bytes. It is sufficient for 65,536 uids with long names.
const LARGEST: u64 = 64 << 20;

/// Label and role of a validator without a label and a behaviour, and the control group of other validators.
pub const VALIDATOR: &str = "validator";

/// Label and role of a miner without a label and a behaviour, and the control group of other miners.
pub const HONEST: &str = "honest";

/// A neuron of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neuron {
    /// The uid.
    pub uid: u32,
    /// Whether it is a miner or a validator.
    pub kind: NeuronKind,
    /// The behaviour of a miner, `validator`, or for a validator with a behaviour its name: `copier validator`.
    pub role: String,
    /// Name of the group to which it belongs in tables and plots.
    pub label: String,
    /// Label of the neurons of the same kind with which the group is compared. `None` for a control group.
    pub control: Option<String>,
    /// Name of the node of the run that is this neuron, alone or with others. `None` if it is no node of the run, or if
    /// an earlier version wrote the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Kind of a neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NeuronKind {
    /// It serves an axon and is paid for its answers.
    Miner,
    /// It calls axons, sets weights and is paid for them.
    Validator,
}

impl NeuronKind {
    /// Returns the name, as in the column `kind` of the table `uids`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Miner => "miner",
            Self::Validator => VALIDATOR,
        }
    }

    /// Returns the label of the control group, if the experiment names none.
    pub fn usual_control(self) -> &'static str {
        match self {
            Self::Miner => HONEST,
            Self::Validator => VALIDATOR,
        }
    }
}

/// Gives all neurons with one label the same control: the first that any of them has, or the usual control of the kind
/// if a neuron of the kind has that label. The control group itself has no control.
pub fn set_controls(neurons: &mut [Neuron]) {
    let mut controls: BTreeMap<(NeuronKind, String), Option<String>> = BTreeMap::new();
    for neuron in neurons.iter() {
        let control = controls.entry((neuron.kind, neuron.label.clone())).or_default();
        if control.is_none() {
            control.clone_from(&neuron.control);
        }
    }
    for neuron in neurons {
        let usual = neuron.kind.usual_control().to_owned();
        let exists = neuron.label != usual && controls.contains_key(&(neuron.kind, usual.clone()));
        let given = controls
            .get(&(neuron.kind, neuron.label.clone()))
            .cloned()
            .flatten();
        neuron.control = given.or_else(|| exists.then_some(usual));
    }
}

/// Writes the neurons to the run's directory.
pub fn save(neurons: &[Neuron], layout: &Layout) -> Result<(), RunError> {
    let path = layout.neurons();
    let text = serde_json::to_vec(neurons).map_err(|source| RunError::Json {
        path: path.clone(),
        source,
    })?;
    files::replace(&path, &text)
}

/// Reads the neurons of a run, in the order in which they were written. The list is empty if the run has no file of
/// neurons.
pub fn load(layout: &Layout) -> Result<Vec<Neuron>, RunError> {
    let path = layout.neurons();
    if let Some(text) = files::read_small(&path, LARGEST)? {
        return serde_json::from_slice(&text).map_err(|source| RunError::Json { path, source });
    }
    let path = layout.former_roles();
    let Some(text) = files::read_small(&path, LARGEST)? else {
        return Ok(Vec::new());
    };
    let roles: Vec<FormerRole> =
        serde_json::from_slice(&text).map_err(|source| RunError::Json { path, source })?;
    let mut neurons: Vec<Neuron> = roles.into_iter().map(FormerRole::into_neuron).collect();
    set_controls(&mut neurons);
    Ok(neurons)
}

/// An entry of `roles.json`, which earlier versions wrote.
#[derive(Deserialize)]
struct FormerRole {
    uid: u32,
    role: String,
}

impl FormerRole {
    fn into_neuron(self) -> Neuron {
        let (kind, label) = match self.role.strip_suffix(" validator") {
            Some(behaviour) => (NeuronKind::Validator, behaviour.to_owned()),
            None if self.role == VALIDATOR => (NeuronKind::Validator, VALIDATOR.to_owned()),
            None => (NeuronKind::Miner, self.role.clone()),
        };
        Neuron {
            uid: self.uid,
            kind,
            role: self.role,
            label,
            control: None,
            node: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn neuron(uid: u32, kind: NeuronKind, label: &str, control: Option<&str>) -> Neuron {
        Neuron {
            uid,
            kind,
            role: label.to_owned(),
            label: label.to_owned(),
            control: control.map(str::to_owned),
            node: None,
        }
    }

    #[test]
    fn neurons_are_read_back_and_a_run_without_them_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert_eq!(load(&layout).unwrap(), []);
        let neurons = [neuron(3, NeuronKind::Miner, "copycat", Some("honest"))];
        save(&neurons, &layout).unwrap();
        assert_eq!(load(&layout).unwrap(), neurons);
        fs::write(layout.neurons(), "{").unwrap();
        let error = load(&layout).unwrap_err().to_string();
        assert!(error.contains("neurons.json cannot be read"), "{error}");
    }

    /// Earlier versions wrote only the role, from which the kind and the label follow.
    #[test]
    fn the_roles_of_an_earlier_version_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let roles = r#"[{"uid":0,"role":"honest"},{"uid":1,"role":"slow over copycat"},{"uid":2,"role":"validator"},
            {"uid":3,"role":"copier validator"}]"#;
        fs::write(layout.former_roles(), roles).unwrap();
        let read: Vec<_> = load(&layout)
            .unwrap()
            .into_iter()
            .map(|neuron| (neuron.kind, neuron.label, neuron.control))
            .collect();
        let of =
            |kind, label: &str, control: Option<&str>| (kind, label.to_owned(), control.map(str::to_owned));
        assert_eq!(
            read,
            [
                of(NeuronKind::Miner, "honest", None),
                of(NeuronKind::Miner, "slow over copycat", Some("honest")),
                of(NeuronKind::Validator, "validator", None),
                of(NeuronKind::Validator, "copier", Some("validator")),
            ]
        );
    }

    #[test]
    fn a_label_has_one_control_and_the_usual_one_only_if_that_exists() {
        let mut neurons = [
            neuron(0, NeuronKind::Miner, "good", None),
            neuron(1, NeuronKind::Miner, "poor", Some("good")),
            neuron(4, NeuronKind::Miner, "poor", None),
            neuron(2, NeuronKind::Validator, "copier", None),
            neuron(3, NeuronKind::Validator, "validator", None),
        ];
        set_controls(&mut neurons);
        let controls: Vec<Option<&str>> = neurons.iter().map(|neuron| neuron.control.as_deref()).collect();
        assert_eq!(
            controls,
            [None, Some("good"), Some("good"), Some("validator"), None]
        );
    }
}
