//! The report of a run or of a group of runs: sentences, tables and plots, as JSON or as one HTML file that opens
//! without a network.

use std::path::PathBuf;

use mirror_runs::expectations::Checked;
use mirror_runs::profiles::Profiles;
use mirror_runs::{Layout, Run, State};
use mirror_spec::Analysis;
use serde::Serialize;

use crate::chart::Figure;
use crate::chart::plotly::{Mark, Span};
use crate::collect::exchange::Exchange;
use crate::comparison::{GroupPay, compare};
use crate::error::AnalysisError;
use crate::features::TextModels;
use crate::group::GroupData;
use crate::named::{self, PredictionScores};
use crate::numbers::{count, counted};
use crate::plots::{NothingToDraw, PLOTS};
use crate::run_data::RunData;
use crate::sentences::{self, Sentence};
use crate::summary::Summary;
use crate::tables::{Cell, TABLES, Table, groups_for_terminal};
use facts::{Fact, Tile};
use traces::TracesSection;

mod facts;
mod group;
mod library;
mod limits;
mod page;
mod pictures;
mod profiles;
mod traces;

/// A report, with everything that its page shows.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name of the experiment.
    title: String,
    /// Id of the run or of the group.
    id: String,
    /// Whether it is about one run or a group.
    subject: Subject,
    /// State of the run: `done`, `running`, … A group has none.
    state: Option<&'static str>,
    /// The results, the answer first.
    sentences: Vec<Sentence>,
    /// The labelled groups, each compared with its control.
    groups: Vec<GroupPay>,
    /// Totals at the top of the page.
    totals: Vec<Tile>,
    /// Results of the expectations.
    expectations: Vec<Checked>,
    /// The tables.
    tables: Vec<Table>,
    /// The plots.
    plots: Vec<Drawn>,
    /// The plots that would show nothing, each with the reason.
    not_drawn: Vec<NotDrawn>,
    /// The scores of the predictions that the user names.
    predictions: Vec<PredictionScores>,
    /// The traces: counts of spans, critical paths, and the slowest steps.
    traces: TracesSection,
    /// The best completions, best first.
    completions: Vec<Completion>,
    /// The CPU profiles. `None` if the run was not profiled.
    profiles: Option<Profiles>,
    /// Properties of the run.
    facts: Vec<Fact>,
    /// Conditions that the runs did not test.
    not_tested: Vec<String>,
    /// The command that repeats the run.
    repeat: String,
    /// The first faults on the time axes of the plots, while they were in effect.
    fault_spans: Vec<Span>,
    /// Incidents on the time axes of the plots.
    #[serde(skip)]
    marks: Vec<Mark>,
    /// Text of the experiment file.
    experiment: String,
}

/// The subject of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Subject {
    Run,
    Group,
}

/// A completion with its prompt and its trace.
#[derive(Debug, Serialize)]
struct Completion {
    #[serde(flatten)]
    exchange: Exchange,
    /// The trace as the page shows it. `None` if the run has no spans.
    #[serde(skip)]
    trace: Option<Cell>,
}

impl Completion {
    fn of(data: &RunData, exchange: &Exchange) -> Self {
        let trace = exchange.trace.as_ref().filter(|_| data.traces.spans > 0);
        Self {
            exchange: exchange.clone(),
            trace: trace.map(|trace| Cell::trace(data, Some(trace))),
        }
    }
}

/// A plot of a report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Drawn {
    name: String,
    title: String,
    explain: String,
    #[serde(flatten)]
    figure: Figure,
}

/// A plot that would show nothing.
#[derive(Clone, Debug, Serialize)]
struct NotDrawn {
    name: String,
    title: String,
    why: String,
}

/// Plots that were drawn, and those that would show nothing.
#[derive(Default)]
pub(crate) struct Plots {
    drawn: Vec<Drawn>,
    not_drawn: Vec<NotDrawn>,
}

impl Plots {
    pub(crate) fn push(
        &mut self,
        name: &str,
        title: &str,
        explain: &str,
        built: Result<Figure, NothingToDraw>,
    ) {
        let (name, title) = (name.to_owned(), title.to_owned());
        match built {
            Ok(figure) => self.drawn.push(Drawn {
                name,
                title,
                explain: explain.to_owned(),
                figure,
            }),
            Err(NothingToDraw(why)) => self.not_drawn.push(NotDrawn { name, title, why }),
        }
    }

    /// States in each plot with a time axis the number of faults that are not shaded.
    fn note_faults_left_out(&mut self, data: &RunData) {
        let (left_out, all) = (data.faults.periods_left_out(), data.faults.occurrences);
        if left_out == 0 {
            return;
        }
        let over_time = self.drawn.iter_mut().map(|drawn| &mut drawn.figure);
        for figure in over_time.filter(|figure| figure.x.scale.is_time()) {
            if !figure.note.is_empty() {
                figure.note.push(' ');
            }
            let note = format!(
                "Of {} of faults, the first {} are shaded.",
                counted(all, "occurrence", "occurrences"),
                count(all - left_out)
            );
            figure.note.push_str(&note);
        }
    }
}

impl Report {
    /// Creates the report of a run.
    pub fn of_run(data: &RunData, summary: &Summary, layout: &Layout) -> Self {
        let mut plots = Plots::default();
        for plot in PLOTS {
            plots.push(plot.name(), plot.title(), plot.explain(), plot.build(data));
        }
        plots.note_faults_left_out(data);
        let groups = compare(&[(data, summary)]).groups;
        Self {
            title: data.manifest.experiment.clone(),
            id: data.manifest.id.clone(),
            subject: Subject::Run,
            state: Some(state(data.state)),
            sentences: sentences::of_run(data, summary),
            not_tested: limits::limits(&[data], &groups),
            groups,
            totals: facts::tiles(summary),
            expectations: data.expectations.clone(),
            tables: TABLES.iter().filter_map(|build| build(data, summary)).collect(),
            plots: plots.drawn,
            not_drawn: plots.not_drawn,
            predictions: Vec::new(),
            traces: traces::of_run(data),
            completions: data.best.iter().map(|best| Completion::of(data, best)).collect(),
            profiles: profiles::profiles(layout),
            facts: facts::facts(data),
            repeat: facts::repeat(layout, data),
            fault_spans: facts::fault_spans(data),
            marks: facts::marks(data),
            experiment: facts::experiment(&layout.experiment()),
        }
    }

    /// Draws the plots and predictions that `analysis` names, of the run `data` that the report is about. They follow
    /// the first plot of [`PLOTS`], if it was drawn, and precede all others.
    pub fn draw_named(&mut self, data: &RunData, analysis: &Analysis, models: &dyn TextModels) {
        let mut plots = Plots::default();
        self.predictions = named::draw(data, analysis, models, &mut plots);
        plots.note_faults_left_out(data);
        let is_first = |drawn: &Drawn| PLOTS.first().is_some_and(|plot| plot.name() == drawn.name);
        let place = usize::from(self.plots.first().is_some_and(is_first));
        self.plots.splice(place..place, plots.drawn);
        self.not_drawn.splice(0..0, plots.not_drawn);
    }

    /// Creates the report of several runs that were read as one, for the analysis named `title`.
    pub fn of_runs(data: &RunData, summary: &Summary, layout: &Layout, title: &str, runs: &[Run]) -> Self {
        let ids: Vec<&str> = runs.iter().map(|run| run.manifest().id.as_str()).collect();
        let mut report = Self::of_run(data, summary, layout);
        // The folder of the analysis has no experiment file.
        report.repeat = String::new();
        report.experiment = String::new();
        title.clone_into(&mut report.title);
        report.id = counted(runs.len() as u64, "run", "runs");
        report.facts.insert(
            0,
            Fact {
                name: "runs",
                text: ids.join(", "),
            },
        );
        report
    }

    /// Creates the report of a group of runs.
    pub fn of_group(group: &GroupData) -> Self {
        group::report(group)
    }

    /// Returns the results in sentences, the answer first.
    pub fn sentences(&self) -> &[Sentence] {
        &self.sentences
    }

    /// Returns the labelled groups, each compared with its control.
    pub fn groups(&self) -> &[GroupPay] {
        &self.groups
    }

    /// Returns the CPU profiles. `None` if the run was not profiled.
    pub fn profiles(&self) -> Option<&Profiles> {
        self.profiles.as_ref()
    }

    /// Returns the table of labelled groups for a terminal of `width` characters. `None` if there is no group.
    pub fn groups_for_terminal(&self, width: usize) -> Option<String> {
        groups_for_terminal(&self.groups, width)
    }

    /// Writes the page to the directory of the run or group. The file is replaced atomically, so that a reader sees
    /// either the old or the new report.
    pub fn write(&self, layout: &Layout) -> Result<(), AnalysisError> {
        let path: PathBuf = layout.report();
        let page = self.to_html()?;
        mirror_files::replace(&path, page.as_bytes()).map_err(|source| AnalysisError::Write { path, source })
    }

    /// Returns the page as HTML.
    pub fn to_html(&self) -> Result<String, AnalysisError> {
        page::render(self)
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Done => "done",
        State::Failed => "failed",
        State::Interrupted => "interrupted",
    }
}
