//! Renders the report of a run: one HTML file that opens without a network.
//!
//! The text comes first, and the library for plots last, as inert text that is only parsed after the page has been
//! painted. All text of a run (completions, prompts, logs, the experiment) is escaped by the template.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use askama::Template;
use mirror_runs::tables::IncidentRow;
use mirror_runs::{Layout, State};
use plotly::Plot as Chart;
use serde::Serialize;

use crate::error::AnalysisError;
use crate::exchange::Exchange;
use crate::numbers::{count, counted, duration, percent, rounded, shortened, value};
use crate::outcome::{OUTCOMES, Outcome};
use crate::plots::{NothingToDraw, PLOTS, Plot};
use crate::run_data::{Events, RunData};
use crate::summary::{Summary, UidRow};
use crate::table::Column;
use expected::Expected;
use findings::Finding;
pub use group::{render_group_report, write_group_report};

mod expected;
mod findings;
mod group;
mod library;

/// Maximum number of bytes of the experiment file that are shown.
const MAX_EXPERIMENT: u64 = 64 << 10;

/// Maximum number of characters of a log and of a reason that are shown.
const MAX_LOG: usize = 4_000;

/// Writes the report of a run to the run's directory. The file is replaced atomically, so that a reader sees either the
/// old or the new report.
pub fn write_report(data: &RunData, summary: &Summary, layout: &Layout) -> Result<(), AnalysisError> {
    replace(
        layout.report(),
        &render_report(data, summary, &experiment(&layout.experiment()))?,
    )
}

fn replace(path: PathBuf, page: &str) -> Result<(), AnalysisError> {
    mirror_files::replace(&path, page.as_bytes()).map_err(|source| AnalysisError::Write { path, source })
}

/// Renders the report of a run as HTML. `experiment` is the text of the experiment file.
pub fn render_report(data: &RunData, summary: &Summary, experiment: &str) -> Result<String, AnalysisError> {
    let drawn: Vec<Drawn> = PLOTS.iter().map(|plot| draw(*plot, data)).collect();
    let figures = drawn.iter().filter_map(Drawn::figure).collect();
    let page = Page {
        title: &data.manifest.experiment,
        id: &data.manifest.id,
        state: state(data.state),
        tiles: tiles(summary),
        findings: findings::findings(data, summary),
        expectations: expected::expected(&data.expectations),
        table: UidTable::of(summary),
        outcomes: &OUTCOMES,
        plots: &drawn,
        figures,
        incidents: happenings(data),
        incidents_left_out: data.incidents.count() - data.incidents.first.len() as u64,
        best: &data.best,
        facts: facts(data),
        experiment,
        style: include_str!("../templates/report.css"),
        script: include_str!("../templates/report.js"),
        library: library::plotly_js(),
    };
    Ok(page.render()?)
}

/// Returns the text of the experiment file, or a message if it cannot be read.
fn experiment(path: &Path) -> String {
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

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: &'a str,
    id: &'a str,
    state: &'static str,
    tiles: Vec<Tile>,
    findings: Vec<Finding>,
    expectations: Vec<Expected<'a>>,
    table: UidTable,
    outcomes: &'a [Outcome],
    plots: &'a [Drawn],
    figures: Vec<FigureData<'a>>,
    incidents: Vec<Happening<'a>>,
    incidents_left_out: u64,
    best: &'a [Exchange],
    facts: Vec<Fact>,
    experiment: &'a str,
    style: &'static str,
    script: &'static str,
    library: &'a str,
}

/// A number with its name, at the top of the page.
struct Tile {
    name: &'static str,
    number: String,
    note: String,
}

fn tiles(summary: &Summary) -> Vec<Tile> {
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
            "duration",
            totals.duration.map_or_else(unknown, duration),
            format!(
                "by {}",
                counted(totals.validators as u64, "validator", "validators")
            ),
        ),
    ]
}

struct UidTable {
    columns: Vec<Column>,
    rows: Vec<Vec<UidCell>>,
    pay: &'static str,
}

struct UidCell {
    text: String,
    /// Key by which a script sorts the cell if it is not the text. Cells with an empty key sort last.
    sort: Option<String>,
    class: &'static str,
}

impl UidTable {
    fn of(summary: &Summary) -> Self {
        let columns = summary.columns();
        let row = |row| columns.iter().map(|column| UidCell::of(column, row)).collect();
        let rows = summary.uids.iter().map(row).collect();
        Self {
            columns,
            rows,
            pay: summary.pay.name(),
        }
    }
}

impl UidCell {
    fn of(column: &Column, row: &UidRow) -> Self {
        let (text, sort) = match (column.cell)(row) {
            Some(cell) => {
                let sort = cell.number.map(|number| rounded(number).to_string());
                let differs = sort.filter(|sort| *sort != cell.text);
                (cell.text, differs)
            }
            None => ("–".to_owned(), Some(String::new())),
        };
        Self {
            text,
            sort,
            class: column.kind.class(),
        }
    }
}

/// The section of a plot on the page.
struct Drawn {
    name: &'static str,
    title: &'static str,
    explain: &'static str,
    content: Content,
}

enum Content {
    Figure(Box<crate::plots::Figure>),
    Nothing(&'static str),
}

impl Content {
    fn of(built: Result<crate::plots::Figure, NothingToDraw>) -> Self {
        match built {
            Ok(figure) => Self::Figure(Box::new(figure)),
            Err(nothing) => Self::Nothing(nothing.0),
        }
    }
}

fn draw(plot: &dyn Plot, data: &RunData) -> Drawn {
    Drawn {
        name: plot.name(),
        title: plot.title(),
        explain: plot.explain(),
        content: Content::of(plot.build(data)),
    }
}

impl Drawn {
    fn figure(&self) -> Option<FigureData<'_>> {
        match &self.content {
            Content::Figure(figure) => Some(FigureData {
                name: self.name,
                chart: &figure.chart,
            }),
            Content::Nothing(_) => None,
        }
    }
}

/// The data of a plot for the script.
#[derive(Serialize)]
struct FigureData<'a> {
    name: &'static str,
    chart: &'a Chart,
}

/// An incident as text.
struct Happening<'a> {
    node: &'a str,
    what: &'a str,
    when: String,
    detail: String,
    last_log: Option<String>,
}

fn happenings(data: &RunData) -> Vec<Happening<'_>> {
    let incidents = data.incidents.first.iter();
    incidents
        .map(|incident| Happening::of(incident, &data.events))
        .collect()
}

impl<'a> Happening<'a> {
    fn of(incident: &'a IncidentRow, events: &Events) -> Self {
        let after = incident
            .at
            .and_then(|at| events.seconds_until(at))
            .map(|seconds| format!("after {}", duration(seconds)));
        let start = incident
            .incarnation
            .map(|before| format!("start {}", u64::from(before) + 1));
        let block = incident.block.map(|block| format!("block {}", count(block)));
        let when = [after, block, start]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ");
        let last_log = incident.last_log.as_deref().filter(|log| !log.trim().is_empty());
        Self {
            node: &incident.node,
            what: &incident.what,
            when,
            detail: shortened(&incident.detail, MAX_LOG),
            last_log: last_log.map(|log| shortened(log, MAX_LOG)),
        }
    }
}

/// A property of the run.
struct Fact {
    name: &'static str,
    text: String,
}

fn facts(data: &RunData) -> Vec<Fact> {
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

fn state(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Done => "done",
        State::Failed => "failed",
        State::Interrupted => "interrupted",
    }
}
