//! The metagraphs that a run saves: the one that it started from with the run's own names, the one at its end, and with
//! `model.metagraph: Metagraph` the one of each sync in which it had changed.
//!
//! Each is a metagraph file in the folder `metagraphs` of the run, named after the block after whose closing it was
//! taken.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use mirror_metagraph_file::{MetagraphFile, Neuron};
use mirror_proto::protocol::METAGRAPH_SYNC_BLOCKS;
use mirror_runs::Layout;
use mirror_subtensor_client::Metagraph;

/// Saves the metagraph that the subnet started from.
pub(crate) fn save_origin(layout: &Layout, metagraph_file: &MetagraphFile) -> anyhow::Result<()> {
    let folder = folder(layout);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(metagraph_file.write(&folder.join("origin.json"))?)
}

/// Saves the metagraph of a block.
pub(crate) fn save(layout: &Layout, metagraph: Metagraph) -> anyhow::Result<()> {
    let folder = folder(layout);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(format!("{}.json", metagraph.block));
    Ok(metagraph_file(metagraph).write(&path)?)
}

/// Selects one of a run's metagraphs.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// The metagraph of the last block.
    End,
    /// The metagraph as this block left it.
    Closed(u64),
    /// The first saved metagraph in a range of blocks.
    Within {
        /// First block of the range: the block of an epoch.
        from: u64,
        /// Exclusive end of the range: the block of the next epoch. `None` for no end.
        before: Option<u64>,
    },
}

/// Loads the metagraph of a run at a moment. Returns it with the block that it was saved at.
///
/// # Errors
///
/// Returns an error if the run has no metagraph of that moment, or if its file cannot be read.
pub fn load(layout: &Layout, moment: Moment) -> anyhow::Result<(u64, MetagraphFile)> {
    let mut kept = blocks(layout)?;
    kept.sort_unstable();
    let last = *kept
        .last()
        .context("the run has no metagraph: it did not finish")?;
    let (found, block) = match moment {
        Moment::End => (Some(last), last),
        Moment::Closed(block) if block > last => (None, block),
        Moment::Closed(block) => (kept.iter().rfind(|kept| **kept <= block).copied(), block),
        Moment::Within { from, before } => {
            let after = kept.iter().find(|kept| **kept >= from).copied();
            (
                after.filter(|kept| before.is_none_or(|before| *kept < before)),
                from,
            )
        }
    };
    let Some(found) = found else {
        bail!(
            "the run has no metagraph of block {block}, only of {}: with `model.metagraph: Metagraph` a run saves one \
             every {METAGRAPH_SYNC_BLOCKS} blocks",
            list(&kept)
        );
    };
    let metagraph_file = MetagraphFile::read(&folder(layout).join(format!("{found}.json")))?;
    Ok((found, metagraph_file))
}

fn list(blocks: &[u64]) -> String {
    match blocks {
        [] => "none".to_owned(),
        [only] => format!("block {only}"),
        [first, .., last] => format!("{} blocks from {first} to {last}", blocks.len()),
    }
}

fn blocks(layout: &Layout) -> anyhow::Result<Vec<u64>> {
    let folder = folder(layout);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let mut blocks = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let block = name.to_str().and_then(|name| name.strip_suffix(".json"));
        blocks.extend(block.and_then(|block| block.parse::<u64>().ok()));
    }
    Ok(blocks)
}

fn folder(layout: &Layout) -> PathBuf {
    layout.root().join("metagraphs")
}

fn metagraph_file(metagraph: Metagraph) -> MetagraphFile {
    let neurons = metagraph.neurons.into_iter().map(|neuron| Neuron {
        hotkey: neuron.hotkey,
        coldkey: neuron.coldkey,
        stake: neuron.stake,
        permit: neuron.validator_permit,
        weights: neuron.weights,
        bonds: neuron.bonds,
    });
    MetagraphFile {
        neurons: neurons.collect(),
    }
}
