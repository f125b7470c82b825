//! What an experiment expects of its runs: checked before anything starts, decided when it has ended.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use mirror_runs::Layout;
use mirror_runs::expectations::{self, Checked, Outcome};
use mirror_spec::Expectation;
use mirror_sql::Engine;

/// What is wrong with expectations, a sentence each.
///
/// # Errors
///
/// When it cannot be told, because DuckDB failed.
pub fn problems(engine: &Engine, expected: &[Expectation]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for Expectation { name, sql, .. } in expected {
        match engine.check(sql) {
            Ok(()) => {}
            Err(error) if error.is_question() => {
                lines.push(format!("the expectation `{name}` cannot be decided: {error}"));
            }
            Err(error) => return Err(error).with_context(|| format!("checking the expectation `{name}`")),
        }
    }
    Ok(lines)
}

/// Decides each expectation about the runs together, and keeps the decisions in `layout` for the report.
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

/// A line each, with the values that decided.
pub fn in_words(checked: &[Checked]) -> String {
    let mut lines = String::new();
    for Checked { name, decision, .. } in checked {
        let word = match decision.outcome {
            Outcome::Held => "held",
            Outcome::Failed => "failed",
            Outcome::Erred => "erred",
        };
        let values = decision.in_words();
        let colon = if values.is_empty() { "" } else { ": " };
        writeln!(lines, "{word:<6} {name}{colon}{values}").expect("a string takes any text");
    }
    lines
}

/// Whether all came out as expected.
pub fn all_held(checked: &[Checked]) -> bool {
    checked.iter().all(|checked| checked.decision.held())
}
