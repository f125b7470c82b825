//! From a file's text to an experiment.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use mirror_spec::Experiment;
use mirror_spec::at::At;
use mirror_spec::key::HasKeys;

use crate::problem::{self, Finding, Problems};
use crate::rules::Walked;
use crate::tree::{self, Origin};
use crate::{check, forms, overrides, rules, spelling};

/// Bytes of a file, at most.
const MAX_FILE: usize = 4 << 20;
/// Bytes of a line, at most.
const MAX_LINE: usize = 64 << 10;

/// A file that can be run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says, every default filled in.
    pub experiment: Experiment,
    /// What it says without effect, or in an old way. No error is among them.
    pub warnings: Problems,
    /// The file as it was given.
    pub text: String,
}

/// Reads a file and checks it.
///
/// # Errors
/// All that is wrong with it, or that it cannot be read.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    load_with(path, &[])
}

/// Reads a file, puts overrides into it (`query.method.args.max_iter`, `50`), and checks the result.
///
/// # Errors
/// All that is wrong with it, or that it cannot be read.
pub fn load_with(path: &Path, overrides: &[(String, String)]) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    let refuse = |message: String, help: &str| {
        problem::place(
            &name,
            "",
            &[],
            vec![Finding::error(Origin::Default, message).with_help(help)],
        )
    };
    let bytes = read_bounded(path).map_err(|error| {
        refuse(
            format!("cannot be read: {error}"),
            "name an experiment file, as in `configs/quickstart.yml`",
        )
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => parse_with(&text, &name, overrides),
        Err(error) => {
            let sound = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let at = text[..sound].chars().count();
            let finding = Finding::error(
                Origin::File {
                    start: at,
                    end: at + 1,
                },
                "this is not UTF-8 text",
            )
            .with_help("save the file as UTF-8");
            Err(problem::place(&name, &text, &[], vec![finding]))
        }
    }
}

/// Checks the text of a file. `name` stands in front of every problem.
///
/// # Errors
/// All that is wrong with it.
pub fn parse(text: &str, name: &str) -> Result<Loaded, Problems> {
    parse_with(text, name, &[])
}

/// Checks the text of a file after overrides (`query.method.args.max_iter`, `50`) were put into it.
///
/// # Errors
/// All that is wrong with it; a problem of an override names it.
pub fn parse_with(text: &str, name: &str, overrides: &[(String, String)]) -> Result<Loaded, Problems> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut findings = Vec::new();
    let experiment = experiment(body, overrides, &mut findings);
    let problems = problem::place(name, body, overrides, findings);
    match experiment {
        Some(experiment) => Ok(Loaded {
            experiment,
            warnings: problems,
            text: text.to_owned(),
        }),
        None => Err(problems),
    }
}

/// The experiment, if there is no error among the findings.
fn experiment(text: &str, overrides: &[(String, String)], findings: &mut Vec<Finding>) -> Option<Experiment> {
    if let Some(finding) = too_large(text) {
        findings.push(finding);
        return None;
    }
    let mut root = tree::read(text, findings)?;
    let beginning = Origin::File { start: 0, end: 0 };
    if root.is_null() {
        findings.push(
            Finding::error(beginning, "the file is empty")
                .with_help("it needs one of the sections `model`, `data`, `query`, `analysis`"),
        );
        return None;
    }
    if !root.is_map() {
        findings.push(
            Finding::error(
                root.origin,
                format!("an experiment is a map of sections, not {}", root.describe()),
            )
            .with_help("it needs one of the sections `model`, `data`, `query`, `analysis`"),
        );
        return None;
    }
    overrides::apply(&mut root, overrides, findings);
    let corrected = spelling::correct(Experiment::KEYS, &mut root, findings);
    forms::fold(&mut root, findings);
    let (resolved, uids) = check::resolve(Experiment::KEYS, &root, &corrected, findings);
    let file = Walked {
        given: At::root(&root),
        resolved: At::root(&resolved),
        uids: &uids,
    };
    let mut broken = Vec::new();
    rules::check(file, &mut broken);
    // Of a key that was misspelt nothing else is said.
    broken.retain(|finding| !corrected.contains(&finding.origin()));
    findings.append(&mut broken);
    if findings.iter().any(Finding::is_error) {
        return None;
    }
    match serde_yaml::from_value(resolved.to_yaml()) {
        Ok(mut experiment) => {
            rules::settle(&mut experiment, file);
            rules::effect::check(&experiment, file, findings);
            (!findings.iter().any(Finding::is_error)).then_some(experiment)
        }
        Err(error) => {
            findings.push(Finding::error(
                beginning,
                format!("internal error: a value is in its range, and its type rejects it: {error}"),
            ));
            None
        }
    }
}

fn too_large(text: &str) -> Option<Finding> {
    if text.len() > MAX_FILE {
        let message = format!(
            "the file has {} bytes; an experiment has at most {MAX_FILE}",
            text.len()
        );
        return Some(
            Finding::error(Origin::Default, message).with_help("name data by its path, not by its content"),
        );
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.len() > MAX_LINE {
            let message = format!("this line has {} bytes; at most {MAX_LINE} are read", line.len());
            return Some(Finding::error(Origin::File { start, end: start }, message).with_help("break it"));
        }
        start += line.chars().count();
    }
    None
}

/// A file's bytes, one more than allowed at most: who counts them then refuses it.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
