//! Follows the page `docs/ask-a-question.md`: its file is valid, and its commands print what the page shows.

use std::iter::zip;

use mirror_tests::{TestEnv, duckdb};

const PAGE: &str = include_str!("../../docs/ask-a-question.md");

/// The blocks of code of this language, in the order of the page.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    let begins = PAGE.match_indices(&begin).map(|(start, _)| start + begin.len());
    let block = |start: usize| PAGE[start..].split("```").next().expect("a block has an end");
    begins.map(block).collect()
}

/// The lines that a block shows below its command.
fn shown(block: &'static str) -> impl Iterator<Item = &'static str> {
    let output = block.lines().skip_while(|line| line.starts_with(['$', ' ']));
    output.filter(|line| !line.starts_with(['…', '$']) && !line.contains(" runs/"))
}

/// The query in a command of a block, between quotation marks.
fn query(block: &'static str) -> &'static str {
    block.split('"').nth(1).expect("a query in quotation marks")
}

/// Relative difference between processors of a figure. libtorch adds in another order where the processor has other
/// vector instructions, and the rounding of its 32-bit numbers (2^-24) shows in the digits that follow.
const ROUNDING: f64 = 1e-6;

/// Returns whether a printed line is the line of the page. Numbers may differ by their rounding.
fn is_line(printed: &str, page: &str) -> bool {
    let is_word = |(printed, page): (&str, &str)| match (printed.parse::<f64>(), page.parse::<f64>()) {
        (Ok(printed), Ok(page)) => (printed - page).abs() <= ROUNDING * page.abs(),
        _ => printed == page,
    };
    let [printed, page] = [printed, page].map(|line| line.split([' ', ',', ')']).collect::<Vec<_>>());
    printed.len() == page.len() && zip(printed, page).all(is_word)
}

#[test]
fn the_page_shows_what_its_commands_print() {
    if duckdb().is_none() {
        return;
    }
    let env = TestEnv::new();
    let file = env.file("question.yml", blocks("yaml").concat());
    let [check, run, outcomes] = blocks("console")[..] else {
        panic!("the page has three commands with their output")
    };

    let checked = env.mirror(&["check", file]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    assert_eq!(
        checked.out.lines().collect::<Vec<_>>(),
        shown(check).collect::<Vec<_>>()
    );

    let ran = env.mirror(&["run", file, "--offline"]);
    assert_eq!(ran.status, Some(3), "{ran:?}");
    let mut lines = shown(run).peekable();
    assert!(lines.peek().is_some(), "the page shows the outcome");
    for line in lines {
        assert!(
            ran.out.lines().any(|printed| is_line(printed, line)),
            "{line}\nnot in {ran:?}"
        );
    }

    let answer = env.mirror(&["sql", "last-group", query(outcomes)]);
    assert_eq!(answer.status, Some(0), "{answer:?}");
    // Below the command, whose last line ends with the second quotation mark.
    let (_, output) = outcomes.rsplit_once("\"\n").expect("output below the command");
    assert_eq!(answer.out, output, "{answer:?}");
}
