//! Renders a report as one HTML file.
//!
//! The text comes first, and the library for plots last, as inert text that is only parsed after the page has been
//! painted. All text of a run (completions, prompts, logs, the experiment) is escaped by the template.

use askama::Template;
use mirror_runs::expectations::{Checked, Outcome};
use serde_json::{Value, json};

use super::{Report, Subject, library};
use crate::chart::plotly;
use crate::collect::outcome::OUTCOMES;
use crate::error::AnalysisError;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    expectations: Vec<Expected<'a>>,
    figures: Vec<Value>,
    style: &'static str,
    script: &'static str,
    library: &'a str,
}

impl Page<'_> {
    fn is_run(&self) -> bool {
        self.report.subject == Subject::Run
    }

    /// Returns the outcomes of calls with their meaning.
    fn outcomes(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        OUTCOMES.iter().map(|outcome| (outcome.name, outcome.about))
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
                Outcome::Held => "held",
                Outcome::Failed => "failed",
                Outcome::Erred => "erred",
            },
            words: checked.decision.in_words(),
            sql: &checked.sql,
        }
    }
}

pub(super) fn render(report: &Report) -> Result<String, AnalysisError> {
    let figure = |plot: &super::Drawn| {
        let chart = plotly::figure(&plot.figure, &report.marks);
        json!({"name": plot.name, "chart": chart})
    };
    let page = Page {
        report,
        expectations: report.expectations.iter().map(Expected::of).collect(),
        figures: report.plots.iter().map(figure).collect(),
        style: include_str!("../../templates/report.css"),
        script: include_str!("../../templates/report.js"),
        library: library::plotly_js(),
    };
    Ok(page.render()?)
}
