//! The report of a group: its runs, and statistics over their random seeds.

use super::limits::limits;
use super::{Report, Subject, facts, state, traces};
use crate::comparison::compare;
use crate::group::GroupData;
use crate::inference::{gini, nakamoto};
use crate::numbers::{count, counted, percent, value};
use crate::run_data::RunData;
use crate::sentences::{self, Sentence, of_expectations, plain, warning};
use crate::summary::Summary;
use crate::tables::{Cell, Column, Kind, Row, Table, column, groups_table};

mod plots;

/// Creates the report of a group.
pub(super) fn report(group: &GroupData) -> Report {
    let runs: Vec<(&RunData, &Summary)> = group.runs.iter().map(|(data, summary)| (data, summary)).collect();
    let compared = compare(&runs);
    let plots = plots::draw(&runs);
    // A group that only its runs name has no experiment of its own.
    let experiment = Some(group.layout.resolved()).filter(|file| file.exists());
    let data: Vec<&RunData> = runs.iter().map(|(data, _)| *data).collect();
    let mut sentences = sentences::of_pay(&compared);
    sentences.extend(of_runs(group));
    Report {
        title: group.group.experiment.clone(),
        id: group.group.id.clone(),
        subject: Subject::Group,
        state: None,
        sentences,
        totals: Vec::new(),
        expectations: group.expectations.clone(),
        tables: groups_table(&compared.groups)
            .into_iter()
            .chain([table_of_runs(group)])
            .collect(),
        not_tested: limits(&data, &compared.groups),
        groups: compared.groups,
        plots: plots.drawn,
        not_drawn: plots.not_drawn,
        predictions: Vec::new(),
        traces: traces::of_group(group),
        completions: Vec::new(),
        // Each run of the group has a report with its profiles.
        profiles: None,
        facts: Vec::new(),
        repeat: experiment
            .as_ref()
            .map_or_else(String::new, |file| format!("mirror run {}", file.display())),
        fault_spans: Vec::new(),
        marks: Vec::new(),
        experiment: experiment.as_deref().map_or_else(String::new, facts::experiment),
    }
}

fn of_runs(group: &GroupData) -> Vec<Sentence> {
    let (asked, made) = (u64::from(group.group.replicates), group.runs.len() as u64);
    let mut findings: Vec<Sentence> = of_expectations(&group.expectations).into_iter().collect();
    let of_runs: Vec<_> = group
        .runs
        .iter()
        .flat_map(|(data, _)| &data.expectations)
        .collect();
    if !of_runs.is_empty() {
        let held = of_runs.iter().filter(|checked| checked.decision.held()).count();
        findings.push(plain(format!(
            "Of {} of single runs, {} held.",
            counted(of_runs.len() as u64, "expectation", "expectations"),
            count(held as u64)
        )));
    }
    for (data, _) in &group.runs {
        let failed = data
            .expectations
            .iter()
            .filter(|checked| !checked.decision.held())
            .count();
        if failed > 0 {
            findings.push(warning(format!(
                "With random seed {}, {} did not hold.",
                data.manifest.seed,
                counted(failed as u64, "expectation", "expectations")
            )));
        }
    }
    let broken: u64 = group.runs.iter().map(|(data, _)| data.incidents.count()).sum();
    if broken > 0 {
        findings.push(warning(format!(
            "{} of nodes over all runs.",
            counted(broken, "incident", "incidents")
        )));
    }
    if made < asked {
        findings.push(warning(format!(
            "{} requested.",
            counted(asked, "run was", "runs were")
        )));
    }
    findings.push(plain(format!(
        "{} of one experiment, with random seeds from {}.",
        counted(made, "run", "runs"),
        group.group.first_seed
    )));
    findings
}

const COLUMNS: [Column; 8] = [
    column("seed", "random seed", Kind::Number),
    column("run", "id of the run", Kind::Text),
    column("state", "state of the run", Kind::Text),
    column("steps", "number of steps", Kind::Number),
    column("success rate", "share of successful calls", Kind::Number),
    column("mean reward", "mean reward of the successful calls", Kind::Number),
    column(
        "Gini",
        "Gini coefficient of the pay of miners: 0 if all were paid equally, near 1 if one miner received everything",
        Kind::Number,
    ),
    column(
        "Nakamoto",
        "Nakamoto coefficient: the smallest number of miners that together received more than half",
        Kind::Number,
    ),
];

fn table_of_runs(group: &GroupData) -> Table {
    Table {
        name: "runs",
        title: "Runs",
        explain: "All runs of the group, by random seed.".to_owned(),
        columns: COLUMNS.to_vec(),
        rows: group
            .runs
            .iter()
            .map(|(data, summary)| row(data, summary))
            .collect(),
    }
}

fn row(data: &RunData, summary: &Summary) -> Row {
    let number = |number: Option<f64>, show: fn(f64) -> String| {
        number.map_or(Cell::Empty, |number| Cell::number(number, show(number)))
    };
    let paid = summary.shares();
    let totals = &summary.totals;
    Row {
        uid: None,
        cells: vec![
            Cell::number(data.manifest.seed as f64, data.manifest.seed.to_string()),
            Cell::Run {
                id: data.manifest.id.clone(),
            },
            Cell::text(state(data.state)),
            Cell::number(totals.steps as f64, count(totals.steps)),
            number(totals.success_rate(), percent),
            number(totals.mean_reward, value),
            number(gini(&paid), value),
            number(nakamoto(&paid).map(|few| few as f64), |few| format!("{few}")),
        ],
    }
}
