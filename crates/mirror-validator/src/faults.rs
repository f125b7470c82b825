//! The faults that the coordinator puts into effect in this validator: rules for its calls, and another behaviour.

use std::sync::Arc;

use mirror_links::Links;
use mirror_proto::mirror::v1::FaultState;
use mirror_spec::ValidatorBehaviour;
use mirror_spec::launch::LinkRule;

use crate::behaviour::Behaviours;

/// The parts of a validator that faults change.
pub(crate) struct FaultTargets {
    pub(crate) links: Arc<Links>,
    pub(crate) behaviours: Arc<Behaviours>,
}

impl FaultTargets {
    /// Puts a fault state into effect.
    ///
    /// # Errors
    /// Returns an error if the state is invalid. Nothing is changed then.
    pub(crate) fn apply(&self, state: &FaultState) -> Result<(), String> {
        let rules: Vec<LinkRule> = read(&state.rules, "rules")?;
        let injected: Option<ValidatorBehaviour> = read(&state.injections, "injections")?;
        self.links.set_rules(&rules).map_err(|error| error.to_string())?;
        self.links.set_untimed(state.untimed);
        self.behaviours.inject(injected);
        Ok(())
    }
}

fn read<T: serde::de::DeserializeOwned + Default>(json: &[u8], field: &str) -> Result<T, String> {
    if json.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(json).map_err(|error| format!("`{field}` of the fault state: {error}"))
}
