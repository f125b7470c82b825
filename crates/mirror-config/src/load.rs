//! Reads the text of a file into an experiment.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use mirror_spec::at::At;
use mirror_spec::key::HasKeys;
use mirror_spec::{Experiment, Fault, ValueError};

use crate::problem::{self, Finding, Problem, Problems};
use crate::rules::Walked;
use crate::tree::{self, Node, Origin};
use crate::{check, forms, overrides, rules, spelling};

/// Maximum size of a file, in bytes.
const MAX_FILE: usize = 4 << 20;
/// Maximum length of a line, in bytes.
const MAX_LINE: usize = 64 << 10;

/// A file without errors.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The experiment, with every default filled in.
    pub experiment: Experiment,
    /// The warnings, such as settings without effect and outdated forms. Contains no errors.
    pub warnings: Problems,
    /// The text of the file, without the overrides.
    pub text: String,
    source: Source,
}

/// The places of the values of a file.
#[derive(Debug, Clone)]
struct Source {
    /// The values with their places.
    tree: Node,
    overrides: Vec<(String, String)>,
    /// The warnings, with their places.
    warnings: Vec<Finding>,
}

impl Loaded {
    /// Returns the warnings together with errors of values, each at the place of its value. If a value is a default,
    /// the place is that of the map that does not contain it.
    pub fn with_errors(&self, errors: &[ValueError]) -> Problems {
        let Source {
            tree,
            overrides,
            warnings,
        } = &self.source;
        let mut findings = warnings.clone();
        findings.extend(errors.iter().map(|error| {
            Finding::error(tree.nearest_origin(&error.path), error.message.clone())
                .with_help(error.help.clone())
        }));
        problem::place(&self.warnings.file, body(&self.text), overrides, findings)
    }

    /// Reads one entry of `faults`, written in YAML, for the network of this file. Returns it with the warnings about
    /// it.
    ///
    /// # Errors
    /// Returns every problem of the entry if one of them is an error.
    pub fn fault(&self, text: &str) -> Result<(Fault, Vec<Problem>), Vec<Problem>> {
        let text = text.trim();
        let list = if text.starts_with("- ") {
            text.to_owned()
        } else {
            format!("- {}", text.replace('\n', "\n  "))
        };
        let own = self.source.overrides.len();
        // The faults of the file are left out, but the uids of their miners may be named.
        let uids = self.experiment.uids_for_newcomers();
        let read_with = |room: u32, findings: &mut Vec<Finding>| {
            let mut overrides = self.source.overrides.clone();
            overrides.push(("faults".to_owned(), list.clone()));
            overrides.push(("network.room_for".to_owned(), room.to_string()));
            experiment(body(&self.text), &overrides, findings)
        };
        let mut findings = Vec::new();
        let mut read = read_with(uids, &mut findings);
        let joining: u32 = read
            .iter()
            .flat_map(|(read, _)| &read.faults)
            .map(Fault::newcomers)
            .sum();
        if joining > 0 {
            // The miners of this fault are among those for which there are uids.
            findings.clear();
            read = read_with(uids.saturating_sub(joining), &mut findings);
        }
        let about = |finding: &Finding| finding.is_error() || finding.origin().overridden_by() == Some(own);
        let mut problems: Vec<Problem> = findings
            .into_iter()
            .filter(about)
            .map(Finding::without_place)
            .collect();
        let mut faults = read.map(|(experiment, _)| experiment.faults).unwrap_or_default();
        match (faults.pop(), faults.is_empty()) {
            (Some(fault), true) => Ok((fault, problems)),
            (fault, _) => {
                if fault.is_some() || problems.is_empty() {
                    let message = "exactly one fault is expected";
                    let finding = Finding::error(Origin::Default, message)
                        .with_help("write one entry of `faults`, such as `{kill: uid 5, restart_after: 5s}`");
                    problems.push(finding.without_place());
                }
                Err(problems)
            }
        }
    }
}

/// Reads a file and checks it.
///
/// # Errors
/// Returns every problem of the file if one of them is an error, or the error that the file cannot be read.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    load_with(path, &[])
}

/// Reads a file, applies overrides such as (`query.method.args.max_iter`, `50`), and checks the result.
///
/// # Errors
/// Returns every problem of the file if one of them is an error, or the error that the file cannot be read.
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
            format!("the file cannot be read: {error}"),
            "give the path of an experiment file, such as `configs/quickstart.yml`",
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
                "the file is not UTF-8 text",
            )
            .with_help("save the file as UTF-8");
            Err(problem::place(&name, &text, &[], vec![finding]))
        }
    }
}

/// Checks the text of a file. Every problem is printed with `name` as the name of the file.
///
/// # Errors
/// Returns every problem of the file if one of them is an error.
pub fn parse(text: &str, name: &str) -> Result<Loaded, Problems> {
    parse_with(text, name, &[])
}

/// Applies overrides such as (`query.method.args.max_iter`, `50`) to the text of a file and checks the result.
///
/// # Errors
/// Returns every problem of the file if one of them is an error. The message of a problem in an override names the
/// override.
pub fn parse_with(text: &str, name: &str, overrides: &[(String, String)]) -> Result<Loaded, Problems> {
    let body = body(text);
    let mut findings = Vec::new();
    let experiment = experiment(body, overrides, &mut findings);
    let problems = problem::place(name, body, overrides, findings.clone());
    match experiment {
        Some((experiment, tree)) => Ok(Loaded {
            experiment,
            warnings: problems,
            text: text.to_owned(),
            source: Source {
                tree,
                overrides: overrides.to_vec(),
                warnings: findings,
            },
        }),
        None => Err(problems),
    }
}

/// Returns the text of a file without a byte order mark.
fn body(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Returns the experiment with the tree of its values, or `None` if there is an error among the findings.
fn experiment(
    text: &str,
    overrides: &[(String, String)],
    findings: &mut Vec<Finding>,
) -> Option<(Experiment, Node)> {
    if let Some(finding) = too_large(text) {
        findings.push(finding);
        return None;
    }
    let mut root = tree::read(text, findings)?;
    let beginning = Origin::File { start: 0, end: 0 };
    if root.is_null() {
        findings.push(
            Finding::error(beginning, "the file is empty")
                .with_help("write at least one of the sections `model`, `data`, `query`, `analysis`"),
        );
        return None;
    }
    if !root.is_map() {
        findings.push(
            Finding::error(
                root.origin,
                format!("an experiment must be a map of sections, not {}", root.describe()),
            )
            .with_help("write at least one of the sections `model`, `data`, `query`, `analysis`"),
        );
        return None;
    }
    overrides::apply(&mut root, overrides, findings);
    let corrected = spelling::correct(Experiment::KEYS, &mut root, findings);
    forms::fold(&mut root, findings);
    let check::Resolved {
        tree: resolved,
        uids,
        has_misspelt_argument,
    } = check::resolve(Experiment::KEYS, &root, &corrected, findings);
    let file = Walked {
        given: At::root(&root),
        resolved: At::root(&resolved),
        uids: &uids,
    };
    let mut broken = Vec::new();
    rules::check(file, &mut broken);
    // A misspelt key is already reported: rules report nothing more about it.
    broken.retain(|finding| !corrected.contains(&finding.origin()));
    findings.append(&mut broken);
    if findings.iter().any(Finding::is_error) {
        return None;
    }
    match serde_yaml::from_value(resolved.to_yaml()) {
        Ok(mut experiment) => {
            rules::settle(&mut experiment, file);
            let mut effects = Vec::new();
            rules::effect::check(&experiment, file, &mut effects);
            // A default in the place of a misspelt argument is not what the file means, so no warning is derived from
            // it.
            effects.retain(|finding| finding.is_error() || !has_misspelt_argument);
            findings.append(&mut effects);
            (!findings.iter().any(Finding::is_error)).then_some((experiment, resolved))
        }
        Err(error) => {
            findings.push(Finding::error(
                beginning,
                format!(
                    "internal error: a checked value is rejected by its type: {error} (please report this)"
                ),
            ));
            None
        }
    }
}

fn too_large(text: &str) -> Option<Finding> {
    if text.len() > MAX_FILE {
        let message = format!(
            "the file has {} bytes; an experiment may have at most {MAX_FILE}",
            text.len()
        );
        return Some(
            Finding::error(Origin::Default, message)
                .with_help("store data in a separate file and give its path"),
        );
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.len() > MAX_LINE {
            let message = format!(
                "this line has {} bytes; a line may have at most {MAX_LINE}",
                line.len()
            );
            return Some(
                Finding::error(Origin::File { start, end: start }, message).with_help("split the line"),
            );
        }
        start += line.chars().count();
    }
    None
}

/// Reads a file up to one byte more than [`MAX_FILE`]. A longer file is rejected by [`too_large`].
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
