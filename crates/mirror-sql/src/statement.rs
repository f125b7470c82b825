//! From a text to one statement that reads: DuckDB parses it, and its syntax tree tells which tables it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::child::Runner;
use crate::error::{REFUSED, SqlError, nearest};
use crate::tables::{Scope, table_names};

/// Bytes of a question, at most.
const LONGEST: usize = 64 << 10;

/// The text of the statement, in the folder where DuckDB works.
pub(crate) const QUESTION: &str = "question.sql";

/// What DuckDB makes of it, there as well.
const PARSED: &str = "parsed.json";

/// One statement that reads.
#[derive(Debug)]
pub(crate) struct Statement {
    /// The `SELECT`, without an `EXPLAIN` before it.
    pub(crate) text: String,
    /// Whether its plan is asked for.
    pub(crate) explain: Option<Explain>,
    /// What it reads.
    pub(crate) reads: Reads,
    /// Its syntax tree, as `json_serialize_sql` gives it; `None` where it nests too deep to be read here.
    pub(crate) tree: Option<Value>,
}

/// How a plan is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Explain {
    /// The plan.
    Plan,
    /// The plan with what its execution took.
    Analyze,
}

/// The tables that a statement reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// It names these and no other.
    Named(BTreeSet<&'static str>),
    /// It may read any, or asks which there are.
    Any,
}

/// What the script of [`parse`] writes.
#[derive(Deserialize)]
struct Parsed {
    error: Option<String>,
    message: Option<String>,
    statements: Option<u64>,
    tree: String,
}

/// Parses `sql` in the folder `work`.
///
/// # Errors
///
/// When it is too long, is not SQL, is not one statement, does more than reading, or names a table that is not there.
pub(crate) fn parse(runner: &mut Runner, work: &Path, sql: &str) -> Result<Statement, SqlError> {
    let wrong = |message: &str| Err(SqlError::Question(message.to_owned()));
    if sql.len() > LONGEST {
        return Err(SqlError::Question(format!(
            "the question is {} bytes long, and at most {LONGEST} are allowed",
            sql.len()
        )));
    }
    if sql.contains('\0') {
        return wrong("this is not SQL: it contains a NUL character");
    }
    let (explain, text) = split_explain(sql);
    fs::write(work.join(QUESTION), text).map_err(SqlError::io("cannot write the question for DuckDB"))?;
    let script = format!(
        "COPY (SELECT tree->>'error' AS error, tree->>'error_message' AS message, \
         json_array_length(tree->'statements') AS statements, tree::VARCHAR AS tree \
         FROM (SELECT json_serialize_sql(content) AS tree FROM read_text('{QUESTION}'))) TO '{PARSED}' (FORMAT json);"
    );
    runner
        .execute(work, &script)
        .map_err(|broken| SqlError::of(broken, &Scope::default(), &Reads::Any))?;
    let parsed =
        fs::read(work.join(PARSED)).map_err(SqlError::io("cannot read the question's syntax tree"))?;
    let parsed: Parsed = serde_json::from_slice(&parsed)
        .map_err(|error| SqlError::Failed(format!("DuckDB gave no syntax tree: {error}")))?;
    if parsed.error.as_deref() == Some("true") {
        let message = parsed.message.unwrap_or_default();
        if message.contains("Only SELECT statements") {
            return wrong(REFUSED);
        }
        return Err(SqlError::Question(format!("this is not SQL: {message}")));
    }
    match parsed.statements {
        Some(1) => {}
        None | Some(0) => return wrong("there is no question"),
        Some(several) => {
            return Err(SqlError::Question(format!(
                "one question at a time: these are {several}"
            )));
        }
    }
    // A tree too deep for this reader is left to DuckDB, which has bounds of its own.
    let tree: Option<Value> = serde_json::from_str(&parsed.tree).ok();
    let reads = tree.as_ref().map_or(Ok(Reads::Any), reads)?;
    Ok(Statement {
        text: text.to_owned(),
        explain,
        reads,
        tree,
    })
}

/// Takes `EXPLAIN` or `EXPLAIN ANALYZE` off the beginning of a text.
fn split_explain(sql: &str) -> (Option<Explain>, &str) {
    let Some(rest) = strip_keyword(sql, "explain") else {
        return (None, sql);
    };
    match strip_keyword(rest, "analyze") {
        Some(rest) => (Some(Explain::Analyze), rest),
        None => (Some(Explain::Plan), rest),
    }
}

/// What follows a keyword, before which only white space and comments stand.
fn strip_keyword<'sql>(sql: &'sql str, keyword: &str) -> Option<&'sql str> {
    let mut rest = sql.trim_start();
    loop {
        let after = if rest.starts_with("--") {
            rest.split_once('\n')?.1
        } else if rest.starts_with("/*") {
            rest.split_once("*/")?.1
        } else {
            break;
        };
        rest = after.trim_start();
    }
    let (word, after) = rest.split_at_checked(keyword.len())?;
    let ends = !after.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    (word.eq_ignore_ascii_case(keyword) && ends).then_some(after)
}

/// The tables that a syntax tree names.
///
/// # Errors
///
/// When one is not there and is no common table expression.
fn reads(tree: &Value) -> Result<Reads, SqlError> {
    let mut named = Named::default();
    named.walk(tree);
    let mut known = BTreeSet::new();
    for name in &named.tables {
        let lower = name.to_lowercase();
        if let Some(table) = table_names().find(|table| *table == lower) {
            known.insert(table);
        } else if !named.common.contains(&lower) {
            let near = nearest(name, table_names());
            let all = table_names().collect::<Vec<_>>().join(", ");
            return Err(SqlError::Question(format!(
                "no table is called {name}{near}; there are {all}"
            )));
        }
    }
    Ok(if named.any {
        Reads::Any
    } else {
        Reads::Named(known)
    })
}

/// The names in a syntax tree.
#[derive(Default)]
struct Named {
    tables: Vec<String>,
    /// Common table expressions, in lower case.
    common: BTreeSet<String>,
    /// Whether more than the tables named may be read.
    any: bool,
}

impl Named {
    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
                match text("type") {
                    "BASE_TABLE" if text("schema_name").is_empty() && text("catalog_name").is_empty() => {
                        self.tables.push(text("table_name").to_owned());
                    }
                    "BASE_TABLE" | "SHOW_REF" | "TABLE_FUNCTION" => self.any = true,
                    _ => {}
                }
                if let Some(map) = fields.get("cte_map").and_then(|map| map.get("map")?.as_array()) {
                    let names = map.iter().filter_map(|entry| entry.get("key")?.as_str());
                    self.common.extend(names.map(str::to_lowercase));
                }
                fields.values().for_each(|field| self.walk(field));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explain_is_taken_off_behind_comments_and_in_any_case() {
        assert_eq!(split_explain("SELECT 1"), (None, "SELECT 1"));
        assert_eq!(split_explain("explained"), (None, "explained"));
        assert_eq!(
            split_explain(" -- why\n/* so */EXPLAIN SELECT 1"),
            (Some(Explain::Plan), " SELECT 1")
        );
        assert_eq!(
            split_explain("Explain\nANALYZE\nSELECT 1"),
            (Some(Explain::Analyze), "\nSELECT 1")
        );
        assert_eq!(split_explain("-- EXPLAIN"), (None, "-- EXPLAIN"));
    }
}
