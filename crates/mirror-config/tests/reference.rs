//! Tests that the reference of the experiment file matches the declared keys.

use mirror_config::{parse, reference};

const REFERENCE: &str = include_str!("../../../docs/experiment-file.md");

#[test]
fn the_page_matches_the_declared_keys() {
    let updated = reference::update(REFERENCE).expect("every marker names a part");
    assert!(
        updated == REFERENCE,
        "docs/experiment-file.md is not up to date: run `cargo xtask doc`"
    );
}

#[test]
fn a_missing_or_unknown_part_is_an_error() {
    let (before, part) = REFERENCE
        .split_once("<!-- keys of model.neuron -->\n")
        .expect("the page has this part");
    let (_, after) = part
        .split_once("<!-- end -->\n")
        .expect("the part has an end marker");
    let reported = reference::update(&[before, after].concat()).expect_err("a table is missing");
    assert!(reported.contains("model.neuron"), "{reported}");
    let unknown = REFERENCE.replace("keys of model.neuron", "keys of model.neurone");
    let reported = reference::update(&unknown).expect_err("no such table is declared");
    assert!(reported.contains("model.neurone"), "{reported}");
    let endless = REFERENCE.replace("<!-- end -->\n", "");
    let reported = reference::update(&endless).expect_err("the first part has no end");
    assert!(reported.contains("is not followed by"), "{reported}");
}

#[test]
fn the_examples_are_valid() {
    let mut examples = 0;
    for block in REFERENCE.split("```yaml\n").skip(1) {
        let (example, _) = block.split_once("```").expect("every code block is closed");
        if let Err(problems) = parse(example, "docs/experiment-file.md") {
            panic!("{}\n{example}", problems.plain());
        }
        examples += 1;
    }
    assert!(examples > 0);
}
