//! Evaluates an expectation: a query whose answer is one row that begins with true or false.

use std::path::PathBuf;

use mirror_runs::expectations::{Decision, Outcome};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::error::SqlError;
use crate::execution::{Execution, Written};

/// Maximum number of values that are reported with a decision.
const VALUES: usize = 32;

/// Maximum number of characters of a value or of its name.
const LONGEST: usize = 200;

/// Text for a missing value.
const NULL: &str = "null";

impl Engine {
    /// Evaluates an expectation about runs. An expectation that reads a table without rows fails, whatever its answer
    /// is, because an empty table proves nothing about the runs. An expectation that cannot be evaluated is
    /// [`Outcome::Erred`].
    pub fn judge(&self, runs: &[PathBuf], sql: &str) -> Decision {
        self.decide(runs, sql)
            .unwrap_or_else(|error| Decision::erred(in_full(&error)))
    }

    /// Checks whether an expectation could be evaluated: it must be one query of existing tables and columns whose
    /// first column is BOOLEAN.
    ///
    /// # Errors
    ///
    /// Returns an error if the expectation is wrong ([`SqlError::is_question`]), or if it cannot be checked.
    pub fn check(&self, sql: &str) -> Result<(), SqlError> {
        let mut execution = expectation(self, &[], sql)?;
        let script = columns_script(&execution);
        execution.run(&script)?;
        columns(&execution).map(drop)
    }

    fn decide(&self, runs: &[PathBuf], sql: &str) -> Result<Decision, SqlError> {
        let mut execution = expectation(self, runs, sql)?;
        let without_rows = execution.tables_without_rows()?;
        let script = format!("{}\n{}", columns_script(&execution), rows_script(&execution));
        execution.run(&script)?;
        let names = columns(&execution)?;
        let rows = read_csv(&execution, Written::Answer)?;
        let values = match rows.first() {
            None => Vec::new(),
            Some(row) if names.len() > 1 => values(&names, row),
            Some(row) => operand_values(&mut execution, row.get(0)).unwrap_or_default(),
        };
        if !without_rows.is_empty() {
            return Ok(Decision {
                outcome: Outcome::Failed,
                reason: Some(format!("{} has no rows", without_rows.join(" and "))),
                values,
            });
        }
        let [row] = rows.as_slice() else {
            let count = if rows.is_empty() { "none" } else { "more than one" };
            return Err(SqlError::Question(format!(
                "an expectation must yield one row, but this yields {count}"
            )));
        };
        let (outcome, reason) = match row.get(0) {
            Some("true") => (Outcome::Held, None),
            Some("false") => (Outcome::Failed, None),
            _ => (
                Outcome::Failed,
                Some("the answer is null, neither true nor false".to_owned()),
            ),
        };
        Ok(Decision {
            outcome,
            reason,
            values,
        })
    }
}

/// Returns the values that an expectation compares if it selects a single expression of comparisons, to explain the
/// decision. They are read by a second statement, which selects them next to this expression. This statement does not
/// affect the decision: if it fails, or if its result differs from `truth`, no values are returned.
fn operand_values(execution: &mut Execution, truth: Option<&str>) -> Option<Vec<(String, String)>> {
    let tree = execution.statement.tree.as_ref().and_then(with_operands)?;
    let text = execution.text_of(&tree).ok()?;
    let script = format!("{}\n{}", columns_script(execution), rows_script(execution));
    execution.run_text(&text, &script).ok()?;
    let names = columns(execution).ok()?;
    let rows = read_csv(execution, Written::Answer).ok()?;
    match rows.as_slice() {
        [row] if row.get(0) == truth => Some(values(&names, row)),
        _ => None,
    }
}

/// Returns the message of an error and of its causes.
fn in_full(error: &SqlError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}

/// Parses an expectation.
fn expectation<'engine>(
    engine: &'engine Engine,
    runs: &[PathBuf],
    sql: &str,
) -> Result<Execution<'engine>, SqlError> {
    let execution = Execution::parse(engine, runs, sql)?;
    if execution.statement.explain.is_some() {
        return Err(SqlError::Question(
            "an expectation must not begin with EXPLAIN".to_owned(),
        ));
    }
    Ok(execution)
}

/// Returns a script that writes the names and types of the answer's columns.
fn columns_script(execution: &Execution) -> String {
    format!(
        "COPY (SELECT column_name, column_type FROM (DESCRIBE FROM query(getvariable('question')))) TO {} \
         (FORMAT csv, HEADER false);",
        execution.written(Written::Columns)
    )
}

/// Returns a script that writes the first two rows of the answer. The second row shows that there is more than one.
fn rows_script(execution: &Execution) -> String {
    format!(
        "COPY (FROM query(getvariable('question')) LIMIT 2) TO {} (FORMAT csv, HEADER false, NULLSTR '{NULL}');",
        execution.written(Written::Answer)
    )
}

/// Returns the names of the answer's columns. The first column must be BOOLEAN.
fn columns(execution: &Execution) -> Result<Vec<String>, SqlError> {
    let rows = read_csv(execution, Written::Columns)?;
    let column = |row: &csv::StringRecord| {
        let cell = |index| row.get(index).unwrap_or_default().to_owned();
        (cell(0), cell(1))
    };
    let columns: Vec<(String, String)> = rows.iter().map(column).collect();
    match columns.first() {
        Some((name, kind)) if kind != "BOOLEAN" => Err(SqlError::Question(format!(
            "the first column of an expectation must be BOOLEAN, but {} is {kind}",
            readable(name)
        ))),
        Some(_) => Ok(columns.into_iter().map(|(name, _)| name).collect()),
        None => Err(SqlError::Failed("the answer has no columns".to_owned())),
    }
}

fn read_csv(execution: &Execution, written: Written) -> Result<Vec<csv::StringRecord>, SqlError> {
    let wrong = |error: csv::Error| SqlError::Failed(format!("DuckDB wrote no CSV: {error}"));
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(execution.file(written.name()))
        .map_err(wrong)?;
    reader.into_records().collect::<Result<_, _>>().map_err(wrong)
}

/// Returns the columns of a row except the first, each with its name.
fn values(columns: &[String], row: &csv::StringRecord) -> Vec<(String, String)> {
    let named = columns.iter().zip(row).skip(1).take(VALUES);
    named
        .map(|(name, value)| (shortened(&readable(name)), shortened(value)))
        .collect()
}

/// Returns a column's name as a user would write it.
fn readable(name: &str) -> String {
    name.replace("count_star()", "count(*)")
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Extends the tree of a statement that selects a single expression of comparisons, so that the statement also selects
/// the compared values: `SELECT avg(a) < avg(b) FROM t` becomes `SELECT avg(a) < avg(b), avg(a), avg(b) FROM t`.
/// Returns `None` for other statements.
fn with_operands(tree: &Value) -> Option<Value> {
    let node = tree.pointer("/statements/0/node")?;
    let distinct = |modifier: &Value| modifier.get("type") == Some(&json!("DISTINCT_MODIFIER"));
    let asked = match node.get("select_list")?.as_array()?.as_slice() {
        [asked] if node.get("type") == Some(&json!("SELECT_NODE")) => asked,
        _ => return None,
    };
    if node.get("modifiers")?.as_array()?.iter().any(distinct) {
        return None;
    }
    let mut operands = Vec::new();
    operands_of(asked, &mut operands);
    if operands.is_empty() {
        return None;
    }
    let mut extended = tree.clone();
    let list = extended
        .pointer_mut("/statements/0/node/select_list")?
        .as_array_mut()?;
    list.extend(operands);
    Some(extended)
}

/// Collects the operands of the comparisons in an expression.
fn operands_of(expression: &Value, found: &mut Vec<Value>) {
    let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
    let children = expression.get("children").and_then(Value::as_array);
    match (text("class"), text("type")) {
        ("CONJUNCTION", _) | ("OPERATOR", "OPERATOR_NOT") => {
            for child in children.into_iter().flatten() {
                operands_of(child, found);
            }
        }
        ("COMPARISON", _) => add_operands(expression, &["left", "right"], found),
        ("BETWEEN", _) => add_operands(expression, &["input", "lower", "upper"], found),
        _ => {}
    }
}

fn add_operands(expression: &Value, fields: &[&str], found: &mut Vec<Value>) {
    for operand in fields.iter().filter_map(|field| expression.get(*field)) {
        let mut operand = operand.clone();
        forget_place(&mut operand);
        let is_constant = operand.get("class") == Some(&json!("CONSTANT"));
        if !is_constant && !found.contains(&operand) && found.len() < VALUES {
            found.push(operand);
        }
    }
}

/// Removes the text positions from an expression, so that equal expressions compare as equal.
fn forget_place(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(forget_place),
        Value::Object(fields) => {
            fields.remove("query_location");
            fields.values_mut().for_each(forget_place);
        }
        _ => {}
    }
}
