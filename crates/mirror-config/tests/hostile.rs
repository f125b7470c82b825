//! Tests of malicious input: every text is either read or rejected, without a panic and within bounds.

use mirror_config::{parse, parse_with, to_yaml};
use proptest::prelude::*;

const SAMPLE: &str = include_str!("../../../configs/quickstart.yml");

#[track_caller]
fn refused(text: &str, word: &str) {
    let problems = parse(text, "hostile.yml").expect_err("the text is rejected");
    assert!(problems.plain().contains(word), "{}", problems.plain());
    assert!(!problems.graphical().is_empty());
    assert!(problems.problems.len() <= 101);
}

#[test]
fn nesting_is_bounded() {
    refused(&format!("model: {}", "[".repeat(60_000)), "");
    refused(
        &format!("model: {}{}", "[".repeat(100), "]".repeat(100)),
        "levels deep",
    );
    refused(
        &format!("model: {}{}", "{a: ".repeat(100), "}".repeat(100)),
        "levels deep",
    );
    let steps: String = (0..1_000).map(|depth| " ".repeat(depth) + "a:\n").collect();
    refused(&steps, "levels deep");
    refused(&format!("model:\n{}", "- ".repeat(10_000)), "");
}

#[test]
fn aliases_are_counted_at_each_use() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..=9 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb = format!("{bomb}a{level}: &a{level} [{uses}]\n");
    }
    refused(&bomb, "more than 200000 values");
}

#[test]
fn size_is_bounded() {
    refused(&"#\n".repeat(3 << 20), "an experiment may have at most");
    refused(&format!("model: {}", "x".repeat(70_000)), "bytes");
    refused(&"- 1\n".repeat(500_000), "more than 200000 values");
    let keys: String = (0..50_000).map(|key| key.to_string() + ": 1\n").collect();
    refused(&keys, "more problems are not shown");
    refused(&format!("analysis: {{plot: {{{}: 3}}}}", "y".repeat(60_000)), "");
}

/// Names that are similar to known ones, and sets of very many uids, do not take longer than others.
#[test]
fn misspelt_names_and_sets_of_uids_are_bounded() {
    let near = |key: &str, count: u32| -> String {
        let letters = (0..count).filter_map(|letter| char::from_u32(0x4e00 + letter));
        let lines: Vec<String> = letters.map(|letter| format!("    {key}{letter}: 1\n")).collect();
        lines.concat()
    };
    let rules = format!("network:\n  hyperparameters:\n{}", near("temp", 20_000));
    refused(&rules, "did you mean `tempo`?");
    refused(
        &format!("model:\n  subtensor:\n{}", near("nam", 20_000)),
        "did you mean `name`?",
    );
    let falling: Vec<String> = (0..9_000).rev().map(|uid: u32| (2 * uid).to_string()).collect();
    let group = format!(
        "    - uids: \"{0}\"\n      behaviour: copycat\n      victims: \"{0}\"\n",
        falling.join(",")
    );
    let (before, _) = SAMPLE.split_once("\nnetwork:").expect("the sample has a network");
    let groups = format!("{before}\nnetwork:\n  miners:\n{}", group.repeat(30));
    refused(&groups, "would copy itself");
    let large = format!("{before}\nnetwork: {{miners: [{{uids: 0-65536}}]}}\n");
    refused(&large, "the maximum is 65535");
}

/// Each of 20,000 keys names all uids, and only the last of them is named by another key: comparing uid by uid would
/// take more than 10^9 comparisons.
#[test]
fn keys_that_name_all_uids_are_bounded() {
    let zeros = |count: usize| "0".repeat(count);
    let keys = (0..20_000).map(|key| {
        format!(
            "        \"{}0-{}65535\": 0.5\n",
            zeros(key / 160),
            zeros(key % 160)
        )
    });
    let rates = format!(
        "builtin\n      fail_rate:\n        65535: 0.5\n{}",
        keys.collect::<String>()
    );
    let pool = "  dendrite_pool:\n    name: DummyDendritePool\n    args:\n      data_path: ";
    let file = format!(
        "model:\n  id: m\n  gating_model: RandomGatingModel\n  reward_model: RandomRewardModel\n{pool}{rates}"
    );
    assert!(file.len() > 3 << 20);
    refused(
        &file,
        "uid 65535 is named twice in `model.dendrite_pool.args.fail_rate`",
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_are_read_or_rejected(
        cuts in prop::collection::vec((0..SAMPLE.len(), 0..40_usize, "[-\\[\\]{}:,#&*!|>'\"%@` \n\tx0-9.~é]{0,8}"), 1..6)
    ) {
        let mut text: Vec<char> = SAMPLE.chars().collect();
        for (at, length, insert) in cuts {
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        match parse(&text, "changed.yml") {
            Ok(loaded) => {
                let again = parse(&to_yaml(&loaded.experiment), "again.yml").expect("a resolved file is valid");
                prop_assert_eq!(again.experiment, loaded.experiment);
            }
            Err(problems) => {
                prop_assert!(problems.has_errors());
                for place in problems.problems.iter().filter_map(|problem| problem.place) {
                    prop_assert!(text.get(place.offset..place.offset + place.length).is_some());
                }
                prop_assert!(!problems.plain().is_empty() && !problems.graphical().is_empty());
            }
        }
    }

    #[test]
    fn any_text_is_read_or_rejected(text in "\\PC{0,200}|[-\\[\\]{}:,#&*!|>'\"%@` \n\ta-c0-2~]{0,200}") {
        if let Err(problems) = parse(&text, "any.yml") {
            prop_assert!(problems.has_errors());
            prop_assert!(!problems.graphical().is_empty());
        }
    }

    #[test]
    fn any_override_is_applied_or_rejected(path in "[a-z_.0]{0,30}", value in "\\PC{0,40}") {
        if let Err(problems) = parse_with(SAMPLE, "a.yml", &[(path, value)]) {
            prop_assert!(problems.has_errors());
        }
    }

    /// Strings survive being written and read again: those that YAML would parse as a number or a boolean are quoted.
    #[test]
    fn strings_survive_a_resolved_file(id in "[-0-9a-fxo+._eEnuly~ :#']{1,12}|true|007|1_0|0x1F|\\PC{1,12}") {
        let mut experiment = parse(SAMPLE, "a.yml").expect("the quick start is valid").experiment;
        if let Some(query) = &mut experiment.query {
            query.id.clone_from(&id);
        }
        experiment.analysis = None;
        let again = parse(&to_yaml(&experiment), "again.yml").expect("a resolved file is valid");
        prop_assert_eq!(again.experiment, experiment);
    }
}
