//! The expectations of an experiment: their SQL is checked before a run starts, and decided when it has ended.

use std::io::Write;
use std::path::PathBuf;

use anstyle::AnsiColor;
use anyhow::Context;
use mirror_runs::Layout;
use mirror_runs::expectations::{self, Checked, Outcome};
use mirror_spec::{Expectation, ValueError};
use mirror_sql::Engine;

/// Returns an error for each expectation whose SQL is wrong.
///
/// # Errors
///
/// Returns an error if DuckDB failed, so that the SQL could not be checked.
pub fn problems(engine: &Engine, expected: &[Expectation]) -> anyhow::Result<Vec<ValueError>> {
    let mut errors = Vec::new();
    for (index, Expectation { name, sql, .. }) in expected.iter().enumerate() {
        match engine.check(sql) {
            Ok(()) => {}
            Err(error) if error.is_question() => {
                errors.push(ValueError {
                    path: ["expect", &index.to_string(), "sql"].map(str::to_owned).into(),
                    message: format!("the expectation `{name}` cannot be decided: {error}"),
                    help: "write a SQL expression over the tables of a run that is true or false".to_owned(),
                });
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot check the expectation `{name}`"));
            }
        }
    }
    Ok(errors)
}

/// Decides each expectation over all `runs` together, and saves the decisions in `layout` for the report.
pub fn decide<'a>(
    engine: &Engine,
    expected: impl IntoIterator<Item = &'a Expectation>,
    runs: &[PathBuf],
    layout: &Layout,
) -> anyhow::Result<Vec<Checked>> {
    let mut checked = Vec::new();
    for Expectation { name, sql, .. } in expected {
        checked.push(Checked {
            name: name.clone(),
            sql: sql.clone(),
            decision: engine.judge(runs, sql),
        });
    }
    if !checked.is_empty() {
        let suite = layout.root().file_name().unwrap_or_default().to_string_lossy();
        expectations::save(&checked, &suite, layout)?;
    }
    Ok(checked)
}

/// Prints one line for each expectation, with the values that decided it. On a terminal the outcome has a colour.
///
/// # Errors
///
/// Returns an error if standard output cannot be written.
pub fn print(checked: &[Checked]) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    for Checked { name, decision, .. } in checked {
        let (word, colour) = match decision.outcome {
            Outcome::Held => ("held", AnsiColor::Green),
            Outcome::Failed => ("failed", AnsiColor::Red),
            Outcome::Erred => ("undecided", AnsiColor::Yellow),
        };
        let style = colour.on_default();
        let values = decision.in_words();
        let colon = if values.is_empty() { "" } else { ": " };
        writeln!(out, "{style}{word:<6}{style:#} {name}{colon}{values}")?;
    }
    Ok(())
}

/// Whether every expectation held.
pub fn all_held(checked: &[Checked]) -> bool {
    checked.iter().all(|checked| checked.decision.held())
}
