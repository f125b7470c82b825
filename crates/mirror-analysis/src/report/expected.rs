//! Results of a run's expectations, as rows of a table.

use mirror_runs::expectations::{Checked, Outcome};

/// One expectation.
pub(super) struct Expected<'a> {
    pub(super) name: &'a str,
    pub(super) outcome: &'static str,
    pub(super) words: String,
    pub(super) sql: &'a str,
}

pub(super) fn expected(checked: &[Checked]) -> Vec<Expected<'_>> {
    checked.iter().map(Expected::of).collect()
}

impl<'a> Expected<'a> {
    fn of(checked: &'a Checked) -> Self {
        Self {
            name: &checked.name,
            outcome: match checked.decision.outcome {
                Outcome::Held => "held",
                Outcome::Failed => "failed",
                Outcome::Erred => "erred",
            },
            words: checked.decision.in_words(),
            sql: &checked.sql,
        }
    }
}
