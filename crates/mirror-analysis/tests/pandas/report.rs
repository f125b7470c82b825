//! Reports of runs as JSON.

use std::collections::BTreeMap;

use mirror_analysis::{Report, RunData, Summary};
use mirror_runs::Run;
use serde_json::Value;

/// Returns the report of a run, as JSON and as a page.
pub(crate) fn report_and_page(run: &Run) -> (Value, String) {
    let data = RunData::read(run).unwrap();
    let report = Report::of_run(&data, &Summary::of(&data), run.layout());
    (serde_json::to_value(&report).unwrap(), report.to_html().unwrap())
}

pub(crate) fn report_of(run: &Run) -> Value {
    report_and_page(run).0
}

/// Returns the plots of a report by name.
pub(crate) fn by_name(report: &Value) -> BTreeMap<&str, &Value> {
    named(&report["plots"])
}

/// Returns the reasons of a report why plots are not drawn, by the name of the plot.
pub(crate) fn reasons(report: &Value) -> BTreeMap<&str, &str> {
    let not_drawn = named(&report["not_drawn"]).into_iter();
    not_drawn
        .map(|(name, plot)| (name, plot["why"].as_str().expect("there is a reason")))
        .collect()
}

fn named(list: &Value) -> BTreeMap<&str, &Value> {
    let list = list.as_array().expect("a report has a list of plots").iter();
    list.map(|plot| (plot["name"].as_str().expect("a plot has a name"), plot))
        .collect()
}
