//! Addresses that neurons announce.

use std::collections::BTreeMap;
use std::sync::Arc;

use mirror_identity::Hotkey;
use serde::{Deserialize, Serialize};

use crate::state::State;
use crate::{Axon, Block, DispatchError};

/// The blocks in which neurons last announced their addresses. They are not part of the metagraph, so that announcing
/// the same address again does not change it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct LastServed {
    axons: BTreeMap<Hotkey, Block>,
    prometheus: BTreeMap<Hotkey, Block>,
}

impl LastServed {
    pub(crate) fn forget(&mut self, hotkey: &Hotkey) {
        self.axons.remove(hotkey);
        self.prometheus.remove(hotkey);
    }
}

impl State {
    pub(crate) fn serve_axon(
        &mut self,
        hotkey: &Hotkey,
        axon: Axon,
        block: Block,
    ) -> Result<(), DispatchError> {
        let limit = self.rules.serving_rate_limit;
        check_rate(&self.last_served.axons, hotkey, block, limit)?;
        check_address(axon)?;
        let neuron = self.neuron_mut(hotkey)?;
        if neuron.axon != Some(axon) {
            Arc::make_mut(neuron).axon = Some(axon);
        }
        self.last_served.axons.insert(*hotkey, block);
        Ok(())
    }

    pub(crate) fn serve_prometheus(
        &mut self,
        hotkey: &Hotkey,
        prometheus: Axon,
        block: Block,
    ) -> Result<(), DispatchError> {
        let limit = self.rules.serving_rate_limit;
        check_rate(&self.last_served.prometheus, hotkey, block, limit)?;
        check_address(prometheus)?;
        let neuron = self.neuron_mut(hotkey)?;
        if neuron.prometheus != Some(prometheus) {
            Arc::make_mut(neuron).prometheus = Some(prometheus);
        }
        self.last_served.prometheus.insert(*hotkey, block);
        Ok(())
    }
}

/// Checks that programs can listen at the address. The real chain also refuses loopback addresses, which networks on
/// one machine use.
pub(crate) fn check_address(axon: Axon) -> Result<(), DispatchError> {
    if axon.ip.is_unspecified() || axon.ip.is_multicast() {
        return Err(DispatchError::InvalidIpAddress);
    }
    Ok(())
}

fn check_rate(
    last_served: &BTreeMap<Hotkey, Block>,
    hotkey: &Hotkey,
    block: Block,
    limit: u64,
) -> Result<(), DispatchError> {
    match last_served.get(hotkey) {
        Some(last) if block.0.saturating_sub(last.0) < limit => Err(DispatchError::ServingRateLimitExceeded),
        _ => Ok(()),
    }
}
