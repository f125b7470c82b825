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

/// What a statement reads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// The tables that it names.
    pub(crate) tables: BTreeSet<&'static str>,
    /// Those of them that no common table expression of the same name hides.
    pub(crate) visible: BTreeSet<&'static str>,
    /// Whether it asks which tables there are, so that all must be there.
    pub(crate) all: bool,
    /// Whether it reads columns of its own making, from a common table expression or a subquery.
    pub(crate) derived: bool,
}

/// Functions that a question may read like a table. Others open files, or change how DuckDB works.
const TABLE_FUNCTIONS: [&str; 6] = [
    "generate_series",
    "json_each",
    "json_tree",
    "range",
    "repeat",
    "unnest",
];

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
        .map_err(|broken| SqlError::of(broken, &Scope::default(), &Reads::default()))?;
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
        None | Some(0) => return wrong("the SQL is empty"),
        Some(several) => {
            return Err(SqlError::Question(format!(
                "only one statement is allowed, and these are {several}"
            )));
        }
    }
    let mut named = Named::default();
    let tree: Option<Value> = serde_json::from_str(&parsed.tree).ok();
    match &tree {
        Some(tree) => named.walk(tree),
        // The tree nests deeper than this reader goes.
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

/// The names in a syntax tree.
#[derive(Default)]
struct Named {
    tables: Vec<String>,
    /// Common table expressions, in lower case.
    common: BTreeSet<String>,
    functions: Vec<String>,
    all: bool,
    derived: bool,
}

impl Named {
    /// Gathers the names of a tree.
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

    /// Gathers the names of a tree from its text, without telling where in the tree they stand.
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

    /// What the statement reads.
    ///
    /// # Errors
    ///
    /// When it names a table that is not there and is no common table expression, or a function that is refused.
    fn reads(self) -> Result<Reads, SqlError> {
        let refused = self
            .functions
            .iter()
            .find(|function| !TABLE_FUNCTIONS.contains(&function.to_lowercase().as_str()));
        if let Some(function) = refused {
            return Err(SqlError::Question(format!(
                "the table function {function} is refused: a question reads the tables of runs, and of table functions it may \
                 use {}",
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
                    "no table is called {name}{near}; there are {all}"
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
