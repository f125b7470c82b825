//! Renders a report as one HTML file.
//!
//! The text comes first, and the library for plots last, as inert text that is only parsed after the page has been
//! painted. All text of a run (completions, prompts, logs, the experiment) is escaped by the template.

use askama::Template;
use mirror_runs::expectations::{self, Checked};
use serde_json::{Value, json};

use super::{Drawn, Report, Subject, library};
use crate::chart::plotly;
use crate::collect::outcome::{OUTCOMES, Outcome};
use crate::error::AnalysisError;
use crate::tables::Table;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    expectations: Vec<Expected<'a>>,
    /// The plots as a JSON list, packed.
    figures: String,
    style: &'static str,
    script: &'static str,
    library: &'a str,
    /// The outcomes of calls, each with its meaning.
    outcomes: [Outcome; OUTCOMES.len()],
}

impl Page<'_> {
    fn is_run(&self) -> bool {
        self.report.subject == Subject::Run
    }

    /// Returns the tables and plots in the order of the page: the groups, the plot that matters most, the uids, then
    /// all other plots and tables.
    fn sections(&self) -> Vec<Section<'_>> {
        let tables = self.report.tables.iter();
        let (first, others): (Vec<_>, Vec<_>) = tables.partition(|table| FIRST_TABLES.contains(&table.name));
        let mut first = first.into_iter().map(Section::Table);
        let mut plots = self.report.plots.iter().map(Section::Plot);
        let mut sections = Vec::new();
        sections.extend(first.next());
        sections.extend(plots.next());
        sections.extend(first);
        sections.extend(plots);
        sections.extend(others.into_iter().map(Section::Table));
        sections
    }
}

/// The tables that precede most plots.
const FIRST_TABLES: [&str; 3] = ["groups", "uids", "runs"];

/// A section of the page.
enum Section<'a> {
    Plot(&'a Drawn),
    Table(&'a Table),
}

impl Section<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Plot(plot) => &plot.name,
            Self::Table(table) => table.name,
        }
    }

    fn title(&self) -> &str {
        match self {
            Self::Plot(plot) => &plot.title,
            Self::Table(table) => table.title,
        }
    }
}

/// An expectation with its result.
struct Expected<'a> {
    name: &'a str,
    outcome: &'static str,
    words: String,
    sql: &'a str,
}

impl<'a> Expected<'a> {
    fn of(checked: &'a Checked) -> Self {
        Self {
            name: &checked.name,
            outcome: match checked.decision.outcome {
                expectations::Outcome::Held => "held",
                expectations::Outcome::Failed => "failed",
                expectations::Outcome::Erred => "erred",
            },
            words: checked.decision.in_words(),
            sql: &checked.sql,
        }
    }
}

pub(super) fn render(report: &Report) -> Result<String, AnalysisError> {
    let figure = |plot: &Drawn| {
        let chart = plotly::figure(&plot.figure, &report.marks, &report.fault_spans);
        json!({"name": plot.name, "chart": chart})
    };
    let figures: Vec<Value> = report.plots.iter().map(figure).collect();
    let page = Page {
        report,
        expectations: report.expectations.iter().map(Expected::of).collect(),
        figures: library::packed(Value::from(figures).to_string().as_bytes()),
        style: include_str!("../../templates/report.css"),
        script: include_str!("../../templates/report.js"),
        library: library::plotly_js(),
        outcomes: OUTCOMES,
    };
    Ok(page.render()?)
}
