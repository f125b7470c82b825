//! Results of an experiment's expectations: `expectations.json` for programs and the report, `junit.xml` for tools that
//! show test results.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;

/// Maximum size of a file of expectations, in bytes. Larger files are rejected.
const LARGEST: u64 = 64 << 20;

/// Result of an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The expectation is true.
    Held,
    /// The expectation is not true, or it read a table without rows.
    Failed,
    /// The expectation could not be evaluated.
    Erred,
}

/// Result of the query of an expectation, with the values that determined it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The result.
    pub outcome: Outcome,
    /// The reason why the expectation did not hold, if it is known.
    pub reason: Option<String>,
    /// The compared expressions, each with its value.
    pub values: Vec<(String, String)>,
}

/// An expectation and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Name of the expectation.
    pub name: String,
    /// SQL query of the expectation.
    pub sql: String,
    /// The result.
    #[serde(flatten)]
    pub decision: Decision,
}

impl Decision {
    /// Returns the result of a query that could not be evaluated.
    pub fn erred(reason: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Erred,
            reason: Some(reason.into()),
            values: Vec::new(),
        }
    }

    /// Returns whether the expectation held.
    pub fn held(&self) -> bool {
        self.outcome == Outcome::Held
    }

    /// Returns the values that determined the result, and the reason why the expectation did not hold, in one line:
    /// `avg(reward) = 0.25; responses is empty`.
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

/// Writes the results of a run's expectations as JSON and as `JUnit` XML.
pub fn save(checked: &[Checked], suite: &str, layout: &Layout) -> Result<(), RunError> {
    let path = layout.expectations();
    let text = serde_json::to_vec_pretty(checked).map_err(|source| RunError::Json {
        path: path.clone(),
        source,
    })?;
    files::replace(&path, &text)?;
    let path = layout.junit();
    let xml = junit(checked, suite).map_err(|source| RunError::JUnit {
        path: path.clone(),
        source,
    })?;
    files::replace(&path, xml.as_bytes())
}

/// Reads the results of a run's expectations. The list is empty if the run has no file of results.
pub fn load(layout: &Layout) -> Result<Vec<Checked>, RunError> {
    let path = layout.expectations();
    let Some(text) = files::read_small(&path, LARGEST)? else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&text).map_err(|source| RunError::Json { path, source })
}

/// Returns the results as `JUnit` XML, with one test case per expectation. Characters that XML does not support are
/// removed.
fn junit(checked: &[Checked], suite: &str) -> Result<String, quick_junit::SerializeError> {
    let mut cases = TestSuite::new(suite);
    for Checked { name, sql, decision } in checked {
        let words = decision.in_words();
        let status = match decision.outcome {
            Outcome::Held => TestCaseStatus::success(),
            Outcome::Failed => not_held(NonSuccessKind::Failure, &words, sql),
            Outcome::Erred => not_held(NonSuccessKind::Error, &words, sql),
        };
        let mut case = TestCase::new(name.as_str(), status);
        case.set_classname(suite).set_system_out(words);
        cases.add_test_case(case);
    }
    let mut report = Report::new(suite);
    report.add_test_suite(cases);
    report.to_string()
}

fn not_held(kind: NonSuccessKind, words: &str, sql: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(words).set_description(sql);
    status
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
    fn results_are_read_back_and_a_run_without_them_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert_eq!(load(&layout).unwrap(), []);
        save(&checked(), "run", &layout).unwrap();
        assert_eq!(load(&layout).unwrap(), checked());
        assert!(layout.junit().exists());
    }

    #[test]
    fn junit_counts_failures_and_errors_separately_and_escapes_user_text() {
        let xml = junit(&checked(), "a run").unwrap();
        let element = |name: &str| {
            let (_, element) = xml.split_once(&format!("<{name} ")).unwrap();
            element
                .split_once("</")
                .map_or(element, |(element, _)| element)
                .to_owned()
        };
        let suite = element("testsuite");
        for attribute in ["name=\"a run\"", "tests=\"3\"", "failures=\"1\"", "errors=\"1\""] {
            assert!(suite.contains(attribute), "{attribute} in {suite}");
        }
        assert!(xml.contains("name=\"&lt;b&gt;&amp;&quot;\""), "{xml}");
        let failure = element("failure");
        assert!(
            failure.contains("message=\"avg(reward) = 0.25; responses is empty\""),
            "{failure}"
        );
        assert!(
            failure.ends_with("SELECT avg(reward) &lt; 0.5 FROM responses"),
            "{failure}"
        );
        assert_eq!(xml.matches("<testcase ").count(), 3);
        assert_eq!(xml.matches("</testcase>").count(), 3);
    }
}
