//! The faults that the coordinator puts into effect in this process: rules for its calls, and other behaviours of its
//! axons.

use std::sync::Arc;

use mirror_links::Links;
use mirror_proto::mirror::v1::FaultState;
use mirror_spec::launch::{Injection, LinkRule};

use crate::behaviour::Behaviours;

/// The parts of a miner process that faults change.
pub(crate) struct FaultTargets {
    pub(crate) links: Arc<Links>,
    /// The behaviours of each axon, with its uid.
    pub(crate) axons: Vec<(u32, Arc<Behaviours>)>,
}

impl FaultTargets {
    /// Puts a fault state into effect.
    ///
    /// # Errors
    /// Returns an error if the state is invalid. Nothing is changed then.
    pub(crate) fn apply(&self, state: &FaultState) -> Result<(), String> {
        let rules: Vec<LinkRule> = read(&state.rules, "rules")?;
        let injections: Vec<Injection> = read(&state.injections, "injections")?;
        self.links.set_rules(&rules).map_err(|error| error.to_string())?;
        self.inject(&injections);
        Ok(())
    }

    /// Replaces the injected behaviours of all axons. The last one of an axon applies.
    pub(crate) fn inject(&self, injections: &[Injection]) {
        for (uid, behaviours) in &self.axons {
            behaviours.inject(injections.iter().filter(|injection| injection.uid == *uid));
        }
    }
}

fn read<T: serde::de::DeserializeOwned + Default>(json: &[u8], field: &str) -> Result<T, String> {
    if json.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(json).map_err(|error| format!("`{field}` of the fault state: {error}"))
}
