//! Tests of the report in a real browser: every plot is drawn, there are no console messages, no text of a run is
//! executed, and tables can be sorted.

mod devtools;
#[path = "../made_up/mod.rs"]
mod made_up;

use made_up::{event, recorded, success, training, with_calls};
use mirror_analysis::{Report, RunData, Summary};
use mirror_proto::mirror::v1::Record;

/// Opens the report of a run in a browser and waits until every plot is drawn.
fn opened(records: &[Record]) -> Option<devtools::Page> {
    let recorded = recorded(records);
    let data = RunData::read(&recorded.run).unwrap();
    let layout = recorded.run.layout();
    Report::of_run(&data, &Summary::of(&data), layout)
        .write(layout)
        .unwrap();
    let mut page = devtools::open(&layout.report())?;
    page.wait_for("document.documentElement.dataset.plots");
    Some(page)
}

#[test]
fn a_browser_draws_every_plot_without_errors_and_executes_no_text() {
    let mut hostile = success(0, 9.0, 0.1);
    hostile.completion =
        "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
            .to_owned();
    let mut records = training(40, 16);
    records.push(with_calls(event(40, 0), vec![hostile]));
    let Some(mut page) = opened(&records) else {
        return;
    };
    assert_eq!(page.evaluate("document.title"), "quick start – Mirror Neuron");
    let drawn = page.evaluate("document.documentElement.dataset.plots");
    let sections = "[...document.querySelectorAll('.plot-section')].map((section) => section.id)";
    let names: Vec<String> = serde_json::from_value(page.evaluate(sections)).expect("a list of names");
    assert_eq!(drawn, names.len().to_string());
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let has_chart = format!("document.querySelector('#plot-{name} .main-svg') !== null");
        assert_eq!(page.evaluate(&has_chart), true, "{name} is not drawn");
    }
    assert_eq!(page.console(), [] as [String; 0]);
}

/// A click on a heading sorts by its column, and the next click reverses the order.
#[test]
fn a_click_on_a_heading_sorts_the_table() {
    let Some(mut page) = opened(&training(40, 16)) else {
        return;
    };
    let heading = "[...document.querySelectorAll('table.sortable th button')].find((one) => one.textContent === 'calls')";
    let column = format!("{heading}.parentElement.cellIndex");
    let column = page.evaluate(&column).as_u64().expect("the table has the column");
    let numbers = |page: &mut devtools::Page| -> Vec<f64> {
        let cells = page.evaluate(&format!(
            "[...{heading}.closest('table').tBodies[0].rows].map((row) => Number(row.cells[{column}].textContent.replaceAll(',', '')))"
        ));
        serde_json::from_value(cells).expect("every row has a number of calls")
    };
    let mut ascending = numbers(&mut page);
    ascending.sort_by(f64::total_cmp);
    assert!(
        ascending.first() < ascending.last(),
        "all rows are equal, so that no order is visible"
    );
    let descending: Vec<f64> = ascending.iter().rev().copied().collect();

    page.click(heading);
    assert_eq!(numbers(&mut page), descending);
    assert_eq!(
        page.evaluate(&format!("{heading}.parentElement.ariaSort")),
        "descending"
    );
    page.click(heading);
    assert_eq!(numbers(&mut page), ascending);
    assert_eq!(
        page.evaluate(&format!("{heading}.parentElement.ariaSort")),
        "ascending"
    );
    assert_eq!(page.console(), [] as [String; 0]);
}
