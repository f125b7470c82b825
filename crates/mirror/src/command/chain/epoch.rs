//! `mirror chain epoch`: the chain as a calculator. Computes an epoch from its inputs, or checks that epochs come out
//! as expected.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use mirror_chain::epoch::case::{Algorithm, Case, Inputs};
use mirror_output::message;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::command::Status;

/// Largest file that is read, in bytes: inputs of 4,096 neurons with weights and bonds for 600 others each.
const MAX_BYTES: u64 = 64 << 20;

/// Number of differences of each case that are printed.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
pub(super) struct EpochArguments {
    /// JSON file: the inputs of an epoch, a case (`inputs`, `rao_emission`, `outputs`), or with --check many `cases`
    file: PathBuf,
    /// Algorithm; the inputs switch yuma3 and liquid alpha of `today` on
    #[arg(long, value_enum, default_value_t = Variant::Classic)]
    variant: Variant,
    /// Compares the outputs with those that the file expects; exit status 1 if any differ or none are expected
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Variant {
    /// Subtensor of June 2023; its expected outputs are at `v001`
    Classic,
    /// Subtensor of June 2026; its expected outputs are at `head`
    Today,
}

impl From<Variant> for Algorithm {
    fn from(variant: Variant) -> Self {
        match variant {
            Variant::Classic => Self::Classic,
            Variant::Today => Self::Today,
        }
    }
}

pub(super) fn epoch(arguments: &EpochArguments) -> anyhow::Result<Status> {
    match read(&arguments.file).and_then(|cases| computed(&cases, arguments)) {
        Ok(report) => {
            std::io::stdout().write_all(report.text.as_bytes())?;
            Ok(report.status)
        }
        Err(problem) => {
            message!("error: {}: {problem:#}", arguments.file.display());
            Ok(Status::Misused)
        }
    }
}

/// The printed text and the exit status.
struct Report {
    text: String,
    status: Status,
}

fn computed(cases: &[Case], arguments: &EpochArguments) -> anyhow::Result<Report> {
    let algorithm = arguments.variant.into();
    if arguments.check {
        return checked(cases, algorithm);
    }
    let [case] = cases else {
        bail!(
            "the file has {} cases: use --check to compare them with their expected outputs, or give the inputs of one",
            cases.len()
        );
    };
    let outputs = case.compute(algorithm)?;
    Ok(Report {
        text: serde_json::to_string(&outputs)? + "\n",
        status: Status::Done,
    })
}

fn checked(cases: &[Case], algorithm: Algorithm) -> anyhow::Result<Report> {
    let mut lines = Vec::new();
    let (mut met, mut different, mut skipped) = (0, 0, 0);
    for (place, case) in cases.iter().enumerate() {
        let name = match case.name.as_str() {
            "" => format!("case {}", place + 1),
            name => name.to_owned(),
        };
        let Some(expected) = case.expected(algorithm) else {
            skipped += 1;
            continue;
        };
        let outputs = case.compute(algorithm).with_context(|| name.clone())?;
        let differences = outputs.differences(expected);
        let shown = differences.iter().take(SHOWN);
        lines.extend(shown.map(|difference| format!("{name}: {difference}")));
        if let Some(more @ 1..) = differences.len().checked_sub(SHOWN) {
            lines.push(format!("{name}: {more} more differences"));
        }
        if differences.is_empty() {
            met += 1;
        } else {
            different += 1;
        }
    }
    lines.push(format!(
        "{met} as expected, {different} different, {skipped} skipped because they have no expected outputs\n"
    ));
    let status = if met > 0 && different == 0 {
        Status::Done
    } else {
        Status::Failed
    };
    Ok(Report {
        text: lines.join("\n"),
        status,
    })
}

/// The cases of a file.
fn read(path: &Path) -> anyhow::Result<Vec<Case>> {
    let text = mirror_files::read_at_most(File::open(path)?, MAX_BYTES)?;
    let too_large = || {
        format!(
            "more than {} MiB: too large for inputs of epochs",
            MAX_BYTES >> 20
        )
    };
    parsed(&text.with_context(too_large)?)
}

/// The members by which the three forms of a file are distinguished.
#[derive(Deserialize)]
struct Form {
    cases: Option<IgnoredAny>,
    inputs: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

fn parsed(text: &[u8]) -> anyhow::Result<Vec<Case>> {
    ensure!(
        text.trim_ascii_start().starts_with(b"{"),
        "not a JSON object: an epoch's inputs are one, with `n`, `stake`, `weights` and so on"
    );
    let form: Form = serde_json::from_slice(text)?;
    if form.cases.is_some() {
        let cases: Cases = serde_json::from_slice(text)?;
        Ok(cases.cases)
    } else if form.inputs.is_some() {
        Ok(vec![serde_json::from_slice(text)?])
    } else {
        let inputs: Inputs = serde_json::from_slice(text)?;
        Ok(vec![Case::of(inputs)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/yuma/yuma_vectors.json"
    );

    /// Two neurons: the first, with all stake, gives all weight to the second.
    const INPUTS: &str = r#"{"n": 2, "current_block": 100, "tempo": 99, "activity_cutoff": 5000,
        "last_update": [90, 0], "block_at_registration": [0, 0], "stake": [7, 0],
        "validator_permits": [true, false], "max_allowed_validators": 1, "weights": [[[1, 65535]], []],
        "bonds": [[], []], "kappa": 32767, "bonds_moving_average": 900000}"#;

    fn arguments(variant: Variant, check: bool) -> EpochArguments {
        EpochArguments {
            file: PathBuf::new(),
            variant,
            check,
        }
    }

    fn run(text: &str, variant: Variant, check: bool) -> anyhow::Result<Report> {
        computed(&parsed(text.as_bytes())?, &arguments(variant, check))
    }

    #[test]
    fn every_vector_is_met_and_those_without_outputs_are_counted() {
        let cases = read(Path::new(VECTORS)).unwrap();
        for (variant, summary) in [
            (Variant::Classic, "25 as expected, 0 different, 32 skipped"),
            (Variant::Today, "57 as expected, 0 different, 0 skipped"),
        ] {
            let report = computed(&cases, &arguments(variant, true)).unwrap();
            assert!(report.text.starts_with(summary), "{}", report.text);
            assert_eq!(report.status, Status::Done);
        }
    }

    #[test]
    fn inputs_give_outputs_in_the_form_of_the_vectors() {
        let report = run(INPUTS, Variant::Classic, false).unwrap();
        let outputs: serde_json::Value = serde_json::from_str(&report.text).unwrap();
        assert_eq!(outputs["emission"], serde_json::json!([500_000_000, 500_000_000]));
        assert_eq!(outputs["bonds"], serde_json::json!([[[1, 65_535]], []]));
        assert_eq!(report.status, Status::Done);
    }

    #[test]
    fn what_is_printed_is_what_is_expected_of_it() {
        for (variant, key) in [(Variant::Classic, "v001"), (Variant::Today, "head")] {
            let outputs = run(INPUTS, variant, false).unwrap().text;
            let case = format!(r#"{{"inputs": {INPUTS}, "outputs": {{"{key}": {outputs}}}}}"#);
            assert_eq!(run(&case, variant, true).unwrap().status, Status::Done);

            let paid_otherwise = case.replace("[500000000,500000000]", "[500000000,499999999]");
            let report = run(&paid_otherwise, variant, true).unwrap();
            let line = "case 1: emission[1]: expected 499999999, computed 500000000\n";
            assert!(report.text.contains(line), "{}", report.text);
            assert_eq!(report.status, Status::Failed);
        }
    }

    #[test]
    fn a_check_of_nothing_fails() {
        for text in [INPUTS, r#"{"cases": []}"#] {
            let report = run(text, Variant::Today, true).unwrap();
            assert!(report.text.starts_with("0 as expected"), "{}", report.text);
            assert_eq!(report.status, Status::Failed);
        }
    }

    #[track_caller]
    fn refused(text: &str, because: &str) {
        let problem = run(text, Variant::Today, false)
            .err()
            .expect("bad inputs are refused");
        let problem = format!("{problem:#}");
        assert!(problem.contains(because), "{problem}");
    }

    #[test]
    fn bad_files_are_refused_with_the_reason() {
        refused("", "not a JSON object");
        refused("[1, 2]", "not a JSON object");
        refused("{", "EOF while parsing");
        refused("{}", "missing field `n`");
        refused(r#"{"cases": []}"#, "the file has 0 cases: use --check");
        refused(r#"{"inputs": 3}"#, "invalid type: integer `3`");
        refused(&format!(r#"{{"inputs": {}"#, "[".repeat(100_000)), "at line 1");
        let changed = |from: &str, to: &str| {
            assert!(INPUTS.contains(from));
            INPUTS.replace(from, to)
        };
        refused(&changed("kappa", "kapa"), "unknown field `kapa`");
        refused(&changed("[7, 0]", "[7]"), "`stake` has 1 entries, but `n` is 2");
        refused(&changed("[7, 0]", "[-7, 0]"), "invalid value: integer `-7`");
        refused(&changed("[7, 0]", "[7.5, 0]"), "invalid type: floating point");
        refused(
            &changed("[7, 0]", "[18446744073709551615, 1]"),
            "the total stake is more than 9223372036854775807 rao",
        );
        refused(
            &changed(r#""n": 2"#, r#""n": 18446744073709551615"#),
            "`last_update` has 2 entries",
        );
        refused(
            &changed("[1, 65535]", "[2, 65535]"),
            "the weights of uid 0 contain uid 2, but there are only 2 neurons",
        );
        refused(
            &changed("[1, 65535]", "[1, 1], [1, 2]"),
            "the weights of uid 0 contain uid 1 twice",
        );
        refused(
            &changed("[1, 65535]", "[1, 65536]"),
            "invalid value: integer `65536`",
        );
        refused(
            &changed("900000", "1000001"),
            "the moving average of bonds is 1000001 millionths, but at most 1000000 are allowed",
        );
        refused(
            &changed("{", r#"{"owner_uid": 2, "#),
            "the owner is uid 2, but there are only 2 neurons",
        );
        refused(
            &changed("{", r#"{"commit_blocks": [1], "#),
            "1 commit blocks for 2 neurons",
        );
        refused(
            &changed(
                "{",
                r#"{"yuma3": true, "liquid_alpha": true, "alpha_low": 2, "alpha_high": 1, "#,
            ),
            "the lowest rate of liquid alpha, 2, is above its highest, 1",
        );
    }

    #[test]
    fn a_file_that_ends_anywhere_is_refused() {
        for end in 0..INPUTS.len() {
            refused(&INPUTS[..end], "");
        }
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let problem = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "more than 64 MiB: too large for inputs of epochs"
        );
    }
}
