//! What became of an experiment's expectations: `expectations.json` for programs and the report, `junit.xml` for whatever
//! shows test results.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;

/// A file of expectations larger than this was not written here.
const LARGEST: u64 = 64 << 20;

/// How an expectation came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// what it says is so
    Held,
    /// what it says is not so, or it was asked of nothing
    Failed,
    /// it could not be asked
    Erred,
}

/// How a question was decided, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// how it came out
    pub outcome: Outcome,
    /// why, where it did not hold
    pub reason: Option<String>,
    /// what was compared, each with its value
    pub values: Vec<(String, String)>,
}

/// An expectation and its decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// the expectation's name
    pub name: String,
    /// its question
    pub sql: String,
    /// how it was decided
    #[serde(flatten)]
    pub decision: Decision,
}

impl Decision {
    /// Of a question that could not be asked.
    pub fn erred(reason: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Erred,
            reason: Some(reason.into()),
            values: Vec::new(),
        }
    }

    /// Whether it came out as expected.
    pub fn held(&self) -> bool {
        self.outcome == Outcome::Held
    }

    /// The values that decided, and why it did not hold, in one line: `avg(reward) = 0.25; responses is empty`.
    pub fn in_words(&self) -> String {
        let values = self
            .values
            .iter()
            .map(|(name, value)| format!("{name} = {value}"));
        let values = values.collect::<Vec<_>>().join(", ");
        let parts = [
            Some(values).filter(|values| !values.is_empty()),
            self.reason.clone(),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// Writes the expectations checked of a run, for programs and in the XML of `JUnit`.
pub fn save(checked: &[Checked], suite: &str, layout: &Layout) -> Result<(), RunError> {
    let path = layout.expectations();
    let text = serde_json::to_vec_pretty(checked).map_err(|source| RunError::Json {
        path: path.clone(),
        source,
    })?;
    files::replace(&path, &text)?;
    files::replace(&layout.junit(), junit(checked, suite).as_bytes())
}

/// The expectations checked of a run; none where nothing was expected of it.
pub fn load(layout: &Layout) -> Result<Vec<Checked>, RunError> {
    let path = layout.expectations();
    let Some(text) = files::read_small(&path, LARGEST)? else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&text).map_err(|source| RunError::Json { path, source })
}

fn junit(checked: &[Checked], suite: &str) -> String {
    let count = |outcome| {
        let same = checked.iter().filter(|one| one.decision.outcome == outcome);
        same.count()
    };
    let suite = escaped(suite);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n  <testsuite name=\"{suite}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\">\n",
        checked.len(),
        count(Outcome::Failed),
        count(Outcome::Erred),
    );
    for Checked { name, sql, decision } in checked {
        let words = escaped(&decision.in_words());
        let element = match decision.outcome {
            Outcome::Held => String::new(),
            Outcome::Failed => format!("      <failure message=\"{words}\">{}</failure>\n", escaped(sql)),
            Outcome::Erred => format!("      <error message=\"{words}\">{}</error>\n", escaped(sql)),
        };
        write!(
            xml,
            "    <testcase classname=\"{suite}\" name=\"{}\">\n{element}      <system-out>{words}</system-out>\n    \
             </testcase>\n",
            escaped(name)
        )
        .expect("a string takes any text");
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Text as XML has it. Characters that no XML may hold become the replacement character.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked() -> Vec<Checked> {
        let one = |name: &str, outcome, reason: Option<&str>| Checked {
            name: name.to_owned(),
            sql: "SELECT avg(reward) < 0.5 FROM responses".to_owned(),
            decision: Decision {
                outcome,
                reason: reason.map(str::to_owned),
                values: vec![("avg(reward)".to_owned(), "0.25".to_owned())],
            },
        };
        vec![
            one("low", Outcome::Held, None),
            one("<b>&\"\u{1}", Outcome::Failed, Some("responses is empty")),
            one("odd", Outcome::Erred, None),
        ]
    }

    #[test]
    fn checked_come_back_and_a_run_without_them_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert_eq!(load(&layout).unwrap(), []);
        save(&checked(), "run", &layout).unwrap();
        assert_eq!(load(&layout).unwrap(), checked());
        assert!(layout.junit().exists());
    }

    #[test]
    fn junit_counts_failures_apart_from_errors_and_escapes_what_people_wrote() {
        let xml = junit(&checked(), "a run");
        assert!(xml.contains(r#"<testsuite name="a run" tests="3" failures="1" errors="1" skipped="0">"#));
        assert!(xml.contains(r#"name="&lt;b&gt;&amp;&quot;�""#), "{xml}");
        assert!(xml.contains(
            r#"<failure message="avg(reward) = 0.25; responses is empty">SELECT avg(reward) &lt; 0.5"#
        ));
        assert_eq!(xml.matches("<testcase ").count(), 3);
        assert_eq!(xml.matches("</testcase>").count(), 3);
    }
}
