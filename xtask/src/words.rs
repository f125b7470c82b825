//! Checks that retired names and phrases do not return, and that no documentation comment begins with an
//! interrogative.
//!
//! The list contains names that were replaced because a reader could not understand them without a glossary. Each has
//! the name to use instead. Names of keys in experiment files are not in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A retired word and the one to use instead.
struct Retired {
    word: &'static str,
    instead: &'static str,
    place: Place,
}

/// The places in which a word is retired. Prose is comments, pages, and the string literals of programs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In every text, sources and pages alike.
    Anywhere,
    /// As the name of a type: the word is also an English word.
    Type,
    /// In comments and pages.
    Prose,
}

const fn anywhere(word: &'static str, instead: &'static str) -> Retired {
    Retired {
        word,
        instead,
        place: Place::Anywhere,
    }
}

const fn type_name(word: &'static str, instead: &'static str) -> Retired {
    Retired {
        word,
        instead,
        place: Place::Type,
    }
}

const fn prose(word: &'static str, instead: &'static str) -> Retired {
    Retired {
        word,
        instead,
        place: Place::Prose,
    }
}

const RETIRED: [Retired; 70] = [
    anywhere("Conductor", "Orchestrator"),
    anywhere("Clerk", "JournalWriter"),
    anywhere("Blueprint", "NetworkSpec"),
    anywhere("Roster", "UidAssignment"),
    anywhere("Surroundings", "BehaviourContext"),
    anywhere("Diary", "AckLog"),
    anywhere("LAST_WORDS", "DRAIN_TIMEOUT"),
    anywhere("Garbled", "BadHandshake"),
    anywhere("Unweighable", "InvalidAverages"),
    anywhere("OnTheWay", "InFlight"),
    anywhere("REMEMBERED_BLOCKS", "RECENT_TX_BLOCKS"),
    anywhere("BY_HAND", "MANUAL"),
    anywhere("ByHand", "Manual"),
    anywhere("by_hand", "manual"),
    anywhere("mirror-snapshot", "mirror-metagraph-file"),
    anywhere("mirror_snapshot", "mirror_metagraph_file"),
    anywhere("step_sub", "forward_index"),
    anywhere("AsksNobody", "CallsNoNext"),
    anywhere("never_came", "unreached_fault_steps"),
    anywhere("goes_on", "advance"),
    anywhere("TOLD", "REPORTED"),
    anywhere("UNTOLD", "UNKNOWN_ROLE"),
    anywhere("unweighable", "invalid"),
    anywhere("governing", "admin"),
    type_name("Looked", "LocalInputs"),
    type_name("Laboratory", "TestEnv or RunContext"),
    type_name("Crew", "NodeOps"),
    type_name("Intake", "ReportService"),
    type_name("Desk", "ReportStream"),
    type_name("Keeper", "AckHandler"),
    type_name("Note", "AckPayload"),
    type_name("Below", "Next"),
    type_name("Stack", "BehaviourStack"),
    type_name("Tender", "ProcessMonitor"),
    type_name("Endless", "KillTimeout"),
    type_name("Arrived", "SignedTx"),
    type_name("Admitted", "CheckedTx"),
    type_name("Turned", "AdmissionError"),
    type_name("Remembered", "RecentTxs"),
    type_name("Taken", "Included"),
    type_name("Spent", "UsedNonce"),
    type_name("Going", "RunningCommand"),
    type_name("Lesson", "TrainingExample"),
    type_name("Look", "ParamStats"),
    type_name("Seen", "a name that says what was seen"),
    type_name("Descent", "SgdConfig"),
    type_name("Setting", "BuildContext"),
    type_name("Told", "a name that says what is reported"),
    prose("by hand", "manual"),
    prose("the seed's", "upstream's, or of the random seed"),
    prose("the seed project", "upstream"),
    prose("told", "reported, printed or documented"),
    prose("nobody", "no uid, no node or no client"),
    prose("somebody", "a client, a user or another process"),
    prose("everybody", "every validator, or all"),
    prose("anybody", "any caller"),
    prose("whoever", "the caller, or who the subject is"),
    prose("gone on with", "resumed"),
    prose("goes on", "continues"),
    prose("cannot be had", "cannot be loaded"),
    prose("broke down", "failed"),
    prose("for ever", "forever, or permanently"),
    prose("to begin anew", "to start again"),
    prose("is no news", "is expected"),
    prose("follows from nothing", "an empty set implies nothing"),
    prose("true of nothing", "an empty set"),
    prose("makes of its office", "behaviours of validators"),
    prose("the last word", "the result that is used"),
    prose("in its time", "within its window"),
    prose("as it may", "up to its limit"),
];

/// Files in which a retired word is part of data or of an interface: the columns of earlier versions and of upstream.
const EXEMPT: [&str; 12] = [
    "xtask/src/words.rs",
    "CHANGELOG.md",
    "crates/mirror-analysis/src/frame.rs",
    "crates/mirror-event-log/src/event.rs",
    "crates/mirror-event-log/src/reader.rs",
    "crates/mirror-event-log/tests/import.rs",
    "crates/mirror-runs/src/tables/former_names.rs",
    "crates/mirror-runs/tests/former_names.rs",
    "crates/mirror-runs/src/view.rs",
    "crates/mirror-runs/tests/view.rs",
    "crates/mirror-spec/src/analysis.rs",
    "tests/whole_system/commands.rs",
];

/// Files whose string literals are texts of the network, such as prompts and completions, and no messages.
const TEXTS: [&str; 2] = [
    "crates/mirror-miner/src/behaviour/praise.rs",
    "crates/mirror-spec/src/model.rs",
];

/// Words that begin a noun clause in place of a sentence, as in `/// Who.`
const INTERROGATIVES: [&str; 9] = [
    "Who", "Whom", "Whose", "Whoever", "What", "Why", "How", "Which", "Where",
];

/// Checks all sources and pages of the checkout in `root`.
///
/// # Errors
///
/// Returns an error that lists every retired word with its replacement, and every comment that begins with an
/// interrogative.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut git = Command::new("git");
    let patterns = ["ls-files", "*.rs", "*.proto", "*.md", "*.html", "*.toml", "*.yml"];
    let listed = crate::output(git.args(patterns).current_dir(root))?;
    let mut found = Vec::new();
    for file in listed.lines().filter(|file| !EXEMPT.contains(file)) {
        let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
        found.extend(
            problems(&text, Content::of(file))
                .into_iter()
                .map(|problem| format!("{file}:{problem}")),
        );
    }
    ensure!(
        found.is_empty(),
        "these lines have retired words or begin with an interrogative:\n  {}",
        found.join("\n  ")
    );
    Ok(())
}

/// What a file contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Prose, except in blocks of code.
    Page,
    /// Comments, and messages in string literals.
    Program,
    /// Comments, and data in string literals.
    Test,
}

impl Content {
    fn of(file: &str) -> Self {
        if Path::new(file)
            .extension()
            .is_some_and(|extension| extension == "md")
        {
            Self::Page
        } else if file.split('/').any(|folder| folder == "tests") || TEXTS.contains(&file) {
            Self::Test
        } else {
            Self::Program
        }
    }
}

/// The problems of a text, each with its line, from 1.
fn problems(text: &str, of: Content) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    let mut in_tests = false;
    let mut before = "";
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.trim_start();
        let comment = comment(content);
        if comment.unwrap_or(content).trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let prose = if of == Content::Page {
            (!in_code).then_some(content)
        } else {
            comment
        };
        let prose = prose.map(|prose| without_code(&prose.to_lowercase()));
        in_tests |= content.starts_with("#[cfg(test)]");
        let messages = if of != Content::Program || in_tests || comment.is_some() {
            String::new()
        } else {
            literals(line).to_lowercase()
        };
        for retired in &RETIRED {
            let is_there = match retired.place {
                Place::Anywhere => has_word(line, retired.word),
                Place::Type => declares(line, retired.word),
                Place::Prose => {
                    prose.as_ref().is_some_and(|prose| has_word(prose, retired.word))
                        || has_word(&messages, retired.word)
                }
            };
            if is_there {
                found.push(format!("{number}: `{}`, use {}", retired.word, retired.instead));
            }
        }
        // The first line of a paragraph of documentation.
        let is_first = doc(before).is_none_or(str::is_empty);
        if let Some(first) = doc(content).and_then(|doc| doc.split([' ', ',', '.']).next())
            && is_first
            && INTERROGATIVES.contains(&first)
        {
            found.push(format!(
                "{number}: the comment begins with `{first}`, write a sentence or a noun"
            ));
        }
        before = content;
    }
    found
}

/// The text without its parts in backticks, which quote data and names.
fn without_code(prose: &str) -> String {
    prose.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The words of a comment line, `None` for other lines.
fn comment(content: &str) -> Option<&str> {
    let slashes = content
        .strip_prefix("//")
        .map(|rest| rest.trim_start_matches(['/', '!']));
    slashes.or_else(|| content.strip_prefix("# "))
}

/// The words of a line of a documentation comment.
fn doc(content: &str) -> Option<&str> {
    let words = content
        .strip_prefix("///")
        .or_else(|| content.strip_prefix("//!"));
    words.map(str::trim)
}

/// The text in the string literals of a line, as far as they begin and end in it. A line that continues a literal has
/// none.
fn literals(line: &str) -> String {
    line.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(" ")
}

/// Returns whether `line` contains `word` between characters that are not part of a word.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Returns whether `line` declares a type called `name`.
fn declares(line: &str, name: &str) -> bool {
    let mut words = line.split(|character: char| !character.is_alphanumeric() && character != '_');
    let is_keyword = |word: &str| ["struct", "enum", "trait", "type"].contains(&word);
    words.any(is_keyword) && words.next() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_words_are_found_in_their_places() {
        let places = |text: &str| problems(text, Content::Program).len();
        assert_eq!(places("let conductor = Conductor::new();"), 1);
        assert_eq!(places("struct SemiConductor;"), 0);
        assert_eq!(places("pub(crate) struct Desk<K> {"), 1);
        assert_eq!(places("    let row = Row { Desk };"), 0);
        assert_eq!(places("/// Nobody is told."), 2);
        assert_eq!(places(r#"bail!("nobody knows")"#), 1);
        assert_eq!(
            problems(r#"let answer = "nobody knows";"#, Content::Test).len(),
            0
        );
        assert_eq!(problems("Somebody may ask.", Content::Page).len(), 1);
        assert_eq!(problems("```\nsomebody\n```\n", Content::Page).len(), 0);
    }

    #[test]
    fn a_comment_must_not_begin_with_an_interrogative() {
        assert_eq!(problems("/// Who.\n", Content::Program).len(), 1);
        assert_eq!(problems("//! What it is.\n", Content::Program).len(), 1);
        assert_eq!(
            problems("/// The value.\n///\n/// Why it is there.\n", Content::Program).len(),
            1
        );
        assert_eq!(
            problems("/// The value says\n/// What it is.\n", Content::Program).len(),
            0
        );
        assert_eq!(problems("/// Whether it is there.\n", Content::Program).len(), 0);
    }

    #[test]
    fn this_checkout_has_no_retired_words() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        check(&root).unwrap_or_else(|error| panic!("{error}"));
    }
}
