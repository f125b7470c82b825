//! The page in a real browser, where there is one: every plot is drawn, nothing is complained of, no text of a run runs.

mod made_up;

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use made_up::{event, recorded, success, training, with_calls};
use mirror_analysis::{RunData, Summary, plots, write_report};

/// What a browser made of a page.
struct Opened {
    document: String,
    console: Vec<String>,
}

/// None where there is no browser, with a word about it.
fn open_in_browser(page: &Path) -> Option<Opened> {
    let profile = tempfile::tempdir().unwrap();
    let opened = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args([
            "--enable-logging=stderr",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .output();
    let output = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: there is no chromium to open the page in");
            return None;
        }
        opened => opened.unwrap(),
    };
    let log = String::from_utf8_lossy(&output.stderr);
    Some(Opened {
        document: String::from_utf8_lossy(&output.stdout).into_owned(),
        console: log
            .lines()
            .filter(|line| line.contains(":CONSOLE"))
            .map(str::to_owned)
            .collect(),
    })
}

#[test]
fn a_browser_draws_every_plot_without_a_complaint_and_runs_no_text() {
    let mut hostile = success(0, 9.0, 0.1);
    hostile.completion =
        "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
            .to_owned();
    let mut records = training(40, 16);
    records.push(with_calls(event(40, 0), vec![hostile]));
    let recorded = recorded(&records);
    let data = RunData::read(&recorded.run).unwrap();
    let layout = recorded.run.layout();
    write_report(&data, &Summary::of(&data), layout).unwrap();

    let Some(opened) = open_in_browser(&layout.report()) else {
        return;
    };
    assert_eq!(opened.console, Vec::<String>::new());
    assert!(
        opened
            .document
            .contains("<title>quick start – Mirror Neuron</title>")
    );
    let drawn = format!("data-plots=\"{}\"", plots::PLOTS.len());
    assert!(opened.document.contains(&drawn), "the script came to its end");
    for plot in plots::PLOTS {
        let (_, place) = opened
            .document
            .split_once(&format!("id=\"plot-{}\"", plot.name()))
            .unwrap();
        let (place, _) = place.split_once("</section>").unwrap();
        assert!(
            place.contains("class=\"main-svg\""),
            "{} is not drawn",
            plot.name()
        );
    }
    assert!(
        opened.document.contains("<button type=\"button\">calls</button>"),
        "tables sort"
    );
}
