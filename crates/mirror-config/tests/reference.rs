//! The reference of the experiment file says what the declarations say.

use mirror_config::{parse, reference};

const REFERENCE: &str = include_str!("../../../docs/experiment-file.md");

#[test]
fn the_page_is_what_the_declarations_make_of_it() {
    let updated = reference::update(REFERENCE).expect("every marker names a part");
    assert!(
        updated == REFERENCE,
        "docs/experiment-file.md is not up to date: run `cargo xtask doc`"
    );
}

#[test]
fn a_part_that_is_missing_or_named_wrongly_is_told() {
    let (before, part) = REFERENCE
        .split_once("<!-- keys of model.neuron -->\n")
        .expect("the page has it");
    let (_, after) = part.split_once("<!-- end -->\n").expect("it ends");
    let told = reference::update(&[before, after].concat()).expect_err("a table is missing");
    assert!(told.contains("model.neuron"), "{told}");
    let unknown = REFERENCE.replace("keys of model.neuron", "keys of model.neurone");
    let told = reference::update(&unknown).expect_err("no such table is declared");
    assert!(told.contains("model.neurone"), "{told}");
    let endless = REFERENCE.replace("<!-- end -->\n", "");
    let told = reference::update(&endless).expect_err("the first part has no end");
    assert!(told.contains("is not followed by"), "{told}");
}

#[test]
fn the_examples_are_sound() {
    let mut examples = 0;
    for block in REFERENCE.split("```yaml\n").skip(1) {
        let (example, _) = block.split_once("```").expect("a block that is opened is closed");
        if let Err(problems) = parse(example, "docs/experiment-file.md") {
            panic!("{}\n{example}", problems.plain());
        }
        examples += 1;
    }
    assert!(examples > 0);
}
