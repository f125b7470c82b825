//! Names of objects and values of labels.

use sha2::{Digest, Sha256};

/// Maximum number of characters of the name of a run. A stateful set has a name of at most 52
/// characters, because its pods have a label with its name and a hash, and labels have at most 63.
pub const MAX_RUN_NAME: usize = 30;

/// Maximum number of characters of the part of a group's name that comes from a label.
const MAX_PART: usize = 15;

/// The name of a run in a cluster, with which the names of all its objects begin. A DNS label of at most
/// [`MAX_RUN_NAME`] characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunName(String);

/// A text that is no name of a run.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no name of a run: use at most {MAX_RUN_NAME} lowercase letters, digits and `-`, with a letter at the \
     beginning and no `-` at the end"
)]
pub struct InvalidName(String);

impl RunName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// Returns an error if it is no DNS label (RFC 1035), or too long.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let fits = name.len() <= MAX_RUN_NAME
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && !name.ends_with('-')
            && name.chars().all(is_of_label);
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidName(name.to_owned()))
        }
    }

    /// Makes a name from any text.
    pub fn of(text: &str) -> Self {
        Self(beginning(text, MAX_RUN_NAME))
    }

    /// Makes a name from any text and a suffix that distinguishes runs of the same file.
    ///
    /// # Errors
    ///
    /// Returns an error if the suffix is too long, or has characters that no DNS label has.
    pub fn with_suffix(text: &str, suffix: &str) -> Result<Self, InvalidName> {
        let most = MAX_RUN_NAME.saturating_sub(suffix.len() + 1).max(1);
        Self::new(&format!("{}-{suffix}", beginning(text, most)))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of an object of the run.
    pub(crate) fn object(&self, name: &str) -> String {
        format!("{}-{name}", self.0)
    }
}

impl std::fmt::Display for RunName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the beginning of a name, with a letter at its start.
fn beginning(text: &str, most: usize) -> String {
    let label = dns_label(text, most);
    if label.starts_with(|first: char| first.is_ascii_digit()) {
        dns_label(&format!("run-{label}"), most)
    } else {
        label
    }
}

fn is_of_label(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'
}

/// Returns a part of a DNS label for a text. Texts that differ get different parts: a text that is changed gets a hash.
pub(crate) fn part(text: &str) -> String {
    let label = dns_label(text, MAX_PART);
    if label == text {
        return label;
    }
    let hash = hex::encode(&Sha256::digest(text.as_bytes())[..3]);
    format!("{}-{hash}", dns_label(text, MAX_PART - hash.len() - 1))
}

/// Returns the letters and digits of a text in lower case, joined by single `-`, with at most `most` characters. `x` if
/// it has none.
fn dns_label(text: &str, most: usize) -> String {
    let mut label = String::new();
    for letter in text.chars() {
        let letter = letter.to_ascii_lowercase();
        if is_of_label(letter) && letter != '-' {
            label.push(letter);
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    label.truncate(most);
    let label = label.trim_end_matches('-');
    if label.is_empty() {
        "x".to_owned()
    } else {
        label.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for name in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "1a",
            "a.b",
            &"a".repeat(MAX_RUN_NAME + 1),
        ] {
            RunName::new(name).expect_err(name);
        }
        for (text, expected) in [
            ("quickstart", "quickstart-x7k2m"),
            ("My Run_3", "my-run-3-x7k2m"),
            ("42", "run-42-x7k2m"),
            ("ÄÖ", "x-x7k2m"),
            (
                "an-experiment-with-a-very-long-name",
                "an-experiment-with-a-ver-x7k2m",
            ),
        ] {
            assert_eq!(
                RunName::with_suffix(text, "x7k2m").expect(text).as_str(),
                expected
            );
        }
    }

    #[test]
    fn every_text_has_a_name() {
        for text in ["quickstart", "", "42", "Ä", "-", &"9".repeat(100), "a_b-"] {
            let name = RunName::of(text);
            RunName::new(name.as_str()).expect(text);
        }
    }

    #[test]
    fn labels_that_differ_have_parts_that_differ() {
        assert_eq!(part("honest"), "honest");
        let parts = ["a_b", "a b", "a.b", "A-b", "a-b"].map(part);
        for (index, one) in parts.iter().enumerate() {
            assert!(one.len() <= MAX_PART && one.chars().all(is_of_label), "{one}");
            assert!(!parts[..index].contains(one), "{parts:?}");
        }
        assert!(part(&"long ".repeat(20)).len() <= MAX_PART);
    }
}
