//! What the launch description says, in the chain's types.

use std::time::Duration;

use anyhow::Context;
use mirror_chain::{Block, Genesis, GenesisNeuron, Hyperparameters, MAX_UIDS, Nomination, Rao};
use mirror_config::experiment::BlockTime;
use mirror_config::launch::{GenesisLaunch, SubtensorLaunch};
use mirror_identity::{Hotkey, PublicKey};

/// The shortest time between two blocks by the clock.
const SHORTEST_BLOCK_TIME: Duration = Duration::from_millis(1);

/// The time between two blocks, if it is the clock that closes them.
pub(crate) fn clock(launch: &SubtensorLaunch) -> anyhow::Result<Option<Duration>> {
    let BlockTime::Seconds(seconds) = launch.block_time else {
        return Ok(None);
    };
    let block_time = Duration::try_from_secs_f64(seconds).ok();
    let block_time = block_time.filter(|&time| time >= SHORTEST_BLOCK_TIME);
    block_time
        .with_context(|| format!("a block time of {seconds} s: expected 0.001 or more"))
        .map(Some)
}

/// Who takes part in the barrier.
pub(crate) fn barrier(launch: &SubtensorLaunch) -> anyhow::Result<Vec<Hotkey>> {
    let hotkeys = launch.barrier.iter().enumerate();
    hotkeys
        .map(|(i, hotkey)| key(hotkey, || format!("member {i} of the barrier")))
        .collect()
}

pub(crate) fn genesis(launch: &GenesisLaunch) -> anyhow::Result<Genesis> {
    let neurons = launch.neurons.iter().enumerate().map(|(uid, neuron)| {
        Ok(GenesisNeuron {
            hotkey: key(&neuron.hotkey, || format!("hotkey of uid {uid}"))?,
            coldkey: key(&neuron.coldkey, || format!("coldkey of uid {uid}"))?,
            stake: Rao(neuron.stake),
            validator_permit: neuron.validator_permit,
        })
    });
    let nominations = launch.nominations.iter().enumerate().map(|(i, nomination)| {
        Ok(Nomination {
            hotkey: key(&nomination.hotkey, || format!("hotkey of nomination {i}"))?,
            coldkey: key(&nomination.coldkey, || format!("coldkey of nomination {i}"))?,
            stake: Rao(nomination.stake),
        })
    });
    Ok(Genesis {
        netuid: launch.netuid,
        first_block: Block(launch.block),
        hyperparameters: Hyperparameters {
            tempo: launch.tempo,
            validator_epoch_length: launch.validator_epoch_length,
            min_allowed_weights: launch.min_allowed_weights,
            max_weight_limit: launch.max_weight_limit,
            validator_exclude_quantile: launch.validator_exclude_quantile,
            weights_set_rate_limit: 0,
            weights_version_key: 0,
            max_uids: MAX_UIDS,
        },
        neurons: neurons.collect::<anyhow::Result<_>>()?,
        nominations: nominations.collect::<anyhow::Result<_>>()?,
    })
}

fn key(hex: &str, whose: impl FnOnce() -> String) -> anyhow::Result<PublicKey> {
    PublicKey::from_hex(hex).with_context(whose)
}
