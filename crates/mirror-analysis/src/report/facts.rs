//! The totals at the top of a report, and the properties of a run.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use mirror_runs::Layout;
use serde::Serialize;

use crate::chart::plotly::{Mark, Place, Span};
use crate::collect::faults::Change;
use crate::inference::{gini, nakamoto};
use crate::numbers::{count, counted, duration, percent, value};
use crate::run_data::RunData;
use crate::summary::Summary;

/// Maximum number of bytes of the experiment file that are shown.
const MAX_EXPERIMENT: u64 = 64 << 10;

/// Returns the text of the experiment file, or a message if it cannot be read.
pub(super) fn experiment(path: &Path) -> String {
    let read = |path| -> io::Result<(Vec<u8>, bool)> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_EXPERIMENT + 1)
            .read_to_end(&mut bytes)?;
        let longer = bytes.len() as u64 > MAX_EXPERIMENT;
        bytes.truncate(MAX_EXPERIMENT as usize);
        Ok((bytes, longer))
    };
    match read(path) {
        Ok((bytes, longer)) => {
            let text = String::from_utf8_lossy(&bytes);
            let end = if longer { "\n… (the file is longer)" } else { "" };
            format!("{text}{end}")
        }
        Err(error) => format!("(cannot read experiment.yml: {error})"),
    }
}

/// Returns the command that repeats the run in the directory `layout`, with the settings that it was started with.
/// Empty for imported event logs.
pub(super) fn repeat(layout: &Layout, data: &RunData) -> String {
    if data.is_imported() {
        return String::new();
    }
    run_again(&layout.resolved())
}

/// Returns the command that runs an experiment file.
pub(super) fn run_again(file: &Path) -> String {
    let file = file.display().to_string();
    if file.contains(char::is_whitespace) {
        format!("mirror run '{file}'")
    } else {
        format!("mirror run {file}")
    }
}

/// A number with its name, at the top of the page.
#[derive(Debug, Serialize)]
pub(super) struct Tile {
    pub(super) name: &'static str,
    pub(super) number: String,
    pub(super) note: String,
}

pub(super) fn tiles(summary: &Summary) -> Vec<Tile> {
    let totals = &summary.totals;
    let unknown = || "–".to_owned();
    let tile = |name, number, note| Tile { name, number, note };
    vec![
        tile(
            "steps",
            count(totals.steps),
            totals
                .step_rate()
                .map_or_else(String::new, |rate| format!("{rate:.1} per second")),
        ),
        tile(
            "events",
            count(totals.events),
            format!("{} failed", count(totals.failed_events)),
        ),
        tile(
            "calls",
            count(totals.outcomes.calls()),
            format!("to {}", counted(summary.called() as u64, "uid", "uids")),
        ),
        tile(
            "success rate",
            totals.success_rate().map_or_else(unknown, percent),
            format!("{} successful", count(totals.outcomes.successes())),
        ),
        tile(
            "mean reward",
            totals.mean_reward.map_or_else(unknown, value),
            String::new(),
        ),
        tile(
            "Gini",
            gini(&summary.shares()).map_or_else(unknown, value),
            "of the pay of miners".to_owned(),
        ),
        tile(
            "Nakamoto",
            nakamoto(&summary.shares()).map_or_else(unknown, |few| few.to_string()),
            "miners have over half".to_owned(),
        ),
        tile(
            "duration",
            totals.duration.map_or_else(unknown, duration),
            format!(
                "by {}",
                counted(totals.validators as u64, "validator", "validators")
            ),
        ),
    ]
}

/// A property of the run.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) text: String,
}

pub(super) fn facts(data: &RunData) -> Vec<Fact> {
    let manifest = &data.manifest;
    let host = &manifest.host;
    let mut machine = vec![host.os.clone(), host.architecture.clone()];
    machine.extend(host.kernel.as_ref().map(|kernel| format!("kernel {kernel}")));
    machine.extend(host.cores.map(|cores| counted(cores as u64, "core", "cores")));
    machine.extend(
        host.memory
            .map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))),
    );
    let versions: Vec<String> = manifest
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let validators: Vec<&str> = data.events.validators.iter().map(String::as_str).collect();
    let known = [
        ("run", Some(manifest.id.clone())),
        ("seed", Some(manifest.seed.to_string())),
        ("started", Some(manifest.created.clone())),
        ("ended", manifest.finished.clone()),
        ("job type", Some(manifest.job_type.clone())),
        ("group", manifest.group.clone()),
        ("tags", Some(manifest.tags.join(", "))),
        ("notes", manifest.notes.clone()),
        ("validators", Some(validators.join(", "))),
        ("machine", Some(machine.join(", "))),
        ("versions", Some(versions.join(", "))),
    ];
    known
        .into_iter()
        .filter_map(|(name, text)| Some(Fact { name, text: text? }))
        .filter(|fact| !fact.text.is_empty())
        .collect()
}

/// Returns the faults as spans on time axes, while they were in effect.
pub(super) fn fault_spans(data: &RunData) -> Vec<Span> {
    let events = &data.events;
    let end = Place {
        step: Some(events.steps as f64),
        forward: Some((events.steps * events.forwards_per_step) as f64),
        epoch: (data.runs == 1 && !data.epochs.is_empty()).then_some(data.epochs.last as f64),
        second: events.duration(),
    };
    let place = |change: &Change| {
        let step = change.step.unwrap_or(events.steps).min(events.steps);
        // A fault may begin before the first forward.
        let second = events.seconds_until(change.at).or(events.duration().map(|_| 0.0));
        Place {
            step: Some(step as f64),
            forward: Some((step * events.forwards_per_step) as f64),
            epoch: change
                .block
                .and_then(|block| data.epochs.place_of_block(block))
                .filter(|_| data.runs == 1),
            second,
        }
    };
    let later = |one: Option<f64>, other: Option<f64>| Some(one?.max(other?));
    let spans = data.faults.periods.iter().map(|period| {
        let from = place(&period.from);
        let to = period.to.as_ref().map_or(end, place);
        Span {
            fault: period.fault.clone(),
            kind: period.kind.clone(),
            who: period.who.clone(),
            occurrence: period.occurrence,
            lifted: period.to.is_some(),
            from,
            to: Place {
                step: later(from.step, to.step),
                forward: later(from.forward, to.forward),
                epoch: later(from.epoch, to.epoch),
                second: later(from.second, to.second),
            },
        }
    });
    spans.collect()
}

/// Returns the incidents as marks on time axes. Those that a fault caused are left out if the fault is a span.
pub(super) fn marks(data: &RunData) -> Vec<Mark> {
    let incidents = data.incidents.first.iter().zip(&data.incidents.placed);
    let has_spans = !data.faults.is_empty();
    incidents
        .filter(|(incident, _)| !(has_spans && incident.is_caused_by_fault()))
        .map(|(incident, moment)| {
            let block = incident.block.or(moment.map(|moment| moment.block));
            Mark {
                label: format!("{} {}", incident.node, incident.what),
                place: Place {
                    step: moment.map(|moment| moment.step as f64),
                    forward: moment.map(|moment| moment.forward as f64),
                    epoch: block
                        .filter(|_| data.runs == 1)
                        .and_then(|block| data.epochs.place_of_block(block)),
                    second: incident.occurred_at.and_then(|at| data.events.seconds_until(at)),
                },
            }
        })
        .collect()
}
