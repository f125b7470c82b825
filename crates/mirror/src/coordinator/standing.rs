//! How the miners stand when a run ends, by the chain's last word.
//!
//! The incentive shown here is the stake-weighted mean of the weights that validators gave a miner last, normalised over
//! the miners. What the chain's own epochs paid is in its metagraph, and not in the run's tables yet.

use std::fs;

use anyhow::Context;
use mirror_analysis::Standing;
use mirror_proto::mirror::v1::{Metagraph, NeuronInfo};
use mirror_runs::Layout;

/// Incentives of uids `0..num_nodes`; `None` when no validator set weights.
pub(super) fn incentives(metagraph: &Metagraph, num_nodes: u32) -> Option<Vec<f64>> {
    let mut incentives = vec![0.0; num_nodes as usize];
    let setters = metagraph
        .neurons
        .iter()
        .filter(|neuron| !neuron.weights.is_empty());
    for NeuronInfo { stake, weights, .. } in setters {
        let row: f64 = weights.iter().map(|weight| f64::from(weight.weight)).sum();
        for given in weights {
            if let Some(incentive) = incentives.get_mut(given.uid as usize) {
                *incentive += f64::from(given.weight) / row.max(1.0) * *stake as f64;
            }
        }
    }
    let sum: f64 = incentives.iter().sum();
    (sum > 0.0).then(|| incentives.into_iter().map(|incentive| incentive / sum).collect())
}

/// Keeps the standings with the run, so that its report can be made again.
pub fn save(standings: &[Standing], layout: &Layout) -> anyhow::Result<()> {
    let path = path(layout);
    let text = serde_json::to_vec(standings)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The standings of a run; none where it did not come to its end.
pub fn load(layout: &Layout) -> anyhow::Result<Vec<Standing>> {
    let path = path(layout);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn path(layout: &Layout) -> std::path::PathBuf {
    layout.root().join("standings.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_proto::mirror::v1::Weight;

    fn neuron(stake: u64, weights: &[(u32, u32)]) -> NeuronInfo {
        let weights = weights.iter().map(|(uid, weight)| Weight {
            uid: *uid,
            weight: *weight,
        });
        NeuronInfo {
            stake,
            weights: weights.collect(),
            ..NeuronInfo::default()
        }
    }

    #[test]
    fn stake_weighs_what_validators_say() {
        // validator 2 (stake 3) gives uid 0 all; validator 3 (stake 1) halves between 0 and 1
        let neurons = vec![
            neuron(0, &[]),
            neuron(0, &[]),
            neuron(3, &[(0, 65_535)]),
            neuron(1, &[(0, 100), (1, 100)]),
        ];
        let metagraph = Metagraph {
            neurons,
            ..Metagraph::default()
        };
        assert_eq!(incentives(&metagraph, 2), Some(vec![0.875, 0.125]));
    }

    #[test]
    fn without_weights_nobody_is_paid() {
        let metagraph = Metagraph {
            neurons: vec![neuron(5, &[])],
            ..Metagraph::default()
        };
        assert_eq!(incentives(&metagraph, 1), None);
    }
}
