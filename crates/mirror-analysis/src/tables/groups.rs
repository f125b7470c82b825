//! Table of the labelled groups of miners and validators, each compared with its control.

use super::{Cell, Column, Kind, Row, Table, column};
use crate::comparison::{Estimate, GroupPay, Measure, compare};
use crate::numbers::{quantity, signed_percent};
use crate::run_data::RunData;
use crate::summary::Summary;
use crate::terminal_table::{Alignment, TerminalColumn, TerminalTable};

const COLUMNS: [Column; 11] = [
    column("label", "the group of miners or validators", Kind::Text),
    column("kind", "miner or validator", Kind::Text),
    column("uids", "number of uids of the group", Kind::Number),
    column(
        "value",
        "mean over the uids of the group, then over the runs",
        Kind::Number,
    ),
    column("control", "the group with which this one is compared", Kind::Text),
    column(
        "difference",
        "difference from the control, relative to the control",
        Kind::Number,
    ),
    column(
        "95% interval",
        "confidence interval of the difference, paired by random seed",
        Kind::Text,
    ),
    column(
        "result",
        "whether the interval of the difference excludes zero",
        Kind::Text,
    ),
    column(
        "effect",
        "difference in standard deviations over the random seeds (Hedges' g): 0.2 is small and 0.8 is large",
        Kind::Number,
    ),
    column(
        "interval of value",
        "95% confidence interval of the value over the random seeds",
        Kind::Text,
    ),
    column("measure", "the quantity by which the group is judged", Kind::Text),
];

pub(super) fn build(data: &RunData, summary: &Summary) -> Option<Table> {
    table(&compare(&[(data, summary)]).groups)
}

/// Returns the table of groups for a terminal of `width` characters. `None` if there is no group.
pub(crate) fn for_terminal(groups: &[GroupPay], width: usize) -> Option<String> {
    /// Rank of each column of [`COLUMNS`] in a terminal.
    const RANKS: [u8; 11] = [0, 3, 4, 0, 2, 0, 1, 0, 5, 7, 6];
    let table = table(groups)?;
    let ranks = RANKS.into_iter().chain([8]);
    let columns = table
        .columns
        .iter()
        .zip(ranks)
        .map(|(column, rank)| TerminalColumn {
            title: column.title,
            alignment: match column.kind {
                Kind::Number => Alignment::Right,
                Kind::Text | Kind::Long => Alignment::Left,
            },
            rank,
        });
    let mut terminal = TerminalTable::new(columns);
    for row in &table.rows {
        terminal.push(row.cells.iter().map(|cell| cell.shown().to_owned()));
    }
    Some(terminal.fitted(width))
}

/// Returns the table of groups. `None` if there is no group.
pub(crate) fn table(groups: &[GroupPay]) -> Option<Table> {
    if groups.is_empty() {
        return None;
    }
    let mut table = Table {
        name: "groups",
        title: "Groups by label",
        explain: "Miners are judged by their pay for incentive, validators by their dividends relative to their stake. \
                  A group is compared with its control over the same random seeds. Epochs in which the chain paid by stake, because \
                  no weights had been set, are left out. Each interval is for one comparison: of twenty groups without \
                  any difference, about one has an interval that excludes zero."
            .to_owned(),
        columns: COLUMNS.to_vec(),
        rows: groups.iter().map(|group| row(group, groups)).collect(),
    };
    if let Some(trust) = trust_column(groups) {
        table.columns.push(column(
            "validator trust",
            "mean share of the weights set by the group that was within consensus",
            Kind::Number,
        ));
        for (row, cell) in table.rows.iter_mut().zip(trust) {
            row.cells.push(cell);
        }
    }
    Some(table)
}

/// Returns the cells of the trust of validators. `None` if no group has one.
fn trust_column(groups: &[GroupPay]) -> Option<Vec<Cell>> {
    groups.iter().any(|group| group.trust.is_some()).then(|| {
        let cell = |group: &GroupPay| {
            group.trust.map_or(Cell::Empty, |trust| {
                Cell::number(trust.mean, format!("{:.1}%", trust.mean * 100.0))
            })
        };
        groups.iter().map(cell).collect()
    })
}

fn row(group: &GroupPay, all: &[GroupPay]) -> Row {
    let bounds = |bounds: Option<(f64, f64)>, show: fn(f64) -> String| {
        bounds.map_or(Cell::Empty, |(least, greatest)| {
            Cell::text(format!("{} to {}", show(least), show(greatest)))
        })
    };
    let number = |number: Option<f64>, show: fn(f64) -> String| {
        number.map_or(Cell::Empty, |number| Cell::number(number, show(number)))
    };
    let show: fn(f64) -> String = match group.measure {
        Measure::Yield => |share| format!("{}%", quantity(share * 100.0)),
        Measure::Emission | Measure::Weight | Measure::Reward => quantity,
    };
    let difference = group.difference.as_ref();
    let relative = difference.and_then(super::super::comparison::Difference::relative);
    let cells = vec![
        Cell::text(&*group.label),
        Cell::text(group.kind.name()),
        Cell::number(group.uids as f64, group.uids.to_string()),
        number(group.value.map(|value| value.mean), show),
        difference.map_or(Cell::Empty, |difference| Cell::text(&*difference.control)),
        number(relative.map(|(relative, _)| relative), signed_percent),
        bounds(relative.and_then(|(_, bounds)| bounds), signed_percent),
        match difference {
            Some(difference) => Cell::text(difference.verdict.name()),
            None if group.is_control(all) => Cell::text("control"),
            None => Cell::Empty,
        },
        number(difference.and_then(|difference| difference.effect), |effect| {
            format!("{effect:+.2}").replace('-', "−")
        }),
        bounds(group.value.as_ref().and_then(Estimate::bounds), show),
        Cell::text(group.measure.name()),
    ];
    Row { uid: None, cells }
}
