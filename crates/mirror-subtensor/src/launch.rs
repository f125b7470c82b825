//! Conversion of the launch config to the chain's types.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use anyhow::Context;
use mirror_chain::{
    Axon, Balance, Block, Bond, Genesis, GenesisNeuron, Hyperparameters, Nomination, Rao, SubnetOwner, Uid,
    Weight,
};
use mirror_identity::{Hotkey, PublicKey};
use mirror_spec::launch::{GenesisLaunch, SubtensorLaunch};
use mirror_spec::{BlockTime, ChainPreset};

/// Minimum time between two blocks that the clock closes.
const MIN_BLOCK_TIME: Duration = Duration::from_millis(1);

/// Returns the time between two blocks. `None` if the barrier closes blocks.
///
/// # Errors
/// Returns an error if the block time is less than [`MIN_BLOCK_TIME`] or not a duration.
pub(crate) fn clock(launch: &SubtensorLaunch) -> anyhow::Result<Option<Duration>> {
    let BlockTime::Seconds(seconds) = launch.block_time else {
        return Ok(None);
    };
    let block_time = Duration::try_from_secs_f64(seconds).ok();
    let block_time = block_time.filter(|&time| time >= MIN_BLOCK_TIME);
    block_time
        .with_context(|| format!("the block time is {seconds} s: expected 0.001 or more"))
        .map(Some)
}

/// Returns the hotkeys of the barrier's members.
pub(crate) fn barrier(launch: &SubtensorLaunch) -> anyhow::Result<Vec<Hotkey>> {
    let hotkeys = launch.barrier.iter().enumerate();
    hotkeys
        .map(|(i, member)| key(&member.hotkey, || format!("member {i} of the barrier")))
        .collect()
}

/// Returns the names in the certificates of the programs that report the steps of the barrier's members.
pub(crate) fn reporters(launch: &SubtensorLaunch) -> anyhow::Result<HashMap<Hotkey, String>> {
    let hotkeys = barrier(launch)?.into_iter();
    let nodes = launch.barrier.iter().map(|member| member.node.clone());
    Ok(hotkeys.zip(nodes).collect())
}

pub(crate) fn genesis(launch: &GenesisLaunch) -> anyhow::Result<Genesis> {
    let neurons = launch.neurons.iter().enumerate().map(|(uid, neuron)| {
        Ok(GenesisNeuron {
            hotkey: key(&neuron.hotkey, || format!("hotkey of uid {uid}"))?,
            coldkey: key(&neuron.coldkey, || format!("coldkey of uid {uid}"))?,
            stake: Rao(neuron.stake),
            validator_permit: neuron.validator_permit,
            weights: pairs(&neuron.weights, |uid, weight| Weight { uid, weight }),
            bonds: pairs(&neuron.bonds, |uid, bond| Bond { uid, bond }),
            axon: axon(neuron.axon).with_context(|| format!("axon of uid {uid}"))?,
        })
    });
    let nominations = launch.nominations.iter().enumerate().map(|(i, nomination)| {
        Ok(Nomination {
            hotkey: key(&nomination.hotkey, || format!("hotkey of nomination {i}"))?,
            coldkey: key(&nomination.coldkey, || format!("coldkey of nomination {i}"))?,
            stake: Rao(nomination.stake),
        })
    });
    let balances = launch.balances.iter().enumerate().map(|(i, balance)| {
        Ok(Balance {
            coldkey: key(&balance.coldkey, || format!("coldkey of balance {i}"))?,
            free: Rao(balance.free),
        })
    });
    let owner = launch.owner.as_ref().map(|owner| {
        anyhow::Ok(SubnetOwner {
            hotkey: key(&owner.hotkey, || "hotkey of the owner".to_owned())?,
            coldkey: key(&owner.coldkey, || "coldkey of the owner".to_owned())?,
        })
    });
    Ok(Genesis {
        netuid: launch.netuid,
        first_block: Block(launch.block),
        hyperparameters: hyperparameters(launch)?,
        owner: owner.transpose()?,
        neurons: neurons.collect::<anyhow::Result<_>>()?,
        nominations: nominations.collect::<anyhow::Result<_>>()?,
        balances: balances.collect::<anyhow::Result<_>>()?,
    })
}

fn axon(address: Option<SocketAddr>) -> anyhow::Result<Option<Axon>> {
    let axon = address.map(|address| {
        let port = NonZeroU16::new(address.port()).context("its port is 0")?;
        Ok(Axon {
            ip: address.ip(),
            port,
        })
    });
    axon.transpose()
}

fn hyperparameters(launch: &GenesisLaunch) -> anyhow::Result<Hyperparameters> {
    let preset = match launch.rules {
        ChainPreset::Small => Hyperparameters::SMALL,
        ChainPreset::Classic => Hyperparameters::CLASSIC,
        ChainPreset::Today => Hyperparameters::TODAY,
    };
    let changed = launch.hyperparameters.iter();
    Ok(preset.with_all(changed.map(|(name, &value)| (name.as_str(), value)))?)
}

fn pairs<T>(row: &[(u16, u16)], pair: impl Fn(Uid, u16) -> T) -> Vec<T> {
    row.iter().map(|&(uid, value)| pair(Uid(uid), value)).collect()
}

fn key(hex: &str, whose: impl FnOnce() -> String) -> anyhow::Result<PublicKey> {
    PublicKey::from_hex(hex).with_context(whose)
}

#[cfg(test)]
mod tests {
    use mirror_spec::key::{HasKeys, Kind};

    use super::*;

    #[test]
    fn the_experiment_file_has_every_hyperparameter_with_its_bounds() {
        let keys = mirror_spec::Hyperparameters::KEYS;
        let names: Vec<_> = keys.iter().map(|key| key.name).collect();
        let ours = Hyperparameters::NAMES.iter().filter(|&&name| name != "rule_set");
        assert_eq!(names, ours.copied().collect::<Vec<_>>());
        for key in keys.iter() {
            let bounds = match &key.kind {
                Kind::Integer(range) => [*range.start(), *range.end()],
                // The chain has 0 and 1 for a switch.
                Kind::Bool => [0, 1],
                kind => panic!("{} is {kind:?}, neither an integer nor a switch", key.name),
            };
            for bound in bounds {
                let value = u64::try_from(bound).expect("the chain's numbers are u64");
                let rules = Hyperparameters::CLASSIC.with_all([(key.name, value)]);
                assert!(rules.is_ok(), "{} {value}", key.name);
            }
        }
    }
}
