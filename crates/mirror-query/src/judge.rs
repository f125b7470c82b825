//! Decides an expectation: a question whose answer is one row that begins with true or false.

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::dataframe::DataFrame;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, BinaryOperator, Expr, Ident, SelectItem, SetExpr};
use mirror_runs::expectations::{Decision, Outcome};

use crate::error::QueryError;
use crate::question::{parse, tables_read};
use crate::tables::Session;

/// Values told beside a decision, at most.
const VALUES: usize = 32;

/// Characters of a value or of its name, at most.
const LONGEST: usize = 200;

/// Decides whether what `sql` says is so. What is asked of a table without rows does not hold, whatever the answer is:
/// nothing is true of nothing.
pub(crate) async fn judge(session: &Session, sql: &str) -> Result<Decision, QueryError> {
    let statement = parse(sql)?;
    let mut empty = Vec::new();
    for table in tables_read(&statement)? {
        if session.row_count(&table)? == Some(0) {
            empty.push(table);
        }
    }
    let answer = plan(session, statement).await?;
    // A second row is enough to tell that there is not one.
    let answer = answer.limit(0, Some(2)).map_err(|error| QueryError::of(&error))?;
    let batches = answer.collect().await.map_err(|error| QueryError::of(&error))?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let row = batches.iter().find(|batch| batch.num_rows() > 0);
    if !empty.is_empty() {
        return Ok(Decision {
            outcome: Outcome::Failed,
            reason: Some(format!("{} has no rows", empty.join(" and "))),
            values: row.map_or_else(|| Ok(Vec::new()), values)?,
        });
    }
    let row = row.filter(|_| rows == 1).ok_or(QueryError::Rows(rows))?;
    let (outcome, reason) = match truth(row) {
        Some(true) => (Outcome::Held, None),
        Some(false) => (Outcome::Failed, None),
        None => (
            Outcome::Failed,
            Some("the answer is null, neither true nor false".to_owned()),
        ),
    };
    Ok(Decision {
        outcome,
        reason,
        values: values(row)?,
    })
}

/// Tells whether what `sql` says could be asked: that it is one question, of tables and columns that there are, whose
/// answer begins with true or false.
pub(crate) async fn check(session: &Session, sql: &str) -> Result<(), QueryError> {
    plan(session, parse(sql)?).await.map(drop)
}

async fn plan(session: &Session, mut statement: Statement) -> Result<DataFrame, QueryError> {
    show_operands(&mut statement);
    let answer = session.plan(statement).await?;
    match answer.schema().inner().fields().first() {
        Some(field) if matches!(field.data_type(), DataType::Boolean | DataType::Null) => Ok(answer),
        Some(field) => Err(QueryError::NotBoolean {
            name: field.name().clone(),
            kind: field.data_type().to_string(),
        }),
        None => Err(QueryError::Wrong("an expectation asks for something".to_owned())),
    }
}

/// The first column of the first row, which is true, false or null.
fn truth(row: &RecordBatch) -> Option<bool> {
    let column = row.columns().first()?;
    let truths = column.as_any().downcast_ref::<BooleanArray>()?;
    (!truths.is_null(0)).then(|| truths.value(0))
}

/// The other columns of the first row.
fn values(row: &RecordBatch) -> Result<Vec<(String, String)>, QueryError> {
    let schema = row.schema();
    let others = schema.fields().iter().zip(row.columns()).skip(1).take(VALUES);
    others
        .map(|(field, column)| {
            let value = if column.is_null(0) {
                "null".to_owned()
            } else {
                array_value_to_string(column, 0).map_err(|error| QueryError::of(&error.into()))?
            };
            Ok((shortened(field.name()), shortened(&value)))
        })
        .collect()
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Where a question asks for one comparison, asks for what it compares as well, so that the decision can tell why:
/// `SELECT avg(a) < avg(b) FROM t` becomes `SELECT avg(a) < avg(b), avg(a), avg(b) FROM t`.
fn show_operands(statement: &mut Statement) {
    let Statement::Statement(statement) = statement else {
        return;
    };
    let ast::Statement::Query(query) = statement.as_mut() else {
        return;
    };
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    let [SelectItem::UnnamedExpr(asked) | SelectItem::ExprWithAlias { expr: asked, .. }] =
        select.projection.as_slice()
    else {
        return;
    };
    if select.distinct.is_some() {
        return;
    }
    let mut operands = Vec::new();
    operands_of(asked, &mut operands);
    let named = operands.into_iter().map(|expr| SelectItem::ExprWithAlias {
        alias: Ident::with_quote('"', expr.to_string().replace('"', "'")),
        expr,
    });
    let named: Vec<SelectItem> = named.collect();
    select.projection.extend(named);
}

fn operands_of(expr: &Expr, found: &mut Vec<Expr>) {
    match expr {
        Expr::Nested(inside) | Expr::UnaryOp { expr: inside, .. } => operands_of(inside, found),
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::And | BinaryOperator::Or => {
                operands_of(left, found);
                operands_of(right, found);
            }
            BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Eq
            | BinaryOperator::NotEq => {
                operand(left, found);
                operand(right, found);
            }
            _ => {}
        },
        Expr::Between { expr, low, high, .. } => {
            for side in [expr, low, high] {
                operand(side, found);
            }
        }
        _ => {}
    }
}

fn operand(expr: &Expr, found: &mut Vec<Expr>) {
    let told = matches!(expr, Expr::Value(_)) || found.contains(expr);
    if !told && found.len() < VALUES {
        found.push(expr.clone());
    }
}
