//! Renders the report of a group: its runs, and statistics over their random seeds.

use askama::Template;
use mirror_runs::Layout;

use super::expected::{Expected, expected};
use super::findings::{Finding, of_expectations, plain, warning};
use super::{Content, Drawn, FigureData, library, replace};
use crate::error::AnalysisError;
use crate::group::GroupData;
use crate::inference::{effect_size, gini, half_width, nakamoto};
use crate::numbers::{count, counted, percent, value};
use crate::plots::emission_by_role;
use crate::summary::{Pay, Summary};

/// The role with which others are compared.
const CONTROL: &str = "honest";

/// Writes the report of a group to the group's directory. The file is replaced atomically.
pub fn write_group_report(group: &GroupData, layout: &Layout) -> Result<(), AnalysisError> {
    replace(layout.report(), &render_group_report(group)?)
}

/// Renders the report of a group as HTML.
pub fn render_group_report(group: &GroupData) -> Result<String, AnalysisError> {
    let data: Vec<_> = group.runs.iter().map(|(data, _)| data).collect();
    let plots = [Drawn {
        name: "emission_by_role",
        title: "Pay over time by behaviour of miners",
        explain: "Mean pay per epoch of the miners of each behaviour, with the 95% confidence interval over the random seeds.",
        content: Content::of(emission_by_role::over_runs(&data)),
    }];
    let page = GroupPage {
        title: &group.group.experiment,
        id: &group.group.id,
        findings: findings(group),
        expectations: expected(&group.expectations),
        runs: group
            .runs
            .iter()
            .map(|(data, summary)| RunRow::of(data, summary))
            .collect(),
        pay: group.pay_by_role().map_or("pay", |(pay, _)| pay.name()),
        roles: role_rows(group),
        figures: plots.iter().filter_map(Drawn::figure).collect(),
        plots: &plots,
        style: include_str!("../../templates/report.css"),
        script: include_str!("../../templates/report.js"),
        library: library::plotly_js(),
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "group.html")]
struct GroupPage<'a> {
    title: &'a str,
    id: &'a str,
    findings: Vec<Finding>,
    expectations: Vec<Expected<'a>>,
    runs: Vec<RunRow<'a>>,
    pay: &'static str,
    roles: Vec<RoleRow>,
    plots: &'a [Drawn],
    figures: Vec<FigureData<'a>>,
    style: &'static str,
    script: &'static str,
    library: &'a str,
}

fn findings(group: &GroupData) -> Vec<Finding> {
    let (asked, made) = (u64::from(group.group.replicates), group.runs.len() as u64);
    let seeds = format!(
        "{} of one experiment, with random seeds from {}.",
        counted(made, "run", "runs"),
        group.group.first_seed
    );
    let mut findings = vec![plain(seeds)];
    if made < asked {
        findings.push(warning(format!(
            "{} requested.",
            counted(asked, "run was", "runs were")
        )));
    }
    let broken: u64 = group.runs.iter().map(|(data, _)| data.incidents.count()).sum();
    if broken > 0 {
        findings.push(warning(format!(
            "{} of nodes over all runs.",
            counted(broken, "incident", "incidents")
        )));
    }
    findings.extend(of_expectations(&group.expectations));
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
    findings
}

/// A row of the table of runs, as text.
struct RunRow<'a> {
    seed: u64,
    id: &'a str,
    state: &'static str,
    steps: String,
    success: String,
    reward: String,
    gini: String,
    nakamoto: String,
}

impl<'a> RunRow<'a> {
    fn of(data: &'a crate::run_data::RunData, summary: &Summary) -> Self {
        let unknown = || "–".to_owned();
        let paid = summary.shares();
        Self {
            seed: data.manifest.seed,
            id: &data.manifest.id,
            state: super::state(data.state),
            steps: count(summary.totals.steps),
            success: summary.totals.success_rate().map_or_else(unknown, percent),
            reward: summary.totals.mean_reward.map_or_else(unknown, value),
            gini: gini(&paid).map_or_else(unknown, value),
            nakamoto: nakamoto(&paid).map_or_else(unknown, |few| few.to_string()),
        }
    }
}

/// A row of the table of roles, as text.
struct RoleRow {
    role: String,
    mean: String,
    interval: String,
    gain: String,
    effect: String,
}

fn role_rows(group: &GroupData) -> Vec<RoleRow> {
    let Some((_, roles)) = group.pay_by_role() else {
        return Vec::new();
    };
    let control = roles.get(CONTROL).copied();
    let unknown = || "–".to_owned();
    let row = |(role, moments): (&str, &crate::moments::Moments)| {
        let mean = moments.mean().unwrap_or(0.0);
        let other = control.filter(|_| role != CONTROL);
        let gain = other
            .and_then(|control| control.mean())
            .filter(|honest| *honest > 0.0)
            .map(|honest| format!("{:+.1}%", (mean / honest - 1.0) * 100.0));
        RoleRow {
            role: role.to_owned(),
            mean: value(mean),
            interval: half_width(moments).map_or_else(unknown, |half| {
                format!("{} to {}", value(mean - half), value(mean + half))
            }),
            gain: gain.unwrap_or_else(unknown),
            effect: other
                .and_then(|control| effect_size(moments, &control))
                .map_or_else(unknown, |effect| format!("{effect:+.2}")),
        }
    };
    roles.iter().map(|(role, moments)| row((role, moments))).collect()
}

impl Summary {
    /// Returns the pay of each miner, or an empty list if pay is measured by the mean reward.
    pub(crate) fn shares(&self) -> Vec<f64> {
        let paid = self.uids.iter().filter_map(|row| self.pay.of(row));
        paid.filter(|_| self.pay != Pay::Reward).collect()
    }
}
