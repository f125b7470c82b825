//! The behaviours and labels of neurons, which their spans have as attributes. They are the same for all spans of a
//! uid, so the table does not contain them.

use std::collections::HashMap;

use mirror_runs::{Run, RunError, neurons};

/// The behaviours and labels by uid.
#[derive(Debug, Clone, Default)]
pub struct Neurons(HashMap<u32, (String, String)>);

impl Neurons {
    /// Reads the neurons of a run.
    ///
    /// # Errors
    /// Returns an error if they cannot be read.
    pub fn of_run(run: &Run) -> Result<Self, RunError> {
        Ok(Self::new(neurons::load(run.layout())?))
    }

    /// Takes the neurons of an experiment.
    pub fn new(neurons: impl IntoIterator<Item = neurons::Neuron>) -> Self {
        let by_uid = neurons.into_iter();
        Self(
            by_uid
                .map(|neuron| (neuron.uid, (neuron.role, neuron.label)))
                .collect(),
        )
    }

    /// Returns the attributes of spans with this uid.
    pub(crate) fn attributes(&self, uid: u32) -> impl Iterator<Item = (&'static str, &str)> {
        let known = self.0.get(&uid).into_iter();
        known.flat_map(|(behaviour, label)| [("mirror.behaviour", &**behaviour), ("mirror.label", &**label)])
    }
}
