//! The epochs of a run's chain, as commands name them.

use anyhow::anyhow;
use mirror_runs::Run;
use mirror_runs::tables::EpochRow;
use mirror_spec::SubtensorSpec;

use super::Misuse;
use mirror_coordinator::metagraphs::Moment;

/// The blocks that the metagraph was in as an epoch had left it.
pub(super) fn blocks(run: &Run, epoch: u64) -> anyhow::Result<Moment> {
    let mut among: Option<(u64, u64)> = None;
    let mut from = None;
    for row in run.rows::<EpochRow>()? {
        let row = row?;
        let first = among.map_or(row.epoch, |(first, _)| first);
        among = Some((first, row.epoch));
        match from {
            None if row.epoch == epoch => from = Some(row.block),
            Some(from) if row.epoch > epoch => {
                let before = Some(row.block);
                return Ok(Moment::Within { from, before });
            }
            _ => {}
        }
    }
    match (from, among) {
        (Some(from), _) => Ok(Moment::Within { from, before: None }),
        (None, Some(among)) => Err(not_among(run, epoch, among)),
        (None, None) => Err(none(run)),
    }
}

/// The error for an epoch that a run does not have.
pub(super) fn not_among(run: &Run, wanted: u64, (first, last): (u64, u64)) -> anyhow::Error {
    let id = &run.manifest().id;
    Misuse::of(anyhow!(
        "run {id} has no epoch {wanted}: it has epochs {first} to {last}"
    ))
    .into()
}

/// The error for a run without epochs, with the reason.
pub(super) fn none(run: &Run) -> anyhow::Error {
    let id = &run.manifest().id;
    // For a run whose experiment cannot be read, the more usual reason is given.
    let model = mirror_config::load(&run.layout().resolved()).map(|loaded| loaded.experiment.model);
    let subtensor = model.ok().flatten().map(|model| model.subtensor);
    let error = match subtensor {
        Some(SubtensorSpec::Subtensor(chain)) => anyhow!(
            "run {id} has no table of epochs: its chain at {} was already running and reports its blocks only to the coordinator \
             that started it. `mirror metagraph export {id}` writes the metagraph of the end of the run",
            chain.chain_endpoint
        ),
        _ => anyhow!(
            "run {id} ended before the first epoch of its chain: run more steps, or set a smaller `tempo` or `epoch_length`"
        ),
    };
    Misuse::of(error).into()
}
