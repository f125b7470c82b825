//! Tests of the report in a real browser: every plot is drawn, there are no console messages, no text of a run is
//! executed, and tables can be sorted.

mod devtools;
#[path = "../made_up/mod.rs"]
mod made_up;

use made_up::spans::{recorded_with_spans, slowed_step, step, trace_id, trace_id_text};
use made_up::{Recorded, changed, event, fault, recorded, success, training, with_calls};
use mirror_analysis::{Report, RunData, Summary};
use mirror_proto::mirror::v1::Record;
use mirror_runs::telemetry::Summary as Counts;
use serde_json::json;

/// Opens the report of a run in a browser and waits until every plot is drawn.
fn opened(records: &[Record]) -> Option<devtools::Page> {
    opened_run(&recorded(records))
}

fn opened_run(recorded: &Recorded) -> Option<devtools::Page> {
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

/// A fault is a rectangle from its beginning to its end, in plots over steps and over forwards. Its name is plain text.
#[test]
fn faults_are_shaded_in_every_plot_over_time() {
    let who = "uid 1<img src=x onerror=\"document.title='taken'\">";
    let faults = [
        fault("slow", 0, "link", who, 10, false),
        fault("slow", 0, "link", who, 14, true),
    ];
    let mut records = training(40, 16);
    records.extend(faults.map(changed));
    let Some(mut page) = opened(&records) else {
        return;
    };
    let shaded = |name: &str, bound: &str| {
        format!(
            "document.getElementById('plot-{name}').layout.shapes.filter(({{ type }}) => type === 'rect').map((shape) => shape.{bound})"
        )
    };
    // A step has two forwards.
    for (name, from, to) in [("call_time", 10, 14), ("reward_lines", 20, 28)] {
        let bounds = [shaded(name, "x0"), shaded(name, "x1")].map(|bound| page.evaluate(&bound));
        assert_eq!(bounds, [json!([from]), json!([to])], "{name}");
        let drawn = format!("document.querySelectorAll('#plot-{name} .shapelayer path').length >= 1");
        assert_eq!(page.evaluate(&drawn), true, "{name}");
    }
    assert_eq!(page.evaluate(&shaded("calls_by_uid", "x0")), json!([]));
    assert_eq!(page.evaluate("document.title"), "quick start – Mirror Neuron");
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

/// Text in the field of the navigation selects uids in every table and plot.
#[test]
fn selected_uids_are_the_only_ones_in_tables_and_plots() {
    let Some(mut page) = opened(&training(40, 16)) else {
        return;
    };
    page.evaluate("(() => { const field = document.getElementById('uids'); field.value = '3, 7-9'; field.dispatchEvent(new Event('input')); })()");
    let rows = "[...document.querySelectorAll('tr[data-uid]')].filter((row) => !row.hidden).map((row) => row.dataset.uid).sort()";
    assert_eq!(page.evaluate(rows), serde_json::json!(["3", "7", "8", "9"]));
    let of_plot = |name: &str, axis: &str| format!("document.getElementById('plot-{name}').data[0].{axis}");
    // The plots are drawn once the input has rested.
    page.wait_for(&format!("{}.length === 4", of_plot("calls_by_uid", "x")));
    assert_eq!(
        page.evaluate(&of_plot("rewards_by_uid", "y")),
        serde_json::json!(["3", "7", "8", "9"])
    );
    assert_eq!(
        page.evaluate(&of_plot("calls_by_uid", "x")),
        serde_json::json!(["3", "7", "8", "9"])
    );
    // A click on a row removes its uid from the selection.
    page.click("document.querySelector('tr[data-uid=\"8\"]')");
    assert_eq!(page.evaluate(rows), serde_json::json!(["3", "7", "9"]));
    assert_eq!(page.evaluate("document.getElementById('uids').value"), "3, 7, 9");
    page.evaluate("(() => { const field = document.getElementById('uids'); field.value = ''; field.dispatchEvent(new Event('input')); })()");
    let all = page.evaluate(rows);
    assert_eq!(all.as_array().map(Vec::len), Some(17));
    assert_eq!(page.console(), [] as [String; 0]);
}

/// A search hides the rows without its words, and the export has the rows that are shown, with unformatted numbers.
#[test]
fn a_table_is_searched_and_exported() {
    let Some(mut page) = opened(&training(40, 16)) else {
        return;
    };
    let entry = "tables.find(({ table }) => table.dataset.name === 'uids')";
    page.evaluate(&format!("(() => {{ const entry = {entry}; entry.search.value = 'validator'; entry.search.dispatchEvent(new Event('input')); }})()"));
    let shown = page.evaluate(&format!("{entry}.shown.textContent"));
    assert_eq!(shown, "0 of 17 rows");
    page.evaluate(&format!("(() => {{ const entry = {entry}; entry.search.value = ''; entry.search.dispatchEvent(new Event('input')); }})()"));
    let csv = page.evaluate(&format!("csvOf({entry})"));
    let csv = csv.as_str().expect("the export is a text");
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1 + 17);
    let headings: Vec<&str> = lines[0].split(',').collect();
    let success = headings
        .iter()
        .position(|heading| *heading == "success rate")
        .expect("the table has the column");
    let rates: Vec<f64> = lines[1..]
        .iter()
        .filter_map(|line| line.split(',').nth(success)?.parse().ok())
        .collect();
    assert_eq!(
        rates.len(),
        16,
        "the rate of every miner is a plain number: {csv}"
    );
    assert!(rates.iter().all(|rate| (0.0..=1.0).contains(rate)), "{rates:?}");
    // A cell with a comma, a quotation mark or a line break is quoted.
    let quoted = page.evaluate(
        "(() => { const table = document.createElement('table'); table.innerHTML = \
         '<thead><tr><th>a</th></tr></thead><tbody><tr><td></td></tr></tbody>'; \
         table.tBodies[0].rows[0].cells[0].textContent = 'x, \"y\"\\nz'; return csvOf({ table }); })()",
    );
    assert_eq!(quoted, "a\r\n\"x, \"\"y\"\"\nz\"\r\n");
    assert_eq!(page.console(), [] as [String; 0]);
}

/// The smoothing of a line is the exponentially weighted mean with normalised weights.
#[test]
fn lines_are_smoothed() {
    let Some(mut page) = opened(&training(40, 16)) else {
        return;
    };
    page.evaluate("smoothing = 0.5");
    // Weights 1/2, 1/4, 1/8, divided by their sum. A gap remains.
    assert_eq!(
        page.evaluate("smoothed([4, null, 1, 2]).map((value) => value === null ? null : value.toFixed(6))"),
        serde_json::json!(["4.000000", null, "2.000000", "2.000000"])
    );
    let before = page.evaluate("document.getElementById('plot-call_time').data.at(-1).y.length");
    page.evaluate("(() => { const slider = document.getElementById('smoothing'); slider.value = '0.9'; slider.dispatchEvent(new Event('input')); })()");
    assert_eq!(
        page.evaluate("document.getElementById('plot-call_time').data.at(-1).y.length"),
        before
    );
    assert_eq!(page.console(), [] as [String; 0]);
}

/// On a phone the page is as wide as the screen, and the navigation is folded and stays in view.
#[test]
fn the_page_fits_a_phone() {
    let Some(mut page) = opened(&training(40, 16)) else {
        return;
    };
    page.set_screen(390, 800);
    page.wait_for("!document.querySelector('nav details').open");
    page.wait_for("document.documentElement.scrollWidth === 390");
    page.evaluate("document.getElementById('about').scrollIntoView({ behavior: 'instant' })");
    assert_eq!(
        page.evaluate("Math.round(document.querySelector('nav').getBoundingClientRect().top)"),
        0
    );
    assert_eq!(page.console(), [] as [String; 0]);
}

/// A click on a slow step opens its waterfall, in which the call of the slowed uid names the rule. A link from the
/// table of events opens that of its step.
#[test]
fn a_slow_step_opens_its_waterfall() {
    let mut spans = step(0, &[10; 5]);
    spans.extend(slowed_step(1, &[10, 10, 10, 310, 10], 3));
    let of_step = |step| {
        let mut event = event(step, 0);
        event.trace_id = trace_id(step).to_vec();
        with_calls(event, vec![success(0, 0.5, 0.1)])
    };
    let records: Vec<Record> = (0..2).map(of_step).collect();
    let recorded = recorded_with_spans(&records, &spans, &Counts::default());
    let Some(mut page) = opened_run(&recorded) else {
        return;
    };
    let waterfall = |step| format!("document.getElementById('trace-{}')", trace_id_text(step));
    let is_visible = |step| format!("{}.checkVisibility()", waterfall(step));
    assert_eq!(page.evaluate(&is_visible(1)), false);
    let first = "document.querySelector('#traces details.step summary')";
    let text = page.evaluate(&format!("{first}.textContent"));
    let text = text.as_str().expect("a text");
    for part in ["step 1", "(uid 16)", "uid 3", "link", "rule slow/latency"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    page.click(first);
    page.wait_for(&is_visible(1));
    let row = format!(
        "[...{}.querySelectorAll('tbody tr')].find((row) => row.textContent.includes('dendrite.forward 3'))",
        waterfall(1)
    );
    let remark = page.evaluate(&format!("{row}.querySelector('.remark').textContent"));
    assert_eq!(remark, "rules: slow/latency");
    // The step takes 313 ms. The call begins after 1 ms and takes 310 ms.
    let share = |edge: &str| {
        format!(
            "(() => {{ const bar = {row}.querySelector('.time span').getBoundingClientRect(); \
             const cell = {row}.querySelector('.time'); const style = getComputedStyle(cell); \
             const left = cell.getBoundingClientRect().left + parseFloat(style.paddingLeft); \
             const width = cell.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight); \
             return (bar.{edge} - left) / width; }})()"
        )
    };
    for (edge, expected) in [("left", 1.0 / 313.0), ("right", 311.0 / 313.0)] {
        let found = page.evaluate(&share(edge)).as_f64().expect("a number");
        assert!((found - expected).abs() < 0.02, "{edge}: {found}, not {expected}");
    }

    assert_eq!(page.evaluate(&is_visible(0)), false);
    page.click(&format!(
        "document.querySelector('#events a[href=\"#trace-{}\"]')",
        trace_id_text(0)
    ));
    page.wait_for(&is_visible(0));
    assert_eq!(page.console(), [] as [String; 0]);
}

/// In dark mode the text of plots has the colours of the page.
#[test]
fn plots_follow_the_colour_scheme() {
    let Some(mut page) = opened(&training(40, 16)) else {
        return;
    };
    let color = "document.getElementById('plot-calls_by_uid').layout.font.color";
    let light = page.evaluate(color);
    page.set_color_scheme("dark");
    page.wait_for(&format!("{color} !== {light}"));
    assert_eq!(page.console(), [] as [String; 0]);
}

/// Returns for each page of a PDF the share of its height down to the last text or line.
fn filled_pages(pdf: &[u8]) -> Option<Vec<f64>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pdf).unwrap();
    let script = "
import pypdfium2
document = pypdfium2.PdfDocument(data)
result = []
for page in document:
    picture = page.render(scale=0.5).to_numpy()
    rows = (picture.min(axis=(1, 2)) < 200).nonzero()[0]
    result.append(float(rows.max() / picture.shape[0]) if len(rows) else 0.0)
";
    let path = serde_json::json!(file.path());
    let shares = mirror_test_support::Python::find()?.run(script, &path);
    Some(serde_json::from_value(shares).expect("a list of numbers"))
}

/// In print, no page is mostly empty: the text and plots of the pages but the last fill them.
#[test]
fn the_page_is_printed_without_half_empty_pages() {
    let Some(mut page) = opened(&training(40, 16)) else {
        return;
    };
    let pdf = page.print();
    assert!(pdf.starts_with(b"%PDF-"), "the browser prints a PDF");
    let Some(filled) = filled_pages(&pdf) else {
        return;
    };
    assert!(filled.len() > 1, "{filled:?}");
    for (number, share) in filled[..filled.len() - 1].iter().enumerate() {
        assert!(
            *share > 0.5,
            "page {} is filled to {share}: {filled:?}",
            number + 1
        );
    }
}

/// Each plot is a PNG of 1600 × 900 pixels. The size is in the header of the file: <https://www.w3.org/TR/png/#11IHDR>.
#[test]
fn plots_are_written_as_png() {
    if !devtools::is_installed() {
        return;
    }
    let recorded = recorded(&training(40, 16));
    let data = RunData::read(&recorded.run).unwrap();
    let report = Report::of_run(&data, &Summary::of(&data), recorded.run.layout());
    let folder = tempfile::tempdir().unwrap();
    let pictures = report.write_pictures(folder.path()).unwrap();
    assert!(pictures.len() > 5, "{pictures:?}");
    for picture in pictures {
        let png = std::fs::read(&picture).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n", "{}", picture.display());
        let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!((size(16), size(20)), (1600, 900), "{}", picture.display());
    }
}
