//! Parses a query with DuckDB and finds in its syntax tree which tables it reads.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::child::Runner;
use crate::error::{REFUSED, SqlError, nearest};
use crate::tables::{Scope, table_names};

/// Maximum length of a query, in bytes.
const LONGEST: usize = 64 << 10;

/// File with the text of the statement, in DuckDB's working directory.
pub(crate) const QUESTION: &str = "question.sql";

/// File with DuckDB's result of parsing, in the same directory.
const PARSED: &str = "parsed.json";

/// One statement that only reads.
#[derive(Debug)]
pub(crate) struct Statement {
    /// The `SELECT`, without a leading `EXPLAIN`.
    pub(crate) text: String,
    /// The requested kind of plan, or `None` if the rows are requested.
    pub(crate) explain: Option<Explain>,
    /// Tables and columns that the statement reads.
    pub(crate) reads: Reads,
    /// The syntax tree as returned by `json_serialize_sql`. `None` if it is nested too deeply for the JSON parser.
    pub(crate) tree: Option<Value>,
}

/// Kind of plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Explain {
    /// The plan alone.
    Plan,
    /// The plan with measurements of its execution.
    Analyze,
}

/// Tables and columns that a statement reads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// The tables that the statement names.
    pub(crate) tables: BTreeSet<&'static str>,
    /// The named tables that are not hidden by a common table expression of the same name.
    pub(crate) visible: BTreeSet<&'static str>,
    /// Whether the statement lists the existing tables, so that all tables must be created.
    pub(crate) all: bool,
    /// Whether the statement reads columns that it defines, from a common table expression or a subquery.
    pub(crate) derived: bool,
}

/// The table functions that a query may use. Others open files or change settings of DuckDB.
const TABLE_FUNCTIONS: [&str; 6] = [
    "generate_series",
    "json_each",
    "json_tree",
    "range",
    "repeat",
    "unnest",
];

/// The output of the script of [`parse`].
#[derive(Deserialize)]
struct Parsed {
    error: Option<String>,
    message: Option<String>,
    statements: Option<u64>,
    tree: String,
}

/// Parses `sql` in the directory `work`.
///
/// # Errors
///
/// Returns an error if the text is too long, is not SQL, is not one statement, does more than read, or names an unknown
/// table.
pub(crate) fn parse(runner: &mut Runner, work: &Path, sql: &str) -> Result<Statement, SqlError> {
    let wrong = |message: &str| Err(SqlError::Question(message.to_owned()));
    if sql.len() > LONGEST {
        return Err(SqlError::Question(format!(
            "the query is {} bytes long, but at most {LONGEST} are allowed",
            sql.len()
        )));
    }
    if sql.contains('\0') {
        return wrong("this is not SQL: it contains a NUL character");
    }
    let (explain, text) = split_explain(sql);
    fs::write(work.join(QUESTION), text).map_err(SqlError::io("cannot write the query for DuckDB"))?;
    let script = format!(
        "COPY (SELECT tree->>'error' AS error, tree->>'error_message' AS message, \
         json_array_length(tree->'statements') AS statements, tree::VARCHAR AS tree \
         FROM (SELECT json_serialize_sql(content) AS tree FROM read_text('{QUESTION}'))) TO '{PARSED}' (FORMAT json);"
    );
    runner
        .execute(work, &script)
        .map_err(|broken| SqlError::of(broken, &Scope::default(), &Reads::default()))?;
    let parsed =
        fs::read(work.join(PARSED)).map_err(SqlError::io("cannot read the syntax tree of the query"))?;
    let parsed: Parsed = serde_json::from_slice(&parsed)
        .map_err(|error| SqlError::Failed(format!("DuckDB returned no syntax tree: {error}")))?;
    if parsed.error.as_deref() == Some("true") {
        let message = parsed.message.unwrap_or_default();
        if message.contains("Only SELECT statements") {
            return wrong(REFUSED);
        }
        return Err(SqlError::Question(format!("this is not SQL: {message}")));
    }
    match parsed.statements {
        Some(1) => {}
        None | Some(0) => return wrong("the SQL is empty"),
        Some(several) => {
            return Err(SqlError::Question(format!(
                "only one statement is allowed, but there are {several}"
            )));
        }
    }
    let mut named = Named::default();
    let tree: Option<Value> = serde_json::from_str(&parsed.tree).ok();
    match &tree {
        Some(tree) => named.walk(tree),
        // The tree is nested more deeply than the JSON parser allows.
        None => named.scan(&parsed.tree),
    }
    let reads = named.reads()?;
    Ok(Statement {
        text: text.to_owned(),
        explain,
        reads,
        tree,
    })
}

/// Splits a leading `EXPLAIN` or `EXPLAIN ANALYZE` off a text.
fn split_explain(sql: &str) -> (Option<Explain>, &str) {
    let Some(rest) = strip_keyword(sql, "explain") else {
        return (None, sql);
    };
    match strip_keyword(rest, "analyze") {
        Some(rest) => (Some(Explain::Analyze), rest),
        None => (Some(Explain::Plan), rest),
    }
}

/// Returns the text after a keyword that only white space and comments precede.
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

/// The names in a syntax tree.
#[derive(Default)]
struct Named {
    tables: Vec<String>,
    /// Names of common table expressions, in lower case.
    common: BTreeSet<String>,
    functions: Vec<String>,
    all: bool,
    derived: bool,
}

impl Named {
    /// Collects the names of a tree.
    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
                match text("type") {
                    "BASE_TABLE" => match (text("catalog_name"), text("schema_name")) {
                        ("" | "memory", "" | "main") => self.tables.push(text("table_name").to_owned()),
                        _ => self.all = true,
                    },
                    "SHOW_REF" => self.all = true,
                    "SUBQUERY" => self.derived = true,
                    "TABLE_FUNCTION" => {
                        let function = fields
                            .get("function")
                            .and_then(|function| function.get("function_name"));
                        let name = function.and_then(Value::as_str).unwrap_or_default();
                        self.functions.push(name.to_owned());
                        self.derived = true;
                    }
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

    /// Collects the names of a tree from its text, regardless of their position in the tree.
    fn scan(&mut self, tree: &str) {
        let values = |field: &str| -> Vec<String> {
            let fields = tree.split(field).skip(1);
            fields
                .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
                .collect()
        };
        let known: Vec<&str> = table_names().collect();
        self.tables = values(r#""table_name":""#);
        self.tables
            .retain(|table| known.contains(&table.to_lowercase().as_str()));
        if tree.contains(r#""type":"TABLE_FUNCTION""#) {
            self.functions = values(r#""function_name":""#);
        }
        (self.all, self.derived) = (true, true);
    }

    /// Returns the tables and columns that the statement reads.
    ///
    /// # Errors
    ///
    /// Returns an error if a name is neither a table nor a common table expression, or if a table function is refused.
    fn reads(self) -> Result<Reads, SqlError> {
        let refused = self
            .functions
            .iter()
            .find(|function| !TABLE_FUNCTIONS.contains(&function.to_lowercase().as_str()));
        if let Some(function) = refused {
            return Err(SqlError::Question(format!(
                "the table function {function} is refused: a query may only read the tables of runs and these table \
                 functions: {}",
                TABLE_FUNCTIONS.join(", ")
            )));
        }
        let mut reads = Reads {
            all: self.all,
            derived: self.derived || !self.common.is_empty(),
            ..Reads::default()
        };
        for name in &self.tables {
            let lower = name.to_lowercase();
            let is_common = self.common.contains(&lower);
            if let Some(table) = table_names().find(|table| *table == lower) {
                reads.tables.insert(table);
                if !is_common {
                    reads.visible.insert(table);
                }
            } else if !is_common {
                let near = nearest(name, table_names());
                let all = table_names().collect::<Vec<_>>().join(", ");
                return Err(SqlError::Question(format!(
                    "no table is called {name}{near}; the tables are {all}"
                )));
            }
        }
        Ok(reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explain_is_split_off_after_comments_and_in_any_case() {
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
