//! The subnet as a validator sees it: who is where, and the chain's limits on weights.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use mirror_proto::mirror::v1 as wire;

use crate::weights::Limits;

/// The metagraph at a block. The default one is of a network that nobody has seen yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metagraph {
    /// Rises with every change but the block.
    pub version: u64,
    /// When it was so.
    pub block: u64,
    /// Blocks between two settings of weights, by the chain.
    pub validator_epoch_length: u64,
    /// Limits on weights.
    pub limits: Limits,
    /// An epoch has one block more.
    pub tempo: u64,
    /// Epochs from a commitment to its reveal; `None`: weights are set in the open.
    pub reveal_epochs: Option<u64>,
    /// By uid.
    pub neurons: Vec<Neuron>,
}

/// A neuron, as far as a validator cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neuron {
    /// 32 bytes.
    pub hotkey: [u8; 32],
    /// Where its axon listens; `None`: it serves none.
    pub axon: Option<SocketAddr>,
    /// What the validators agreed to give it in the last epoch; 65,535 is all.
    pub consensus: u16,
}

impl Metagraph {
    /// uids of `0..num_nodes` whose axons are serving.
    pub fn serving(&self, num_nodes: u32) -> impl Iterator<Item = u32> {
        let serving = |(uid, neuron): (u32, &Neuron)| neuron.axon.is_some().then_some(uid);
        (0..num_nodes).zip(&self.neurons).filter_map(serving)
    }

    /// uids whose hotkey is another one than in `before`.
    pub fn hotkeys_changed(&self, before: &Self) -> Vec<u32> {
        let both = self.neurons.iter().zip(&before.neurons);
        (0u32..)
            .zip(both)
            .filter(|(_, (now, then))| now.hotkey != then.hotkey)
            .map(|(uid, _)| uid)
            .collect()
    }
}

impl TryFrom<wire::Metagraph> for Metagraph {
    type Error = anyhow::Error;

    fn try_from(metagraph: wire::Metagraph) -> anyhow::Result<Self> {
        let hyperparameters = metagraph
            .hyperparameters
            .context("the metagraph has no hyperparameters")?;
        let share = |u16_share: u32| u16_share as f32 / 65_535.0;
        let by_name = |name: &str| {
            let mut all = hyperparameters.all.iter();
            all.find(|hyperparameter| hyperparameter.name == name)
                .map_or(0, |hyperparameter| hyperparameter.value)
        };
        let commits = by_name("commit_reveal_weights_enabled") != 0;
        let neurons = metagraph.neurons.iter().map(|neuron| {
            let hotkey = neuron.hotkey.as_slice().try_into();
            let hotkey =
                hotkey.with_context(|| format!("the hotkey of uid {} is not 32 bytes", neuron.uid))?;
            Ok(Neuron {
                hotkey,
                axon: axon(neuron)?,
                consensus: u16::try_from(neuron.consensus).with_context(|| {
                    format!("the consensus of uid {} is {}", neuron.uid, neuron.consensus)
                })?,
            })
        });
        Ok(Self {
            version: metagraph.version,
            block: metagraph.block,
            validator_epoch_length: hyperparameters.validator_epoch_length,
            limits: Limits {
                min_allowed_weights: hyperparameters.min_allowed_weights as usize,
                max_weight_limit: share(hyperparameters.max_weight_limit),
                exclude_quantile: share(hyperparameters.validator_exclude_quantile),
            },
            tempo: hyperparameters.tempo,
            reveal_epochs: commits.then(|| by_name("commit_reveal_period")),
            neurons: neurons.collect::<anyhow::Result<_>>()?,
        })
    }
}

fn axon(neuron: &wire::NeuronInfo) -> anyhow::Result<Option<SocketAddr>> {
    if neuron.ip.is_empty() {
        return Ok(None);
    }
    let ip: IpAddr = neuron
        .ip
        .parse()
        .with_context(|| format!("the ip of uid {} is `{}`", neuron.uid, neuron.ip))?;
    let port = u16::try_from(neuron.port)
        .with_context(|| format!("the port of uid {} is {}", neuron.uid, neuron.port))?;
    Ok(Some(SocketAddr::new(ip, port)))
}
