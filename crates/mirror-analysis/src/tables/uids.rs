//! Table of uids, for the report and the terminal.

use super::{Cell, Kind, Row, Table, column};
use crate::collect::outcome::OUTCOMES;
use crate::numbers::{count, milliseconds, percent, value};
use crate::run_data::RunData;
use crate::summary::{Pay, Summary, UidRow};
use crate::terminal_table::{Alignment, TerminalColumn, TerminalTable};

/// Maximum number of uids for which the terminal shows every row.
const SHOWN_WHOLE: usize = 40;

/// Number of rows shown from each end if there are more.
const SHOWN_OF_MANY: usize = 15;

/// A column of the table.
#[derive(Clone, Copy)]
struct UidColumn {
    title: &'static str,
    /// Description of the column for a new reader.
    about: &'static str,
    kind: Kind,
    shown: Shown,
    /// Returns the cell of a row. `None` if the row has no value. A column without any value is omitted.
    cell: fn(&UidRow) -> Option<Cell>,
}

/// Output in which a column is shown. A terminal is narrower than a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// On the page, and in a terminal that has room for it: columns of a higher rank are left out first.
    Everywhere {
        rank: u8,
    },
    OnThePage,
}

fn alignment(kind: Kind) -> Alignment {
    match kind {
        Kind::Number => Alignment::Right,
        Kind::Text | Kind::Long => Alignment::Left,
    }
}

pub(super) fn build(_: &RunData, summary: &Summary) -> Option<Table> {
    if summary.uids.is_empty() {
        return None;
    }
    let columns = summary.columns();
    let cell = |column: &UidColumn, row: &UidRow| (column.cell)(row).unwrap_or(Cell::Empty);
    let row = |row: &UidRow| Row {
        uid: Some(row.uid),
        cells: columns.iter().map(|column| cell(column, row)).collect(),
    };
    let by = match summary.pay {
        Pay::Emission => "the amount that the chain paid over the run",
        Pay::Weight => "weight, because the run ended before the chain's first epoch",
        Pay::Reward => "mean reward, because the chain accepted no weights",
    };
    Some(Table {
        name: "uids",
        title: "Uids",
        explain: format!("Every uid, best paid first, by {by}."),
        rows: summary.uids.iter().map(row).collect(),
        columns: columns
            .iter()
            .map(|one| column(one.title, one.about, one.kind))
            .collect(),
    })
}

const COLUMNS: [UidColumn; 21] = [
    UidColumn {
        title: "uid",
        about: "the uid; the uids of validators follow those of miners",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 0 },
        cell: |row| Some(Cell::number(row.uid.into(), row.uid.to_string())),
    },
    UidColumn {
        title: "label",
        about: "the group of miners or validators",
        kind: Kind::Text,
        shown: Shown::Everywhere { rank: 0 },
        cell: |row| Some(Cell::text(row.label.clone())),
    },
    UidColumn {
        title: "behaviour",
        about: "the behaviour of the miner, or validator",
        kind: Kind::Text,
        shown: Shown::OnThePage,
        cell: |row| row.role.clone().map(Cell::text),
    },
    UidColumn {
        title: "calls",
        about: "number of calls to the uid",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 6 },
        cell: |row| Some(Cell::number(row.calls() as f64, count(row.calls()))),
    },
    UidColumn {
        title: "successes",
        about: "number of successful calls",
        kind: Kind::Number,
        shown: Shown::OnThePage,
        cell: |row| Some(Cell::number(row.successes() as f64, count(row.successes()))),
    },
    UidColumn {
        title: "success rate",
        about: "share of successful calls",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 2 },
        cell: |row| row.success_rate().map(|rate| Cell::number(rate, percent(rate))),
    },
    UidColumn {
        title: "mean reward",
        about: "mean reward of the successful calls",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 1 },
        cell: |row| row.mean_reward.map(|reward| Cell::number(reward, value(reward))),
    },
    UidColumn {
        title: "deviation",
        about: "standard deviation of the rewards",
        kind: Kind::Number,
        shown: Shown::OnThePage,
        cell: |row| {
            row.reward_deviation
                .map(|deviation| Cell::number(deviation, value(deviation)))
        },
    },
    UidColumn {
        title: "weight",
        about: "mean over the validators of the last weight that the chain accepted from each",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 7 },
        cell: |row| row.weight.map(|weight| Cell::number(weight, value(weight))),
    },
    UidColumn {
        title: "last incentive",
        about: "share of the emission to miners in the chain's last epoch",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 4 },
        cell: |row| {
            row.incentive
                .map(|incentive| Cell::number(incentive, value(incentive)))
        },
    },
    UidColumn {
        title: "last dividends",
        about: "share of the emission to validators in the chain's last epoch",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 5 },
        cell: |row| {
            row.dividends
                .map(|dividends| Cell::number(dividends, value(dividends)))
        },
    },
    UidColumn {
        title: "emission (TAO)",
        about: "amount paid by the chain's epochs over the run",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 0 },
        cell: |row| {
            row.emission
                .map(|emission| Cell::number(emission, value(emission)))
        },
    },
    UidColumn {
        title: "call time (ms)",
        about: "mean duration of a call, including failed calls",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 8 },
        cell: |row| {
            row.mean_call_time
                .map(|seconds| Cell::number(seconds, milliseconds(seconds)))
        },
    },
    failures::<1>(),
    failures::<2>(),
    failures::<3>(),
    failures::<4>(),
    failures::<5>(),
    failures::<6>(),
    failures::<7>(),
    failures::<8>(),
];

/// Returns the column for the number of calls with the outcome at index `KIND`.
const fn failures<const KIND: usize>() -> UidColumn {
    UidColumn {
        title: OUTCOMES[KIND].name,
        about: OUTCOMES[KIND].about,
        kind: Kind::Number,
        shown: Shown::OnThePage,
        cell: |row| {
            let calls = row.outcomes.of(KIND);
            (calls > 0).then(|| Cell::number(calls as f64, count(calls)))
        },
    }
}

impl Summary {
    /// Returns the columns in which at least one row has a value.
    fn columns(&self) -> Vec<UidColumn> {
        let says_something = |column: &UidColumn| self.uids.iter().any(|row| (column.cell)(row).is_some());
        COLUMNS.into_iter().filter(says_something).collect()
    }

    /// Returns the table for a terminal of `width` characters, without colours. If there are more than 40 uids, only
    /// the 15 best and the 15 worst paid are shown.
    pub fn table(&self, width: usize) -> String {
        if self.uids.is_empty() {
            return "no uid was called\n".to_owned();
        }
        let mut columns = Vec::new();
        let mut table_columns = Vec::new();
        for column in self.columns() {
            if let Shown::Everywhere { rank } = column.shown {
                columns.push(column);
                table_columns.push(TerminalColumn {
                    title: column.title,
                    alignment: alignment(column.kind),
                    rank,
                });
            }
        }
        let mut table = TerminalTable::new(table_columns);
        let cells = |row: &UidRow| -> Vec<String> {
            let cell = |column: &UidColumn| (column.cell)(row).unwrap_or(Cell::Empty).shown().to_owned();
            columns.iter().map(cell).collect()
        };
        let (best, worst) = self.ends();
        for row in best {
            table.push(cells(row));
        }
        let mut below = String::new();
        if !worst.is_empty() {
            table.push(columns.iter().map(|_| "⋮".to_owned()));
            for row in worst {
                table.push(cells(row));
            }
            let left_out = self.uids.len() - best.len() - worst.len();
            below = format!(
                "\n{} of {} uids are omitted, between the {} best and the {} worst by {}\n",
                count(left_out as u64),
                count(self.uids.len() as u64),
                best.len(),
                worst.len(),
                self.pay.name()
            );
        }
        format!("{}\n{below}", table.fitted(width))
    }

    /// Returns all rows and an empty slice, or the best and the worst of many rows.
    fn ends(&self) -> (&[UidRow], &[UidRow]) {
        if self.uids.len() <= SHOWN_WHOLE {
            return (&self.uids, &[]);
        }
        let (best, others) = self.uids.split_at(SHOWN_OF_MANY);
        (best, &others[others.len() - SHOWN_OF_MANY..])
    }
}
