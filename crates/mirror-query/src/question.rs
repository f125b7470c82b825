//! From SQL text to a query that reads and does nothing else.

use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::execution::context::SQLOptions;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast;

use crate::error::{QueryError, nearest};
use crate::tables::{NAMES, Session};

/// Where the engine keeps what `SHOW` and `DESCRIBE` tell of.
const CATALOGUE: &str = "information_schema";

impl Session {
    /// The rows that `sql` asks for.
    pub(crate) async fn ask(&self, sql: &str) -> Result<DataFrame, QueryError> {
        self.plan(parse(sql)?).await
    }

    /// The rows that a statement asks for.
    pub(crate) async fn plan(&self, statement: Statement) -> Result<DataFrame, QueryError> {
        read_only(&statement)?;
        tables_read(&statement)?;
        let plan = self
            .context
            .state()
            .statement_to_plan(statement)
            .await
            .map_err(|error| QueryError::of(&error))?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|error| QueryError::of(&error))?;
        self.context
            .execute_logical_plan(plan)
            .await
            .map_err(|error| QueryError::of(&error))
    }
}

/// The one statement that `sql` is.
pub(crate) fn parse(sql: &str) -> Result<Statement, QueryError> {
    let mut statements = DFParser::parse_sql(sql).map_err(|error| QueryError::of(&error))?;
    match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => Ok(statement),
        (None, _) => Err(QueryError::Syntax("there is no question".to_owned())),
        (Some(_), more) => Err(QueryError::Several(more + 1)),
    }
}

/// Refuses a statement that is not a question.
fn read_only(statement: &Statement) -> Result<(), QueryError> {
    let refused = |what: &str| Err(QueryError::Refused(what.to_owned()));
    match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            ast::Statement::Query(_)
            | ast::Statement::Explain { .. }
            | ast::Statement::ExplainTable { .. }
            | ast::Statement::ShowTables { .. }
            | ast::Statement::ShowColumns { .. } => Ok(()),
            other => {
                let text = other.to_string();
                let first = text.split_whitespace().next().unwrap_or("this");
                refused(first)
            }
        },
        Statement::Explain(explain) => read_only(&explain.statement),
        Statement::CreateExternalTable(_) => refused("CREATE EXTERNAL TABLE"),
        Statement::CopyTo(_) => refused("COPY"),
        Statement::Reset(_) => refused("RESET"),
    }
}

/// The tables that a statement reads, all of them known.
pub(crate) fn tables_read(statement: &Statement) -> Result<Vec<String>, QueryError> {
    let (tables, _) = resolve_table_references(statement, true).map_err(|error| QueryError::of(&error))?;
    let mut names = Vec::new();
    for table in tables {
        if table.schema() == Some(CATALOGUE) {
            continue;
        }
        let bare = matches!(&table, TableReference::Bare { .. });
        if !bare || !NAMES.contains(&table.table()) {
            let known = NAMES.map(str::to_owned);
            return Err(QueryError::NoTable {
                near: nearest(table.table(), &known),
                name: table.to_string(),
            });
        }
        names.push(table.table().to_owned());
    }
    Ok(names)
}
